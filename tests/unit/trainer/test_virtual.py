"""Virtual views show the surfaces as they look from elsewhere, leave out what no photo supports, and are trained on
beside the photos."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from splat.camera import Camera, look_at
from tests.unit.trainer.surfaces import BOX, HEIGHT, WIDTH, Cast, cast, grid, ground_points, photographed
from trainer.dataset import Frame, Known, Photo
from trainer.photo_store import PhotoStore
from trainer.schedule import Budget
from trainer.stereo.geometry import StereoPhoto
from trainer.stereo.maps import DepthMap, Stereo, reconstruct
from trainer.stereo.points import PRODUCT_CELL, DensePoints, fuse
from trainer.stereo.virtual import SETTINGS, Cover, VirtualView, camera_about, nearest_maps, virtual_views, warped
from trainer.virtual import as_photos, photo_at, share_of, taken_at, with_steps_for

UP = np.array([0.0, 0.0, 1.0])
TILTED = look_at((0.5, -0.7, 0.75), (0, 0, 0), width=WIDTH, height=HEIGHT)


@dataclass(frozen=True)
class Flight:
    """Nine photos straight down of a box on the ground, and their depth maps."""

    casts: list[Cast]
    photos: list[StereoPhoto]
    stereo: Stereo
    points: DensePoints

    @property
    def maps(self) -> list[DepthMap]:
        return [found for found in self.stereo.maps if found is not None]

    def picture(self, found: DepthMap, size: tuple[int, int]) -> NDArray[np.uint8]:
        assert size == (WIDTH, HEIGHT)
        return self.photos[int(found.name)].picture


@pytest.fixture(scope="module")
def flight() -> Flight:
    cameras = grid(3, 3)
    casts = [cast(camera, box=True) for camera in cameras]
    photos = photographed(cameras, casts, ground_points())
    stereo = reconstruct(photos, ground_points())
    return Flight(casts, photos, stereo, fuse(stereo, photos, PRODUCT_CELL))


def seen(flight: Flight, camera: Camera) -> VirtualView:
    return warped(camera, nearest_maps(camera, np.zeros(3), flight.maps, 8), flight.picture, {})


def test_a_view_that_no_photo_has_shows_what_the_surfaces_look_like_from_there(flight: Flight) -> None:
    view, truth = seen(flight, TILTED), cast(TILTED, box=True)
    error = np.abs(view.picture.astype(float) - truth.picture).mean(axis=2)[view.shown]
    assert view.shown.mean() > 0.4
    assert error.mean() < 4
    assert np.quantile(error, 0.95) < 16


def test_nothing_is_seen_through_the_box(flight: Flight) -> None:
    view, truth = seen(flight, TILTED), cast(TILTED, box=True)
    ground = cast(TILTED)
    roof = np.abs(heights(TILTED, truth) - BOX[1]) < 0.002
    assert roof.sum() > 1000
    assert view.shown[roof].mean() > 0.9
    as_roof = np.abs(view.picture[..., 0].astype(float) - truth.picture[..., 0])[roof & view.shown].mean()
    as_ground = np.abs(view.picture[..., 0].astype(float) - ground.picture[..., 0])[roof & view.shown].mean()
    assert as_roof < 0.2 * as_ground


def heights(camera: Camera, truth: Cast) -> NDArray[np.float64]:
    y, x = np.mgrid[: camera.height, : camera.width] + 0.5
    finite = np.where(np.isfinite(truth.depth), truth.depth, 1.0)
    places = camera.unproject(np.stack([x.ravel(), y.ravel()], axis=1), finite.ravel())
    return places[:, 2].reshape(truth.depth.shape)


def test_no_ground_is_shown_where_the_side_of_the_box_hides_it(flight: Flight) -> None:
    """Photos from above do not show the wall, so the ground behind it would show through."""
    camera = look_at((0.1, -1.1, 0.3), (0, 0, 0.1), width=WIDTH, height=HEIGHT)
    height = heights(camera, cast(camera, box=True))
    wall = (height > 0.03) & (height < BOX[1] - 0.03)
    maps = nearest_maps(camera, np.zeros(3), flight.maps, 8)
    plain = warped(camera, maps, flight.picture, {})
    cover = Cover.of(flight.points.positions, UP, SETTINGS.cell)
    covered = warped(camera, maps, flight.picture, {}, cover)
    assert wall.sum() > 1000
    assert plain.shown[wall].mean() > 0.1
    assert covered.shown[wall].mean() < 0.02
    free = (height < 0.002) & (np.arange(HEIGHT)[:, None] > HEIGHT * 0.75)  # the ground in front of the box
    assert (covered.shown[free] == plain.shown[free]).mean() > 0.99
    assert (covered.shown <= plain.shown).all()


def test_the_cover_of_a_long_corridor_is_coarser_and_not_larger() -> None:
    ends = np.array([[0.0, 0.0, 0.0], [700.0, 700.0, 0.5]])
    cover = Cover.of(ends, UP, SETTINGS.cell)
    assert cover.tops.size < 31_000_000
    assert sorted(cover.tops[np.isfinite(cover.tops)]) == [0.0, 0.5]
    assert cover.summit == 0.5


def test_what_no_photo_shows_is_left_out(flight: Flight) -> None:
    """A wall that faces away from all photos but the outermost, and the ground beyond the flight."""
    camera = look_at((2.4, 0, 1), (1.6, 0, 0), width=WIDTH, height=HEIGHT)
    beyond = camera.unproject(
        np.stack(np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5), axis=-1).reshape(-1, 2),
        np.nan_to_num(cast(camera).depth, posinf=1e3).ravel(),
    )
    outside = ~np.any([each.camera.contains(*each.camera.project(beyond)) for each in flight.maps], axis=0)
    view = warped(camera, flight.maps, flight.picture, {})
    assert outside.mean() > 0.5
    assert not view.shown.ravel()[outside].any()
    assert not warped(camera, [], flight.picture, {}).shown.any()


def test_exposures_are_taken_out(flight: Flight) -> None:
    """With its gain, the middle photo at two thirds of the brightness gives the same view."""
    dark = flight.maps[4].name

    def picture(found: DepthMap, size: tuple[int, int]) -> NDArray[np.uint8]:
        whole = flight.picture(found, size)
        return (whole * (2 / 3)).round().astype(np.uint8) if found.name == dark else whole

    maps = nearest_maps(TILTED, np.zeros(3), flight.maps, 8)
    plain, evened = seen(flight, TILTED), warped(TILTED, maps, picture, {dark: np.full(3, 2 / 3)})
    uneven = warped(TILTED, maps, picture, {})
    assert np.abs(plain.picture.astype(int) - evened.picture).max() <= 1
    assert np.abs(plain.picture.astype(int) - uneven.picture).max() > 30


def test_the_view_of_a_photo_is_the_photo(flight: Flight) -> None:
    middle = flight.maps[4]
    view = seen(flight, middle.camera)
    error = np.abs(view.picture.astype(int) - flight.photos[4].picture)[view.shown]
    assert view.shown.mean() > 0.8
    assert error.mean() < 1.5


def test_views_are_taken_around_what_photos_agree_on(flight: Flight) -> None:
    views = virtual_views(flight.stereo, flight.points, flight.picture, {}, UP, WIDTH)
    assert len(flight.maps) < len(views) <= 2 * len(flight.maps)
    like = flight.maps[0].camera
    for view in views:
        camera = view.camera
        assert (camera.width, camera.height) == (WIDTH, HEIGHT)
        assert camera.fx == pytest.approx(like.fx)
        assert view.shown.mean() >= SETTINGS.min_shown
        down = -camera.rotation[2, 2]
        assert np.sin(np.radians(20)) <= down <= np.sin(np.radians(75))
        assert camera.rotation[1] @ UP < 0  # not upside down
    again = virtual_views(flight.stereo, flight.points, flight.picture, {}, UP, WIDTH)
    assert all(a.picture.tobytes() == b.picture.tobytes() for a, b in zip(views, again, strict=True))


def test_there_are_no_views_of_what_is_not_known(flight: Flight) -> None:
    nothing = flight.points.select(np.zeros(len(flight.points), bool))
    assert virtual_views(flight.stereo, nothing, flight.picture, {}, UP, WIDTH) == []
    assert virtual_views(Stereo([None], [[]]), flight.points, flight.picture, {}, UP, WIDTH) == []
    few = replace(SETTINGS, max_bytes=3 * 4 * WIDTH * HEIGHT)
    assert 1 <= len(virtual_views(flight.stereo, flight.points, flight.picture, {}, UP, WIDTH, few)) <= 3
    picky = replace(SETTINGS, min_shown=1.1)
    assert virtual_views(flight.stereo, flight.points, flight.picture, {}, UP, WIDTH, picky) == []


def test_views_that_a_photo_nearly_has_are_not_taken(flight: Flight) -> None:
    def views(min_angle: float) -> list[VirtualView]:
        strict = replace(SETTINGS, min_angle=min_angle)
        return virtual_views(flight.stereo, flight.points, flight.picture, {}, UP, WIDTH, strict)

    def nearest(view: VirtualView) -> float:
        """The angle in degrees between the view's ray to its place and that of the photo with the most similar
        direction."""
        middle = replace(view.camera, width=1, height=1, cx=0.5, cy=0.5)
        depth = cast(middle, box=True).depth[0, 0]
        (place,) = view.camera.unproject(np.array([[WIDTH / 2, HEIGHT / 2]]), np.array([depth]))
        seeing = [each.camera for each in flight.maps if each.camera.contains(*each.camera.project(place[None]))[0]]
        rays = [
            (place - camera.position) / np.linalg.norm(place - camera.position) for camera in [view.camera, *seeing]
        ]
        return float(np.degrees(np.arccos(max(rays[0] @ ray for ray in rays[1:]))))

    every, apart = views(0), views(35)
    kept = {view.camera.position.tobytes() for view in apart}
    assert 0 < len(apart) < len(every)
    assert kept <= {view.camera.position.tobytes() for view in every}
    for view in every:
        assert (view.camera.position.tobytes() in kept) == (nearest(view) >= 35)


@given(st.integers(0, 2**31), st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda up: np.linalg.norm(up) > 0.1))
def test_a_drawn_camera_sees_its_place_from_where_the_settings_say(seed: int, direction: tuple[float, ...]) -> None:
    up = np.array(direction) / np.linalg.norm(direction)
    place = np.array([0.3, -0.2, 0.1])
    camera = camera_about(np.random.default_rng(seed), place, up, grid(1, 1)[0].resized(120, 90), SETTINGS)
    pixels, depths = camera.project(place[None])
    np.testing.assert_allclose(pixels[0], (60, 45), atol=1e-6)
    assert SETTINGS.distance[0] <= depths[0] <= SETTINGS.distance[1]
    elevation = np.degrees(np.arcsin((camera.position - place) @ up / depths[0]))
    assert SETTINGS.elevation[0] - 1e-6 <= elevation <= SETTINGS.elevation[1] + 1e-6


def test_one_thread_and_two_give_the_same_bytes(flight: Flight) -> None:
    threads = numba.get_num_threads()
    if threads < 2:
        pytest.skip("this machine has one thread")
    views = []
    for count in (1, 2):
        numba.set_num_threads(count)
        views.append(seen(flight, TILTED))
    numba.set_num_threads(threads)
    assert views[0].picture.tobytes() == views[1].picture.tobytes()
    assert views[0].shown.tobytes() == views[1].shown.tobytes()


def named(count: int, kind: str) -> list[Photo]:
    return [Photo(f"{kind} {number}", Path(), TILTED, "train") for number in range(count)]


@given(st.integers(1, 30), st.integers(0, 90), st.integers(0, 9))
def test_photos_and_views_come_in_epochs_of_their_own_and_views_by_their_share(
    count: int, more: int, seed: int
) -> None:
    photos, virtual = named(count, "photo"), named(more, "virtual")
    taken = [taken_at(step, photos, virtual, seed).name for step in range(400)]
    of_photos = [name for name in taken if name.startswith("photo")]
    of_views = [name for name in taken if name.startswith("virtual")]
    share = share_of(virtual, count)
    assert share == pytest.approx(min(0.25, 0.25 * more / (2 * count)))
    assert abs(len(of_views) - 400 * share) <= 1
    for names, size in ((of_photos, count), (of_views, more)):
        for epoch in range(len(names) // max(1, size)):
            assert len(set(names[epoch * size : (epoch + 1) * size])) == size
    if not virtual:
        assert taken == [f"photo {photo_at(step, count, seed)}" for step in range(400)]


def test_views_of_more_pixels_are_fewer_and_looked_at_more_often() -> None:
    camera = TILTED.resized(1600, 1200)
    count = SETTINGS.wanted(300, camera.width * camera.height)
    assert count == 54
    assert 4 * count * camera.width * camera.height <= SETTINGS.max_bytes
    assert share_of([replace(photo, camera=camera) for photo in named(count, "virtual")], 300) == 0.25


@given(st.integers(1, 100_000), st.floats(0, 0.25))
def test_photos_are_looked_at_about_as_often_as_without_views(steps: int, share: float) -> None:
    planned = with_steps_for(Budget(steps, 1000, 1000), share)
    assert 0.89 * steps - 1 <= planned.steps * (1 - share) <= steps + 1
    assert planned.steps >= steps


def test_a_view_keeps_its_place_as_a_photo_of_the_world(flight: Flight) -> None:
    frame = Frame(np.array([500.0, -200.0, 30.0]), 40.0)
    view = seen(flight, TILTED)
    (photo,) = as_photos([view], frame)
    np.testing.assert_allclose(frame.camera(photo.camera).world_to_camera, TILTED.world_to_camera, atol=1e-9)
    sizes = [photo.at(factor).width for factor in (0.25, 0.5, 1.0)]
    assert sizes == [WIDTH // 2, WIDTH, WIDTH]  # the view is half as large as the photos
    assert named(1, "photo")[0].at(0.25).width == WIDTH // 4


def test_the_store_hands_out_a_views_picture_and_what_is_known_of_it() -> None:
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[:, WIDTH // 2 :] = 200
    shown = np.zeros((HEIGHT, WIDTH), bool)
    shown[: HEIGHT // 2] = True
    photo = replace(named(1, "virtual")[0], virtual=Known(picture, shown))
    store = PhotoStore().with_gains({"another": np.full(3, 2.0)})
    for camera in (TILTED, TILTED.scaled(0.5)):
        target, mask = store.target(photo, camera), store.mask(photo, camera)
        assert mask is not None
        assert mask.shape == (camera.height, camera.width)
        assert mask[: camera.height // 2].all()
        assert not mask[camera.height // 2 :].any()
        np.testing.assert_allclose(target.planes[:, 0, [0, -1]], [[0, 200 / 255]] * 3, atol=1e-6)
