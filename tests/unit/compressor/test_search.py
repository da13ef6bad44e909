"""Presets, and the search that meets them with the fewest bytes."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compressor.compress import compress
from compressor.curves import Arranged, Curve, PaletteCurve, measure_curves
from compressor.framing import frame_scene
from compressor.presets import LOSS, OF_QUALITY, Preset, target
from compressor.quality import HeldOut, Yardstick, draw, psnr, yardstick
from compressor.search import choose, search
from compressor.sensitivity import measure_sensitivity
from compressor.sog.codes import Steps
from compressor.sog.container import pack_files, read_codes
from compressor.sog.decoder import dequantise
from compressor.sog.encoder import arrange
from splat.gaussians import Gaussians
from stage.environment import QUALITIES
from stage.errors import ErrorCode, StageError

MakeSplat = Callable[..., Gaussians]
NAMES = ("positions", "scales", "colours")


def silent(_share: float, _text: str) -> None:
    pass


@pytest.fixture(scope="module")
def scene(make_splat: MakeSplat) -> Arranged:
    splat = arrange(make_splat(900, 2))
    return Arranged(splat, measure_sensitivity(splat, [], frame_scene(splat, [], z_up=True), lambda: None))


@pytest.fixture(scope="module")
def stick(scene: Arranged) -> Yardstick:
    return yardstick(scene.gaussians, [], frame_scene(scene.gaussians, [], z_up=True))


@pytest.fixture(scope="module")
def measured(scene: Arranged, stick: Yardstick) -> tuple[list[Curve], PaletteCurve | None]:
    return measure_curves(scene, stick, 1e-4, silent)


def test_every_quality_has_a_preset_and_better_ones_lose_less() -> None:
    assert set(OF_QUALITY) == set(QUALITIES)
    assert LOSS[Preset.ARCHIVE] < LOSS[Preset.WEB] < LOSS[Preset.TINY]


@given(before=st.floats(10, 45), preset=st.sampled_from(Preset))
def test_the_target_error_costs_just_the_presets_loss(before: float, preset: Preset) -> None:
    goal = target(preset, before)
    training = 10 ** (-before / 10)
    assert before - psnr(training + goal.mean_squared_error) == pytest.approx(LOSS[preset], rel=1e-6)


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), share=st.floats(0.05, 1.2))
def test_the_choice_keeps_the_budget_and_is_near_the_best(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    curves = [
        Curve(name, tuple(range(8)), np.sort(rng.uniform(1, 100, 8))[::-1], np.sort(rng.uniform(0, 1, 8)))
        for name in NAMES
    ]
    finest = sum(float(curve.error[0]) for curve in curves)
    budget = finest + share * sum(float(curve.error[-1] - curve.error[0]) for curve in curves)
    steps = choose(curves, budget)
    picks = [int(getattr(steps, name)) for name in NAMES]
    assert sum(float(curve.error[pick]) for curve, pick in zip(curves, picks, strict=True)) <= budget
    cost = sum(float(curve.bytes[pick]) for curve, pick in zip(curves, picks, strict=True))
    affordable = [
        sum(float(curve.bytes[i]) for curve, i in zip(curves, combination, strict=True))
        for combination in itertools.product(range(8), repeat=3)
        if sum(float(curve.error[i]) for curve, i in zip(curves, combination, strict=True)) <= budget
    ]
    # a Lagrangian misses the best by at most one step of one attribute
    assert min(affordable) <= cost <= min(affordable) + max(float(curve.bytes.max()) for curve in curves)


def test_a_budget_for_all_takes_the_coarsest_and_one_for_nothing_the_finest() -> None:
    curves = [Curve(name, (0, 1), np.array([9.0, 3.0]), np.array([0.1, 0.5])) for name in NAMES]
    assert choose(curves, 10) == Steps(positions=1, scales=1, colours=1)
    assert choose(curves, 0) == Steps(positions=0, scales=0, colours=0)


def test_curves_cost_less_and_err_more_from_fine_to_coarse(measured: tuple[list[Curve], PaletteCurve]) -> None:
    curves, palettes = measured
    for curve in curves:
        assert curve.bytes[0] > curve.bytes[-1]
        assert curve.error[-1] > 5 * curve.error[0]
    palette = palettes.curve()
    assert palette.values[0] == 0
    assert palette.bytes[0] == 0
    assert (np.diff(palette.error) <= 0).all()


@pytest.mark.parametrize("decibels", [34, 42, 50])
def test_the_search_meets_its_budget_without_wasting_it(
    decibels: float, scene: Arranged, stick: Yardstick, measured: tuple[list[Curve], PaletteCurve]
) -> None:
    found = search(scene, *measured, 10 ** (-decibels / 10), stick, silent)
    assert decibels <= psnr(found.mean_squared_error) < decibels + 4
    # what it claims is what a reader of the file sees
    assert stick.mean_squared_error(dequantise(found.codes)) == pytest.approx(found.mean_squared_error)


def test_more_loss_makes_a_smaller_file(
    scene: Arranged, stick: Yardstick, measured: tuple[list[Curve], PaletteCurve]
) -> None:
    sizes = [
        sum(map(len, pack_files(search(scene, *measured, 10 ** (-decibels / 10), stick, silent).codes).values()))
        for decibels in (34, 42, 50)
    ]
    assert sizes[0] < sizes[1] < sizes[2]
    assert sizes[0] < 0.7 * sizes[2]


def test_an_impossible_budget_gets_the_finest_steps(
    scene: Arranged, stick: Yardstick, measured: tuple[list[Curve], PaletteCurve]
) -> None:
    found = search(scene, *measured, 1e-12, stick, silent)
    assert replace(found.steps, bit_price=0.0) == Steps()


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
    result = compress(splat, [], held_out, framing, Preset.WEB, silent, lambda: None)
    assert result.met
    assert result.psnr_before is not None
    assert result.psnr_before - result.psnr_after <= LOSS[Preset.WEB]
    assert len(read_codes(result.sog)) == 900
    assert 0.8 * len(result.sog) < sum(result.bytes_by_file.values()) < len(result.sog)


def test_a_stop_ends_the_compression(make_splat: MakeSplat) -> None:
    splat = make_splat(200, 0)

    def stop(_share: float, _text: str) -> None:
        raise StageError(ErrorCode.INTERRUPTED, "asked to stop")

    with pytest.raises(StageError, match="INTERRUPTED"):
        compress(splat, [], None, frame_scene(splat, [], z_up=True), Preset.TINY, stop, lambda: None)
