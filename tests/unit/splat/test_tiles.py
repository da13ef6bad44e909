"""Tile lists: complete, ordered, and the same whatever the number of threads."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splat.projection import HALF_A, HALF_C, SIGMA_LIMIT, B, Projected, X, Y, packed, project
from splat.tiles import TILE, TileLists, tile_lists
from tests.unit.splat.scenes import kinds_of_gaussians, make_camera, make_gaussians, seeds


def projected(kinds: list[str], seed: int, factor: int) -> tuple[Projected, int, int]:
    camera = make_camera().scaled(factor)
    g = make_gaussians(kinds, seed)
    arrays = (g.means, g.quats, g.scales, g.opacities, g.sh0, g.shN)
    return project(*arrays, packed(camera), camera.width, camera.height, 0), camera.width, camera.height


def pixels_of(footprint: np.ndarray, width: int, height: int) -> np.ndarray:
    """Mask (height, width) of the pixels that the Gaussian draws."""
    dx = np.arange(width)[None, :] + 0.5 - footprint[X]
    dy = np.arange(height)[:, None] + 0.5 - footprint[Y]
    sigma = footprint[HALF_A] * dx * dx + footprint[B] * dx * dy + footprint[HALF_C] * dy * dy
    drawn: np.ndarray = sigma <= footprint[SIGMA_LIMIT]
    return drawn


@settings(max_examples=60, deadline=None)
@given(kinds=kinds_of_gaussians, seed=seeds, factor=st.integers(1, 4))
def test_a_gaussian_is_in_the_list_of_every_tile_it_draws_in(kinds: list[str], seed: int, factor: int) -> None:
    flat, width, height = projected(kinds, seed, factor)
    lists = tile_lists(flat.footprints, flat.depths, width, height)
    across = -(-width // TILE)
    listed = {
        (tile, int(i))
        for tile in range(len(lists.starts) - 1)
        for i in lists.gaussians[lists.starts[tile] : lists.starts[tile + 1]]
    }
    for i in np.flatnonzero(flat.depths > 0):
        rows, columns = np.nonzero(pixels_of(flat.footprints[i].astype(np.float64), width, height))
        drawn = {(int(r) // TILE * across + int(c) // TILE, int(i)) for r, c in zip(rows, columns, strict=True)}
        assert drawn <= listed


@settings(max_examples=60, deadline=None)
@given(kinds=kinds_of_gaussians, seed=seeds)
def test_lists_are_ordered_and_slots_are_one_to_one(kinds: list[str], seed: int) -> None:
    flat, width, height = projected(kinds, seed, 3)
    lists = tile_lists(flat.footprints, flat.depths, width, height)
    for tile in range(len(lists.starts) - 1):
        within = lists.gaussians[lists.starts[tile] : lists.starts[tile + 1]]
        keys = list(zip(flat.depths[within], within, strict=True))
        assert keys == sorted(keys)
        assert len(set(within.tolist())) == len(within)
    assert sorted(lists.slots.tolist()) == list(range(len(lists.gaussians)))
    for hit, i in enumerate(lists.gaussians):
        assert lists.slot_starts[i] <= lists.slots[hit] < lists.slot_starts[i + 1]


def test_thin_slanted_gaussians_enter_few_lists() -> None:
    """A needle along the diagonal of 8 by 8 tiles touches about two tiles in each row, not all 64."""
    footprint = np.zeros((1, 8), np.float32)
    covariance = np.array([[1000.3, 1000.0], [1000.0, 1000.3]])
    a, b, c = np.linalg.inv(covariance)[[0, 0, 1], [0, 1, 1]]
    reach = np.sqrt(2 * 2.0 * 1000.3)
    footprint[0] = 64, 64, a / 2, b, c / 2, reach, reach, 2.0
    lists = tile_lists(footprint, np.ones(1, np.float32), 128, 128)
    assert 8 <= len(lists.gaussians) <= 24


@pytest.mark.skipif(numba.get_num_threads() < 2, reason="one core")
def test_the_number_of_threads_changes_nothing() -> None:
    flat, width, height = projected(["plain", "huge", "flat", "tiny"] * 20, 5, 6)

    def with_threads(count: int) -> TileLists:
        before = numba.get_num_threads()
        numba.set_num_threads(count)
        try:
            return tile_lists(flat.footprints, flat.depths, width, height)
        finally:
            numba.set_num_threads(before)

    one, two = with_threads(1), with_threads(2)
    for name in ("starts", "gaussians", "slots", "slot_starts"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_an_empty_scene_has_empty_lists() -> None:
    lists = tile_lists(np.zeros((0, 8), np.float32), np.zeros(0, np.float32), 40, 20)
    assert lists.starts.tolist() == [0] * 7
    assert len(lists.gaussians) == 0
