"""Presets, and the search that meets them with the fewest bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compressor.encode.arranged import Arranged
from compressor.encode.calibration import calibrated
from compressor.encode.compress import compress
from compressor.encode.encoder import Coarseness, arrange, quantise
from compressor.encode.pace import Pace
from compressor.encode.prepared import Prepared, prepare
from compressor.encode.presets import LOSS, OF_QUALITY, Preset, target
from compressor.encode.pruning import Pruned
from compressor.encode.quality import HeldOut, Yardstick, draw, yardstick
from compressor.encode.search import Found, first_lambda, search
from compressor.encode.sensitivity import measure_sensitivity
from compressor.framing import frame_scene
from compressor.sog.codes import Codes
from compressor.sog.container import pack_files, read_codes
from compressor.sog.decoder import dequantise
from contract.options import Quality
from splat.gaussians import Gaussians
from splat.loss import psnr
from stage.errors import ErrorCode, StageError

MakeSplat = Callable[..., Gaussians]
NO_CODES = cast(Codes, None)


@pytest.fixture(scope="module")
def scene(make_splat: MakeSplat) -> Arranged:
    splat = arrange(make_splat(900, 2))
    return Arranged(splat, measure_sensitivity(splat, [], frame_scene(splat, [], z_up=True), Pace())[0])


@pytest.fixture(scope="module")
def stick(scene: Arranged) -> Yardstick:
    return yardstick(scene.gaussians, [], frame_scene(scene.gaussians, [], z_up=True))


def test_every_quality_has_a_preset_and_better_ones_lose_less() -> None:
    assert set(OF_QUALITY) == set(Quality)
    assert LOSS[Preset.ARCHIVE] < LOSS[Preset.WEB] < LOSS[Preset.TINY]


@given(before=st.floats(10, 45), preset=st.sampled_from(Preset))
def test_the_target_error_costs_just_the_presets_loss(before: float, preset: Preset) -> None:
    goal = target(preset, before)
    training = 10 ** (-before / 10)
    assert before - psnr(training + goal.mean_squared_error) == pytest.approx(LOSS[preset], rel=1e-6)


@settings(deadline=None)
@given(
    power=st.floats(0.6, 1.6), start=st.floats(-6, 6), spent=st.floats(0, 0.9), ripple=st.floats(0, 0.02),
    seed=st.integers(0, 1000),
)  # fmt: skip
def test_a_search_keeps_its_budget_and_uses_most_of_it(
    power: float, start: float, spent: float, ripple: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)

    def attempt(lambda_: float, _within: Found | None) -> Found:
        error = spent + lambda_**power * float(np.exp(ripple * rng.normal()))
        return Found(NO_CODES, Coarseness(lambda_), error)

    found = search(attempt, float(np.exp(start)), 1.0, Pace(), spent=spent)
    if found is None:  # from far off, five tries may not suffice, but only if errors grow unusually slowly
        assert start > 3
    else:
        assert found.mean_squared_error <= 1
        if abs(start) < 1 and power < 1.2:
            assert found.mean_squared_error - spent > 0.85 * (1 - spent)


def test_nothing_is_found_where_every_try_misses() -> None:
    assert search(lambda lambda_, _within: Found(NO_CODES, Coarseness(lambda_), 2.0), 1.0, 1.0, Pace()) is None


@pytest.fixture(scope="module")
def ready(scene: Arranged, stick: Yardstick) -> Prepared:
    return prepare(Pruned(scene, 0.0), 1e-4, stick, None, Pace())


def test_a_higher_lambda_prefers_smaller_palettes(ready: Prepared) -> None:
    assert ready.palettes is not None
    sizes = [ready.palettes.best(lambda_) for lambda_ in (0.0, 1e-12, 1e-10, 1e-8, 1.0)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == 900
    assert sizes[-1] == 0
    assert ready.palettes.best(1e-10, built=True) in {0, *ready.palettes.trials}


@pytest.mark.parametrize("decibels", [34, 42, 50])
def test_the_search_meets_its_budget_without_wasting_it(decibels: float, scene: Arranged, stick: Yardstick) -> None:
    budget = 10 ** (-decibels / 10)
    ready = prepare(Pruned(scene, 0.0), budget, stick, None, Pace())
    found = ready.search(budget, stick, Pace())
    # with a palette of 900 Gaussians, the error falls in steps, and a search may end one step above
    assert decibels <= psnr(found.mean_squared_error) < decibels + 4
    # the claimed error is that of the file as a reader decodes it
    assert stick.mean_squared_error(dequantise(found.codes)) == pytest.approx(found.mean_squared_error)


def test_more_loss_makes_a_smaller_file(ready: Prepared, stick: Yardstick) -> None:
    sizes = [
        sum(map(len, pack_files(ready.search(10 ** (-decibels / 10), stick, Pace()).codes).values()))
        for decibels in (34, 42, 50)
    ]
    assert sizes[0] < sizes[1] < sizes[2]
    assert sizes[0] < 0.7 * sizes[2]


@pytest.mark.parametrize("budget", [1e-12, 0.0])
def test_an_impossible_budget_gets_the_finest(budget: float, ready: Prepared, stick: Yardstick) -> None:
    assert ready.palettes is not None
    found = ready.search(budget, stick, Pace())
    assert found.coarseness == Coarseness(label_lambda=ready.palettes.label_lambda)


def test_a_search_goes_on_from_the_finest(ready: Prepared, stick: Yardstick) -> None:
    finest = ready.search(1e-12, stick, Pace(), tries=1)
    assert finest.coarseness.lambda_ == 0
    found = ready.search(1e-4, stick, Pace(), near=finest)
    assert found.coarseness.lambda_ > 0
    assert found.mean_squared_error <= 1e-4
    assert ready.search(1e-12, stick, Pace(), near=finest, tries=1).coarseness.lambda_ == 0


def test_calibration_predicts_the_rendered_error(scene: Arranged, stick: Yardstick) -> None:
    lambda_ = first_lambda(scene, 1e-4)
    believed = calibrated(scene, lambda_, stick, lambda: None)
    for name, numbers in (("scales", (6, 7, 8)), ("opacities", (9,))):
        codes = quantise(
            replace(scene.gaussians, shN=scene.gaussians.shN[:, :0]), scene.sensitivity, Coarseness(lambda_), None
        )
        change = getattr(dequantise(codes), name) - getattr(scene.gaussians, name)
        shown = stick.mean_squared_error(replace(scene.gaussians, **{name: getattr(dequantise(codes), name)}))
        for h, nearest in ((scene.sensitivity, False), (believed.sensitivity, True)):
            predicted = float((h.outlines[:, numbers] * np.square(change.reshape(len(scene), -1))).sum())
            assert (abs(np.log(predicted / shown)) < 0.4) or not nearest
    assert (believed.sensitivity.outlines[:, :3] > 0).all()


def test_compress_keeps_the_held_out_loss_and_verifies_its_file(make_splat: MakeSplat) -> None:
    splat = make_splat(900, 1)
    framing = frame_scene(splat, [], z_up=True)
    cameras = [framing.camera(turn, 96, 64) for turn in (0, 120)]
    rng = np.random.default_rng(0)
    noisy = [np.clip(draw(splat, camera) + rng.normal(0, 0.05, (64, 96, 3)), 0, 1) for camera in cameras]
    held_out = HeldOut(
        [str(number) for number in range(len(noisy))],
        cameras,
        [np.rint(photo * 255).astype(np.uint8) for photo in noisy],
    )
    result = compress(splat, [], held_out, framing, Preset.WEB, Pace())
    assert result.met
    assert result.psnr_before is not None
    assert result.psnr_after is not None
    assert result.psnr_before - result.psnr_after <= LOSS[Preset.WEB]
    assert len(read_codes(result.sog)) == 900
    assert 0.8 * len(result.sog) < sum(result.bytes_by_file.values()) < len(result.sog)


def test_a_stop_ends_the_compression(make_splat: MakeSplat) -> None:
    splat = make_splat(200, 0)

    def stop() -> None:
        raise StageError(ErrorCode.INTERRUPTED, "asked to stop")

    with pytest.raises(StageError, match="INTERRUPTED"):
        compress(splat, [], None, frame_scene(splat, [], z_up=True), Preset.TINY, Pace(check_stop=stop))
