"""Gaussians that are pruned, and the others, which compensate for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from compressor.encode.arranged import Arranged
from compressor.encode.compress import compress
from compressor.encode.encoder import arrange
from compressor.encode.fitting import Sights, fitted
from compressor.encode.pace import Pace
from compressor.encode.prepared import measured, prepare
from compressor.encode.presets import Preset
from compressor.encode.pruning import Pruned, Pruner, missed
from compressor.encode.quality import HeldOut, Yardstick, draw, yardstick
from compressor.encode.viewpoints import exploring_cameras
from compressor.framing import Framing, frame_scene
from splat.camera import View
from splat.gaussians import Gaussians
from splat.loss import psnr

MakeSplat = Callable[..., Gaussians]


def nothing() -> None:
    pass


@pytest.fixture(scope="module")
def framing(make_splat: MakeSplat) -> Framing:
    return frame_scene(make_splat(900, 1), [], z_up=True)


@pytest.fixture(scope="module")
def scene(make_splat: MakeSplat, framing: Framing) -> Arranged:
    return measured(arrange(make_splat(900, 1)), [], framing, Pace())[0]


@pytest.fixture(scope="module")
def seen(scene: Arranged, framing: Framing) -> Sights:
    cameras = [camera.scaled(0.25) for camera in exploring_cameras(scene.gaussians, [], framing)]
    return Sights(cameras, [draw(scene.gaussians, camera) for camera in cameras])


@pytest.fixture(scope="module")
def stick(scene: Arranged, framing: Framing) -> Yardstick:
    return yardstick(scene.gaussians, [], framing)


def test_what_is_expected_to_be_missed_is(scene: Arranged, stick: Yardstick) -> None:
    expected = missed(scene)
    tried = np.argsort(expected)[-200::20]
    measured = [stick.mean_squared_error(scene.gaussians.select(np.arange(len(scene)) != number)) for number in tried]
    assert np.mean(measured) == pytest.approx(np.mean(expected[tried]), rel=0.5)
    assert np.corrcoef(np.log(measured), np.log(expected[tried]))[0, 1] > 0.6


def test_the_others_make_up_for_what_is_left_out(scene: Arranged, stick: Yardstick, seen: Sights) -> None:
    left = scene.select(np.sort(np.argsort(missed(scene))[225:])).gaussians
    before = stick.mean_squared_error(left)
    after = stick.mean_squared_error(fitted(left, seen, 4, nothing))
    assert psnr(after) > psnr(before) + 2


def test_pruning_stays_within_its_part_of_the_budget(scene: Arranged, stick: Yardstick, seen: Sights) -> None:
    counts = []
    for budget in (1e-8, 1e-4, 1e-2):
        pruned = Pruner(scene, stick, seen, nothing).prune(budget)
        assert pruned.error == pytest.approx(stick.mean_squared_error(pruned.arranged.gaussians), abs=1e-12)
        assert pruned.error <= budget / 3
        counts.append(len(pruned.arranged))
    assert counts[0] > counts[2]
    assert counts == sorted(counts, reverse=True)


def test_a_share_is_drawn_once_for_all_budgets(
    scene: Arranged, stick: Yardstick, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []
    mean_squared_error = Yardstick.mean_squared_error

    def counted(self: Yardstick, gaussians: Gaussians) -> float:
        if len(self.cameras) < len(stick.cameras):
            drawn.append(len(gaussians))
        return mean_squared_error(self, gaussians)

    monkeypatch.setattr(Yardstick, "mean_squared_error", counted)
    pruner = Pruner(scene, stick, None, nothing)
    together = [pruner.prune(budget) for budget in (1e-2, 5e-3)]
    assert len(drawn) > 2
    assert len(drawn) == len(set(drawn))
    apart = [Pruner(scene, stick, None, nothing).prune(budget) for budget in (1e-2, 5e-3)]
    assert [(len(pruned.arranged), pruned.error) for pruned in together] == [
        (len(pruned.arranged), pruned.error) for pruned in apart
    ]


@pytest.mark.parametrize("with_fit", [True, False])
def test_one_picture_of_few_is_not_believed_for_all(
    with_fit: bool, scene: Arranged, stick: Yardstick, seen: Sights
) -> None:
    few = Yardstick(stick.cameras[:3], stick.pictures[:3], stick.covered[:3])
    assert few.every_other() is few
    assert len(stick.every_other().cameras) == 5
    budget = 1e-3
    pruned = Pruner(scene, few, seen if with_fit else None, nothing).prune(budget)
    assert few.mean_squared_error(pruned.arranged.gaussians) <= 0.4 * budget


def test_a_pruned_splat_is_searched_within_the_whole_budget(scene: Arranged, stick: Yardstick, seen: Sights) -> None:
    budget = 1e-4
    ready = prepare(Pruner(scene, stick, seen, nothing).prune(budget), budget, stick, seen, Pace())
    assert 0 < ready.spent < budget
    found = ready.search(budget, stick, Pace())
    assert ready.spent < found.mean_squared_error <= budget


def test_opacities_and_colours_make_up_for_rounding(scene: Arranged, stick: Yardstick, seen: Sights) -> None:
    budget = 1e-4
    ready = prepare(Pruned(scene, 0.0), budget, stick, seen, Pace())
    assert ready.compensation is not None
    plain = replace(ready, compensation=None).search(budget, stick, Pace())
    better = ready.compensation.fitted(plain, stick)
    assert better.mean_squared_error < 0.95 * plain.mean_squared_error
    assert np.array_equal(better.codes.means, plain.codes.means)
    found = ready.search(budget, stick, Pace())
    assert 0.7 * budget < found.mean_squared_error <= budget


class Frugal(HeldOut):
    """Held-out photos whose figure falls with every pruned Gaussian, and with nothing else."""

    def psnr(self, gaussians: Gaussians, check_stop: Callable[[], None]) -> float:
        return 25 + len(gaussians) / 100


@pytest.mark.parametrize("photos", [None, Frugal([], [], [])])
def test_nothing_is_left_out_that_held_out_photos_miss(
    make_splat: MakeSplat, framing: Framing, photos: HeldOut | None
) -> None:
    splat = arrange(make_splat(900, 1))
    cameras = exploring_cameras(splat, [], framing)
    views = [View(f"{n}.jpg", "train", camera.scaled(0.25)) for n, camera in enumerate(cameras)]
    result = compress(splat, views, photos, framing, Preset.WEB, Pace())
    assert (result.pruned == 0) == (photos is not None)
    assert result.met
