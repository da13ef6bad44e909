"""The memory that measuring sensitivities needs: splats have millions of Gaussians."""

from __future__ import annotations

import tracemalloc
from dataclasses import fields

import numpy as np
import pytest

from compressor.encode import gradients
from compressor.encode.pace import nothing
from compressor.encode.sensitivity import measure_sensitivity
from compressor.framing import Framing, frame_scene
from splat.gaussians import Gaussians
from tests.support.gaussians import gaussians_of

BYTES_A_GAUSSIAN = 620  # its block and directions take 284, a view's data about 190, pictures the rest
VIEWS = 2


def cloud(count: int) -> Gaussians:
    rng = np.random.default_rng(0)
    return gaussians_of(
        means=rng.normal(size=(count, 3)), quats=rng.normal(size=(count, 4)), scales=np.full((count, 3), -5.0),
        opacities=rng.normal(size=count), sh0=rng.normal(size=(count, 3)), shN=np.zeros((count, 0, 3)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def framing() -> Framing:
    return frame_scene(cloud(1000), [], z_up=True)


def test_a_part_at_a_time_is_measured_as_the_whole(framing: Framing, monkeypatch: pytest.MonkeyPatch) -> None:
    splat = cloud(1000)
    whole, _ = measure_sensitivity(splat, [], framing, nothing, VIEWS)
    monkeypatch.setattr(gradients, "_CHUNK", 300)
    parts, _ = measure_sensitivity(splat, [], framing, nothing, VIEWS)
    assert whole.seen.any()
    for field in fields(whole):
        np.testing.assert_array_equal(getattr(parts, field.name), getattr(whole, field.name))


def test_a_large_splat_takes_little_more_than_what_is_kept_of_it(
    framing: Framing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gradients, "_CHUNK", 1 << 12)
    splat = cloud(100_000)
    measure_sensitivity(cloud(1000), [], framing, nothing, VIEWS)  # compiles
    tracemalloc.start()
    measure_sensitivity(splat, [], framing, nothing, VIEWS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < BYTES_A_GAUSSIAN * len(splat)
