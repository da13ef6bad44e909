"""Depth maps: correct on known surfaces, checked against each other, and the same in whatever order the photos come."""

from __future__ import annotations

from dataclasses import dataclass, replace
from mmap import mmap
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.unit.trainer.surfaces import Cast, cast, grid, ground_points, photographed
from trainer.stereo import kernels
from trainer.stereo.geometry import StereoPhoto, balls_in_view, base_surface, inverse_step, resized
from trainer.stereo.maps import DepthMap, Stereo, check, patch_sizes, reconstruct
from trainer.stereo.neighbours import choose_checks, choose_sources
from trainer.stereo.settings import SETTINGS


@dataclass(frozen=True)
class Flight:
    """Nine photos straight down of a box on the ground, and their depth maps."""

    casts: list[Cast]
    photos: list[StereoPhoto]
    points: NDArray[np.float64]
    stereo: Stereo


@pytest.fixture(scope="module")
def flight() -> Flight:
    cameras = grid(3, 3)
    casts = [cast(camera, box=True) for camera in cameras]
    photos = photographed(cameras, casts, ground_points())
    return Flight(casts, photos, ground_points(), reconstruct(photos, ground_points()))


def found(stereo: Stereo, index: int) -> DepthMap:
    depth_map = stereo.maps[index]
    assert depth_map is not None
    return depth_map


def test_depths_are_those_of_the_surfaces(flight: Flight) -> None:
    for index, shot in enumerate(flight.casts):
        depth_map = found(flight.stereo, index)
        error = np.abs(depth_map.inverse * shot.depth - 1)[depth_map.accepted]
        assert depth_map.accepted.mean() > 0.65  # only one photo sees the corners
        assert np.median(error) < 0.002
        assert (error < 0.01).mean() > 0.97


def test_a_box_without_a_sparse_point_is_found(flight: Flight) -> None:
    middle = found(flight.stereo, 4)
    roof = np.abs(flight.casts[4].depth - 0.8) < 0.005
    assert roof.sum() > 2000
    assert middle.accepted[roof].mean() > 0.9
    assert np.abs(middle.inverse[roof & middle.accepted] * 0.8 - 1).mean() < 0.005


def test_sigma_estimates_the_depth_error(flight: Flight) -> None:
    errors = []
    for index, shot in enumerate(flight.casts):
        depth_map = found(flight.stereo, index)
        error = np.abs(depth_map.inverse * shot.depth - 1) / depth_map.sigma
        errors.append(error[depth_map.accepted])
    error = np.concatenate(errors)
    assert (error < 1).mean() > 0.5
    assert (error < 3).mean() > 0.9


def test_maps_lie_on_the_disk(flight: Flight) -> None:
    """The maps of 5,000 photos would fill the memory of a training machine."""
    for index in range(len(flight.photos)):
        shown = found(flight.stereo, index)
        for values in (shown.inverse, shown.score, shown.agree, shown.accepted, shown.sigma):
            base: object = values
            while isinstance(base, np.ndarray):
                base = base.base
            assert isinstance(base, mmap)


def test_the_order_of_the_photos_is_of_no_account(flight: Flight) -> None:
    order = [4, 0, 7, 2, 8, 1, 3, 6, 5]
    again = reconstruct([flight.photos[index] for index in order], flight.points)
    for place, index in enumerate(order):
        before, after = found(flight.stereo, index), found(again, place)
        assert (before.accepted == after.accepted).mean() > 0.999
        np.testing.assert_allclose(before.inverse, after.inverse, rtol=1e-5)


@settings(max_examples=3, deadline=None)
@given(st.floats(0.02, 50))
def test_a_world_twice_as_large_is_twice_as_far(size: float) -> None:
    casts = [cast(camera) for camera in grid(1, 3)]
    near = reconstruct(photographed(grid(1, 3), casts, ground_points()), ground_points())
    points = ground_points(size)
    far = reconstruct(
        photographed(grid(1, 3, size=size), casts, points), points, replace(SETTINGS, reach=SETTINGS.reach * size)
    )
    for index in range(3):
        a, b = found(near, index), found(far, index)
        same = np.abs(a.inverse / (b.inverse * size) - 1) < 1e-3
        assert same.mean() > 0.99  # rounding may make a pixel choose another hypothesis
        assert (a.accepted == b.accepted).mean() > 0.99


def test_one_thread_and_two_give_the_same_bytes(flight: Flight) -> None:
    threads = numba.get_num_threads()
    if threads < 2:
        pytest.skip("this machine has one thread")
    results = []
    for count in (1, 2):
        numba.set_num_threads(count)
        results.append(reconstruct(flight.photos, flight.points))
    numba.set_num_threads(threads)
    for one, two in zip(results[0].maps, results[1].maps, strict=True):
        assert one is not None
        assert two is not None
        for name in ("inverse", "score", "agree", "accepted", "sigma"):
            assert getattr(one, name).tobytes() == getattr(two, name).tobytes(), name


