"""Exposures: gains are found where photos agree, do not drift along a long flight, and are 1 if nothing is known."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.unit.trainer.surfaces import cast, grid, ground_points, photographed
from trainer.exposure import Pairs, even_exposures, predicted_gain, solve, spread
from trainer.stereo.maps import reconstruct
from trainer.stops import expected_gains, read_stops

Log = NDArray[np.float64]


def chain(
    logs: Log, bias: float, rng: np.random.Generator, vignetting: float = 0.0, rows: int = 1, sunside: float = 0.0
) -> Pairs:
    """The pairs' brightness ratios in a flight with log gains (photos,): `rows` strips flown to and fro, a fifth of
    the picture from photo to photo and from strip to strip; `bias`: the error of each ratio along the strip, per
    photo; `sunside`: how the log brightness grows with the ray's direction."""
    count = len(logs)
    columns = count // rows
    place = np.array([(index % columns, index // columns) for index in range(count)])
    found = []
    for first in range(count):
        for second in range(count):
            step = place[second] - place[first]
            if first != second and np.abs(step).max() <= 3:
                radius = rng.normal(0, 0.2)
                ratio = logs[first] - logs[second] + bias * step[0] + vignetting * radius + rng.normal(0, 0.002)
                along = 0.2 * step[0]  # of the ray: what is ahead of the first photo is behind the second
                found.append((first, second, ratio + sunside * along, 0.2 * np.hypot(*step), radius, along))
    firsts, seconds, measured, shifts, radii, alongs = (np.array(values) for values in zip(*found, strict=True))
    rays = np.stack([alongs, 0 * alongs, 0 * alongs], axis=1)
    ratios = np.repeat(measured[:, None], 3, axis=1)
    return Pairs(
        firsts.astype(int), seconds.astype(int), ratios, np.full_like(ratios, 0.002), rays, shifts, shifts / 2, radii
    )


def without_ramp(logs: Log, places: Log) -> Log:
    """The logs without the part that is linear in the photos' positions (photos, axes): it could as well come from the
    light's direction, which only EXIF can tell."""
    design = np.column_stack([places, np.ones(len(places))])
    ramp: Log = design @ np.linalg.lstsq(design, logs, rcond=None)[0]
    return logs - ramp


def test_a_long_flight_does_not_drift() -> None:
    rng = np.random.default_rng(0)
    gains = solve(chain(np.zeros(150), 0.005, rng), np.ones(150))
    assert np.abs(gains - 1).max() < 0.03


def test_memory_grows_with_the_pairs_not_with_pairs_times_photos() -> None:
    """600 photos in twelve pairs each: as dense matrices, their equations take 35 MB, those of 5,000 photos 2.4 GB."""
    rng, count = np.random.default_rng(0), 600
    first = np.repeat(np.arange(count), 12)
    second = (first + np.tile(np.arange(1, 13), count)) % count
    shape = (len(first), 3)
    ratios, scatter, level = rng.normal(0, 0.01, shape), np.full(shape, 0.002), np.full(len(first), 0.2)
    pairs = Pairs(first, second, ratios, scatter, rng.normal(0, 0.2, shape), level, level, rng.normal(0, 0.2, shape[0]))
    tracemalloc.start()
    solve(pairs, np.ones(count))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 30 << 20


def test_a_long_flight_of_uneven_photos_is_evened_without_drift() -> None:
    rng = np.random.default_rng(1)
    logs = rng.normal(0, 0.13, 150)
    logs -= logs.mean()
    error = np.log(solve(chain(logs, 0.005, rng), np.ones(150))[:, 0]) - logs
    assert np.abs(error).max() < 0.06
    assert error.std() < 0.02


@pytest.mark.parametrize("photos", [16, 150])
def test_the_sunny_side_of_what_is_seen_is_not_taken_for_exposure(photos: int) -> None:
    """Each photo sees the same trees from a slightly different side, and the ratios would add up to a ramp."""
    rng = np.random.default_rng(8)
    logs = without_ramp(rng.normal(0, 0.05, photos), np.arange(float(photos))[:, None])
    error = np.log(solve(chain(logs, 0.0, rng, sunside=0.3), np.ones(photos))[:, 0]) - logs
    assert np.abs(error).max() < 0.04  # 0.27 and 0.35 without the direction term


def test_a_ramp_of_exposures_is_told_from_the_sunny_side_by_exif() -> None:
    """On one strip, neither pairs nor their positions show the difference; the camera's shutter time does."""
    rng = np.random.default_rng(9)
    ramp = np.linspace(-0.2, 0.2, 16)
    pairs = chain(ramp, 0.0, rng, sunside=0.3)
    believed = np.exp(ramp + rng.normal(0, 0.03, 16))
    assert np.abs(np.log(solve(pairs, believed)[:, 0]) - ramp).max() < 0.05
    assert np.abs(np.log(solve(pairs, np.ones(16))[:, 0]) - ramp).max() > 0.1


def test_a_block_of_photos_is_evened() -> None:
    rng = np.random.default_rng(2)
    places = np.array([(index % 5, index // 5) for index in range(20)], dtype=np.float64)
    logs = without_ramp(rng.normal(0, 0.13, 20), places)
    gains = solve(chain(logs, 0.0, rng, rows=4), np.ones(20))
    assert np.abs(np.log(gains[:, 0]) - logs).max() < 0.02
    np.testing.assert_allclose(np.log(gains).mean(axis=0), 0, atol=1e-12)


def test_vignetting_is_not_taken_for_exposure() -> None:
    rng = np.random.default_rng(3)
    gains = solve(chain(np.zeros(40), 0.0, rng, vignetting=-0.1, rows=4), np.ones(40))
    assert np.abs(gains - 1).max() < 0.005


def test_oblique_photos_that_look_through_haze_are_not_taken_for_brighter_ones() -> None:
    """Two rows of nadir and two of oblique photos, between which every ratio is wrong by 5 %."""
    rng = np.random.default_rng(7)
    logs = rng.normal(0, 0.13, 40)
    logs -= logs.mean()
    pairs = chain(logs, 0.0, rng, rows=4)
    across = (pairs.first // 20) != (pairs.second // 20)
    pairs.ratios[across] += 0.05 * np.sign(pairs.first - pairs.second)[across, None]
    pairs.angle[across] = 0.8
    error = np.log(solve(pairs, np.ones(40))[:, 0]) - logs
    assert error[:20].std() < 0.01
    assert error[20:].std() < 0.01
    assert np.abs(error).max() < 0.035


def test_one_wrong_pair_is_outvoted() -> None:
    rng = np.random.default_rng(4)
    pairs = chain(np.zeros(20), 0.0, rng, rows=4)
    pairs.ratios[7] += 1.5
    assert np.abs(solve(pairs, np.ones(20)) - 1).max() < 0.01


def test_photos_that_share_nothing_keep_their_exposure() -> None:
    rng = np.random.default_rng(5)
    pairs = chain(np.array([0.1, -0.1, 0.0]), 0.0, rng)
    gains = solve(pairs, np.ones(5))
    np.testing.assert_array_equal(gains[3:], 1)
    assert gains[0, 0] > 1.05
    nothing, no_colours = np.zeros(0), np.zeros((0, 3))
    nobody = nothing.astype(int)
    none = Pairs(nobody, nobody, no_colours, no_colours, no_colours, nothing, nothing, nothing)
    np.testing.assert_array_equal(solve(none, np.ones(4)), np.ones((4, 3)))


def test_gains_of_photographed_ground_are_found_in_each_channel() -> None:
    cameras = grid(2, 4)
    casts = [cast(camera) for camera in cameras]
    places = np.array([camera.position[:2] for camera in cameras])
    truth = np.exp(without_ramp(np.random.default_rng(6).normal(0, 0.13, (8, 3)), places))
    for shot, gain in zip(casts, truth, strict=True):
        shot.picture[:] = (shot.picture * gain).clip(0, 255).round()
    photos = photographed(cameras, casts, ground_points())
    gains = even_exposures(reconstruct(photos, ground_points()), photos)
    assert list(gains) == [photo.name for photo in photos]
    np.testing.assert_allclose(np.stack(list(gains.values())), truth, rtol=0.02)


def test_a_held_out_photo_is_as_bright_as_those_beside_it() -> None:
    gains = {"a": np.full(3, 1.21), "c": np.full(3, 1.0), "d": np.full(3, 0.5)}
    alike = dict.fromkeys(["a", "b", "c", "d", "e"], 1.0)
    np.testing.assert_allclose(predicted_gain(gains, "b", alike), 1.1)
    np.testing.assert_allclose(predicted_gain(gains, "e", alike), 0.5)
    np.testing.assert_array_equal(predicted_gain({}, "b", alike), np.ones(3))


def test_a_held_out_photo_of_another_exposure_is_as_bright_as_exif_says_beside_those() -> None:
    gains = {"a": np.full(3, 1.1), "c": np.full(3, 2.2)}
    believed = {"a": 1.0, "b": 1.5, "c": 2.0}
    np.testing.assert_allclose(predicted_gain(gains, "b", believed), 1.65)


def test_one_stop_more_light_is_brighter_by_the_response_of_srgb() -> None:
    found = expected_gains({"a": -5.0, "b": -6.0, "c": None})
    assert found["a"] / found["b"] == pytest.approx(2**0.45)
    assert found["a"] * found["b"] == pytest.approx(1)
    assert found["c"] == 1
    assert expected_gains({"a": None}) == {"a": 1}


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[1, null]", '[{"name": 1, "stops": 2}]', '[{"name": "a.jpg", "stops": "-5"}]',
     '[{"name": "a.jpg", "stops": 1e999}]', '[{"name": "a.jpg", "stops": NaN}]',
     '[{"name": "a.jpg", "stops": 20.1}]', '[{"name": "a.jpg"}]'],
)  # fmt: skip
def test_a_foreign_account_of_photos_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "photos.json").write_text(text)
    assert read_stops(tmp_path) == {}


def test_stops_are_read_by_name(tmp_path: Path) -> None:
    assert read_stops(tmp_path) == {}
    (tmp_path / "photos.json").write_text('[{"name": "a.jpg", "stops": -5.5}, {"name": "b.jpg"}]')
    assert read_stops(tmp_path) == {"a.jpg": -5.5}


def test_spread_is_that_of_the_logarithms() -> None:
    gains = {"a": np.full(3, np.exp(0.1)), "b": np.full(3, np.exp(-0.1))}
    assert spread(gains) == pytest.approx(0.1)
    assert spread({}) == 0
