"""How much each number matters: held against what renders say when the number is changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from compressor.framing import Framing, frame_scene
from compressor.quality import Yardstick, yardstick
from compressor.sensitivity import measure_sensitivity
from compressor.sog.codes import Sensitivity
from compressor.sog.decoder import with_harmonics
from compressor.sog.encoder import arrange
from compressor.sog.harmonics import absorb, quantise_harmonics
from splat.gaussians import Gaussians

MakeSplat = Callable[..., Gaussians]


@pytest.fixture(scope="module")
def splat(make_splat: MakeSplat) -> Gaussians:
    return arrange(make_splat(600, 2))


@pytest.fixture(scope="module")
def framing(splat: Gaussians) -> Framing:
    return frame_scene(splat, [], z_up=True)


@pytest.fixture(scope="module")
def sensitivity(splat: Gaussians, framing: Framing) -> Sensitivity:
    return measure_sensitivity(splat, [], framing, lambda: None)


@pytest.fixture(scope="module")
def stick(splat: Gaussians, framing: Framing) -> Yardstick:
    return yardstick(splat, [], framing)


@pytest.mark.parametrize(
    ("name", "weights", "size"),
    [
        ("means", "means", 0.002),
        ("quats", "quats", 0.01),
        ("scales", "scales", 0.02),
        ("opacities", "opacities", 0.05),
        ("sh0", "colours", 0.02),
    ],
)
def test_small_changes_do_to_pictures_what_was_foretold(
    name: str, weights: str, size: float, splat: Gaussians, sensitivity: Sensitivity, stick: Yardstick
) -> None:
    rng = np.random.default_rng(1)
    values, h = getattr(splat, name), getattr(sensitivity, weights)
    change = rng.normal(0, size, values.shape)
    foretold = float((h.reshape(len(splat), -1) * np.square(change.reshape(len(splat), -1))).sum())
    measured = stick.mean_squared_error(replace(splat, **{name: (values + change).astype(np.float32)}))
    # moved Gaussians also change places in depth, which no derivative knows; the search measures and corrects that
    assert 0.5 * foretold < measured < (12 if name == "means" else 1.6) * foretold


def test_what_nobody_sees_still_counts_a_little(splat: Gaussians, framing: Framing) -> None:
    hidden = splat.means.copy()
    hidden[:5] += 1e4
    seen = measure_sensitivity(replace(splat, means=hidden), [], framing, lambda: None)
    assert (seen.means > 0).all()
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


def test_a_stop_is_heard_between_two_views(splat: Gaussians, framing: Framing) -> None:
    class Stop(Exception):
        pass

    def stop() -> None:
        raise Stop

    with pytest.raises(Stop):
        measure_sensitivity(splat, [], framing, stop)