def test_what_a_mask_hides_has_no_depth_and_no_vote(flight: Flight) -> None:
    masks: list[NDArray[np.bool_] | None] = [None] * 9
    hidden = np.ones(flight.casts[4].depth.shape, bool)
    hidden[:, :120] = False
    masks[4] = hidden
    cameras = [photo.camera for photo in flight.photos]
    casts = list(flight.casts)
    picture = casts[4].picture.copy()
    picture[:, :120] = np.random.default_rng(0).integers(0, 255, (180, 120, 1))
    casts[4] = replace(casts[4], picture=picture)
    stereo = reconstruct(photographed(cameras, casts, flight.points, masks), flight.points)
    middle = found(stereo, 4)
    assert not middle.accepted[:, :120].any()
    assert (middle.inverse[:, :120] == 0).all()
    assert middle.accepted[:, 124:].mean() > 0.8
    for index, shot in enumerate(casts):
        depth_map = found(stereo, index)
        error = np.abs(depth_map.inverse * shot.depth - 1)[depth_map.accepted]
        assert (error < 0.01).mean() > 0.97


def test_two_photos_suffice_where_no_more_look() -> None:
    cameras = grid(1, 2, step=0.4)
    casts = [cast(camera) for camera in cameras]
    stereo = reconstruct(photographed(cameras, casts, ground_points()), ground_points())
    assert stereo.matched == 2
    depth_map = found(stereo, 0)
    assert depth_map.agree.max() == 1
    seen_by_both = np.s_[5:-5, 95:-5]
    assert depth_map.accepted[seen_by_both].mean() > 0.9


def test_photos_that_share_nothing_have_no_maps() -> None:
    cameras = [grid(1, 1)[0], grid(1, 3, step=30.0)[2]]
    casts = [cast(camera) for camera in cameras]
    stereo = reconstruct(photographed(cameras, casts, ground_points()), ground_points())
    assert stereo.maps == [None, None]
    assert stereo.matched == 0


def plane_votes(depths: list[float], mine: float = 1.0) -> DepthMap:
    """A map of depth `mine` checked against maps with other depths from the same camera, all with full confidence."""
    camera = grid(1, 1)[0]
    shape = (camera.height, camera.width)
    photo = photographed([camera], [cast(camera)], ground_points())[0]
    score = np.full(shape, 0.9, np.float32)
    others = [(camera, np.full(shape, 1 / depth, np.float32), score) for depth in depths]
    return check(photo, (np.full(shape, 1 / mine, np.float32), score), others, 0.01, SETTINGS)


def test_maps_agree_within_a_hundredth_and_are_averaged() -> None:
    checked = plane_votes([1.008, 0.995, 1.02])
    assert (checked.agree == 2).all()
    assert checked.accepted.all()
    np.testing.assert_allclose(checked.inverse, np.mean([1, 1 / 1.008, 1 / 0.995]), rtol=1e-5)


def test_one_agreeing_map_is_not_enough_where_three_look() -> None:
    assert plane_votes([1.001]).accepted.all()
    assert not plane_votes([1.001, 0.9]).accepted.any()
    assert plane_votes([1.001, 1.001]).accepted.all()
    assert not plane_votes([1.001, 0.9, 0.9]).accepted.any()
    assert plane_votes([1.001, 1.001, 0.9]).accepted.all()


def test_a_depth_without_bound_is_not_accepted_and_stays_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    compare = kernels.compare

    def unbounded(*arguments: Any) -> None:
        compare(*arguments)
        arguments[-1][:, 5, 7] = np.inf

    monkeypatch.setattr(kernels, "compare", unbounded)
    found = plane_votes([1.001, 1.001])
    assert not found.accepted[5, 7]
    assert found.accepted.sum() == found.accepted.size - 1
    assert np.isfinite(found.inverse).all()
    assert np.isfinite(found.sigma).all()


def test_maps_that_see_through_a_place_outvote_it() -> None:
    assert plane_votes([1.001, 1.001, 1.2]).accepted.all()
    assert not plane_votes([1.001, 1.001, 1.2, 1.2]).accepted.any()
    assert plane_votes([1.001, 1.001, 0.8, 0.8]).accepted.all()  # a surface in front of it may hide it


def test_nothing_far_away_is_kept() -> None:
    assert plane_votes([1.45, 1.45], mine=1.45).accepted.all()
    assert not plane_votes([1.55, 1.55], mine=1.55).accepted.any()


def test_sources_are_near_and_checks_look_at_everything(flight: Flight) -> None:
    sources = choose_sources(flight.photos, flight.points, SETTINGS)
    assert all(len(chosen) == 4 for chosen in sources)
    assert {1, 3, 5, 7} & set(sources[4])
    photos = photographed(grid(1, 40), [flight.casts[0]] * 40, ground_points(4))
    sources = choose_sources(photos, ground_points(4), SETTINGS)
    checks = choose_checks(photos, ground_points(4), SETTINGS, sources)
    assert max(len(chosen) for chosen in checks) <= SETTINGS.checks
    for index, chosen in enumerate(checks):
        assert index not in chosen
        assert set(sources[index]) <= set(chosen)
        assert len(set(chosen)) == len(chosen)
        assert all(abs(other - index) <= 9 for other in chosen)


