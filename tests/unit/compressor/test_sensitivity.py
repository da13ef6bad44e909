"""The sensitivity of pictures to each number: compared with renders in which the number is changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from compressor.encode.arranged import NUMBERS, Sensitivity
from compressor.encode.encoder import arrange
from compressor.encode.gradients import render_from
from compressor.encode.harmonics import absorb, quantise_harmonics
from compressor.encode.pace import Pace
from compressor.encode.quality import Yardstick, covered_pixels, yardstick
from compressor.encode.sensitivity import measure_sensitivity
from compressor.encode.viewpoints import exploring_cameras
from compressor.framing import Framing, frame_scene
from compressor.sog.decoder import with_harmonics
from splat.gaussians import Gaussians
from tests.support.gaussians import gaussians_of

MakeSplat = Callable[..., Gaussians]


@pytest.fixture(scope="module")
def splat(make_splat: MakeSplat) -> Gaussians:
    return arrange(make_splat(600, 2))


@pytest.fixture(scope="module")
def framing(splat: Gaussians) -> Framing:
    return frame_scene(splat, [], z_up=True)


@pytest.fixture(scope="module")
def sensitivity(splat: Gaussians, framing: Framing) -> Sensitivity:
    return measure_sensitivity(splat, [], framing, Pace())[0]


@pytest.fixture(scope="module")
def stick(splat: Gaussians, framing: Framing) -> Yardstick:
    return yardstick(splat, [], framing)


@pytest.mark.parametrize(
    ("name", "numbers", "size"),
    [("means", (0, 1, 2), 0.002), ("scales", (6, 7, 8), 0.02), ("opacities", (9,), 0.05)],
)
def test_small_changes_do_to_pictures_what_was_predicted(
    name: str, numbers: tuple[int, ...], size: float, splat: Gaussians, sensitivity: Sensitivity, stick: Yardstick
) -> None:
    rng = np.random.default_rng(1)
    values = getattr(splat, name)
    change = rng.normal(0, size, values.shape)
    predicted = float((sensitivity.outlines[:, numbers] * np.square(change.reshape(len(splat), -1))).sum())
    measured = stick.mean_squared_error(replace(splat, **{name: (values + change).astype(np.float32)}))
    # moved Gaussians also change their depth order, which no derivative shows; calibration measures and corrects that
    assert 0.5 * predicted < measured < (12 if name == "means" else 1.6) * predicted


def test_a_small_change_of_colours_does_what_was_predicted(
    splat: Gaussians, sensitivity: Sensitivity, stick: Yardstick
) -> None:
    change = np.random.default_rng(1).normal(0, 0.02, splat.sh0.shape).astype(np.float32)
    predicted = float((sensitivity.colours[:, None] * np.square(change)).sum())
    measured = stick.mean_squared_error(replace(splat, sh0=splat.sh0 + change))
    assert 0.5 * predicted < measured < 1.6 * predicted


def matrix_of(sensitivity: Sensitivity, i: int) -> np.ndarray:
    """H (10, 10) of Gaussian i."""
    h = np.zeros((NUMBERS, NUMBERS))
    h[np.tril_indices(NUMBERS, -1)] = sensitivity.correlations[i] / 127
    h += h.T + np.eye(NUMBERS)
    roots = np.sqrt(sensitivity.outlines[i].astype(np.float64))
    matrix: np.ndarray = h * roots[:, None] * roots
    return matrix


def test_of_a_lone_gaussian_pictures_see_each_direction_of_change_as_predicted(framing: Framing) -> None:
    lone = arrange(
        gaussians_of(
            means=np.array([[0.2, -0.1, 0.1]]), quats=np.array([[0.8, 0.3, -0.2, 0.4]]),
            scales=np.log([[0.6, 0.3, 0.15]]), opacities=np.array([1.0]), sh0=np.array([[1.0, 0.2, -0.8]]),
            shN=np.zeros((1, 0, 3)),
        )
    )  # fmt: skip
    sensitivity = measure_sensitivity(lone, [], framing, Pace())[0]
    h = matrix_of(sensitivity, 0)
    assert np.linalg.eigvalsh(h).min() > 0
    cameras = exploring_cameras(lone, [], framing)
    drawn = [render_from(lone, camera) for camera in cameras]
    covered = [3 * covered_pixels(1 - rendering.transmittance) for rendering in drawn]
    largest = int(np.abs(lone.quats[0]).argmax())
    rng = np.random.default_rng(3)
    for _ in range(12):
        d = rng.normal(size=NUMBERS) * 0.3 / np.sqrt(np.diag(h)) / np.sqrt(1e5)
        others = np.delete(lone.quats[0], largest) * np.sign(lone.quats[0, largest]) + d[3:6]
        quat = np.insert(others, largest, np.sqrt(1 - np.square(others).sum()))
        changed = replace(
            lone, means=lone.means + d[:3].astype(np.float32), quats=quat[None].astype(np.float32),
            scales=lone.scales + d[6:9].astype(np.float32), opacities=lone.opacities + np.float32(d[9]),
        )  # fmt: skip
        seen = [
            np.square(render_from(changed, rendering.camera).picture - rendering.picture).sum() / numbers
            for rendering, numbers in zip(drawn, covered, strict=True)
        ]
        damped = 0.9 * d @ h @ d + 0.1 * (np.diag(h) * d * d).sum()  # at most a tenth of the correlations is dropped
        assert np.mean(seen) == pytest.approx(damped, rel=0.25)


def test_what_nobody_sees_still_counts_a_little(splat: Gaussians, framing: Framing) -> None:
    hidden = splat.means.copy()
    hidden[:5] += 1e4
    seen = measure_sensitivity(replace(splat, means=hidden), [], framing, Pace())[0]
    assert (seen.outlines > 0).all()
    assert not seen.correlations[:5].any()
    assert (seen.directions[:, 0] > 0).all()
    assert seen.colours[:5].max() <= np.median(seen.colours)


def test_the_constant_colour_takes_over_what_a_palette_misses(
    splat: Gaussians, sensitivity: Sensitivity, stick: Yardstick
) -> None:
    palette = quantise_harmonics(splat, sensitivity, 16)
    assert palette is not None
    coarse = with_harmonics(splat, palette)
    absorbed = replace(coarse, sh0=absorb(splat, sensitivity, palette))
    assert stick.mean_squared_error(absorbed) < 0.8 * stick.mean_squared_error(coarse)
    bare = replace(splat, shN=np.zeros_like(splat.shN))
    assert stick.mean_squared_error(replace(bare, sh0=absorb(splat, sensitivity, None))) < stick.mean_squared_error(
        bare
    )


def test_a_stop_is_obeyed_between_two_views(splat: Gaussians, framing: Framing) -> None:
    class Stop(Exception):
        pass

    def stop() -> None:
        raise Stop

    with pytest.raises(Stop):
        measure_sensitivity(splat, [], framing, stop)