@given(
    st.lists(st.floats(-3, 3), min_size=3, max_size=3),
    st.floats(0, 2),
    st.lists(st.floats(-1, 1), min_size=3, max_size=3),
)
def test_a_ball_that_holds_a_point_of_the_picture_is_in_view(
    centre: list[float], radius: float, away: list[float]
) -> None:
    camera = grid(1, 1)[0]
    point = np.array(centre) + radius * np.array(away) / max(1.0, float(np.linalg.norm(away)))
    balls = np.array([centre]), np.array([radius + 1e-9])
    assert balls_in_view(camera, *balls)[0] or not camera.contains(*camera.project(point[None]))[0]


def test_a_ball_behind_the_camera_or_beside_the_picture_is_not_in_view() -> None:
    camera = grid(1, 1)[0]
    forward, right = camera.rotation[2], camera.rotation[0]
    centres = camera.position + np.array([forward, -forward, forward + 5 * right, forward - 5 * right])
    assert balls_in_view(camera, centres, np.full(4, 0.1)).tolist() == [True, False, False, False]


def test_the_base_surface_is_the_plane_whatever_a_few_points_say() -> None:
    camera = grid(1, 1)[0]
    points = ground_points()
    points[:20, 2] = 0.5
    surface, _ = base_surface(camera, points)
    np.testing.assert_allclose(surface, 1, atol=0.01)


def test_a_step_moves_the_pixel_by_one() -> None:
    here, there = grid(1, 2)
    step = inverse_step(here, [there], 1.0)
    point = here.position + np.array([0, 0, -1.0])
    nearer = here.position + np.array([0, 0, -1 / (1 + step)])
    (a, b), _ = there.project(np.stack([point, nearer]))
    assert np.linalg.norm(a - b) == pytest.approx(1, rel=0.05)


def test_resizing_keeps_a_slope() -> None:
    slope = (np.arange(40, dtype=np.float32) + 0.5)[None].repeat(30, axis=0)
    twice = resized(slope, 80, 60)
    np.testing.assert_allclose(twice[:, 4:-4], ((np.arange(80) + 0.5) / 2)[None, 4:-4].repeat(60, axis=0), atol=1e-4)


def test_patches_are_connected_pixels_of_like_depth() -> None:
    accepted = np.ones((6, 8), bool)
    accepted[:, 3] = False
    inverse = np.ones((6, 8), np.float32)
    inverse[:2, 4:] = 1.1  # a step up: a separate patch
    inverse[2:, 5:] = 1.02  # a slope goes on
    sizes = patch_sizes(inverse, accepted, 0.03)
    assert (sizes[:, :3] == 18).all()
    assert (sizes[:, 3] == 0).all()
    assert (sizes[:2, 4:] == 8).all()
    assert (sizes[2:, 4:] == 16).all()
    sizes = patch_sizes(inverse, np.eye(6, 8, dtype=bool), 0.03)
    assert sizes.sum() == 6  # corners do not connect patches


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12))
@settings(max_examples=30, deadline=None)
def test_patches_are_those_of_a_flood_fill(seed: int, height: int, width: int) -> None:
    random = np.random.default_rng(seed)
    accepted = random.random((height, width)) < 0.7
    inverse = random.choice([1.0, 1.02, 1.1], (height, width)).astype(np.float32)
    expected = np.zeros((height, width), np.int64)
    left = set(zip(*np.nonzero(accepted), strict=True))
    while left:
        patch, edge = set(), [left.pop()]
        while edge:
            row, column = edge.pop()
            patch.add((row, column))
            for beside in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
                if beside in left and abs(inverse[beside] - inverse[row, column]) < 0.03 * max(
                    inverse[beside], inverse[row, column]
                ):
                    left.remove(beside)
                    edge.append(beside)
        for place in patch:
            expected[place] = len(patch)
    np.testing.assert_array_equal(patch_sizes(inverse, accepted, 0.03), expected)


def test_a_speck_that_one_map_agrees_with_is_rejected() -> None:
    """Only two photos see the place, as at the edge of a flight."""
    camera = grid(1, 1)[0]
    shape = (camera.height, camera.width)
    photo = photographed([camera], [cast(camera)], ground_points())[0]
    score = np.full(shape, 0.9, np.float32)
    side = int(np.sqrt(SETTINGS.min_patch)) - 1
    mine = np.ones(shape, np.float32)
    mine[10 : 10 + side, 10 : 10 + side] = 1.5  # a false match that happens to agree
    mine[30:50, 30:50] = 1.5  # something real
    once = check(photo, (mine, score), [(camera, mine, score)], 0.01, SETTINGS)
    assert not once.accepted[11 : 9 + side, 11 : 9 + side].any()
    assert once.accepted[31:49, 31:49].all()
    assert once.accepted[:10].all()
    twice = check(photo, (mine, score), [(camera, mine, score)] * 2, 0.01, SETTINGS)
    assert twice.accepted.all()
