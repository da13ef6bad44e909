"""Virtual views: pictures from where no photo was taken, as the photos and their depth maps predict them.

A splat trained on photos alone is right along their rays and free to be wrong along all others: when it is turned, it
is blurred, doubled or full of holes. Where several photos agree on a surface, its colours are known from other sides,
too, and training is shown them from there. Pixels that no photo vouches for are left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from splat.camera import Camera, level_axes, orbit
from trainer.stereo import warping
from trainer.stereo.geometry import Bool, Float64, pair_warp
from trainer.stereo.maps import DepthMap, Stereo
from trainer.stereo.points import DensePoints

Picture = NDArray[np.uint8]
PictureOf = Callable[[DepthMap, tuple[int, int]], Picture]


@dataclass(frozen=True)
class VirtualSettings:
    """Where virtual views are taken from, and what they show."""

    views_per_photo: float = 2.0
    """With twice as many as training photos, each is looked at as seldom as a photo."""

    max_bytes: int = 400 << 20
    """Of all views, four a pixel: 560 views of 500 by 375 pixels, 54 of 1,600 by 1,200."""

    elevation: tuple[float, float] = (20.0, 75.0)
    """Degrees above the level, drawn evenly: from where a scene is turned. Below, little is seen but what photos from
    above cannot know."""

    distance: tuple[float, float] = (0.6, 1.4)
    """Viewing distances from a place that photos agree on, drawn evenly."""

    min_angle: float = 20.0
    """Degrees between the view's ray to its place and those of all photos that show it: from nearer, a photo says more
    itself."""

    min_shown: float = 0.25
    """Share of the pixels that photos must vouch for."""

    photos: int = 8
    """Photos that a view is made of: those that look at its place most nearly as it does."""

    see_through: float = 0.03
    """Relative inverse depth by which a pixel must lie behind those around it to be a gap between them."""

    tolerance: float = 0.015
    """Relative difference of depth up to which a photo sees the same place."""

    cell: float = 0.01
    """Side of the cells, in viewing distances, whose greatest heights say what may hide a place."""

    margin: float = 0.02
    """Viewing distances that a ray may pass beneath a surface that is known from above."""

    def wanted(self, photos: int, pixels: int) -> int:
        """How many views of so many pixels are drawn for so many training photos, one at least."""
        return max(1, min(self.max_bytes // (4 * pixels), round(self.views_per_photo * photos)))


SETTINGS = VirtualSettings()
_MAX_CELLS = 30_000_000  # of the ground: 120 MB


@dataclass(frozen=True)
class Cover:
    """The greatest height of a scene's surfaces in each cell of the ground.

    `axes` (3, 3): two level unit vectors and the vertical; `tops` (M, N) along the second and first of them, -inf where
    nothing is known; `corner` (2,) where the first cell begins, and the side of a `cell`.
    """

    axes: Float64
    tops: NDArray[np.float32]
    corner: Float64
    cell: float

    @cached_property
    def summit(self) -> np.float32:
        return np.float32(self.tops.max())

    @classmethod
    def of(cls, positions: Float64, up: Float64, cell: float) -> Cover:
        """Of points (P, 3), at least one; in larger cells where they would be too many, as over a long corridor."""
        axes = np.array([*level_axes(up), up])
        local = positions @ axes.T
        corner = local[:, :2].min(axis=0)
        cell = max(cell, math.sqrt(float(np.ptp(local[:, :2], axis=0).prod()) / _MAX_CELLS))
        column, row = ((local[:, :2] - corner) / cell).astype(np.int64).T
        tops = np.full((row.max() + 1, column.max() + 1), -np.inf, np.float32)
        np.maximum.at(tops, (row, column), local[:, 2].astype(np.float32))
        return cls(axes, tops, corner, cell)

    def hide(self, inverse: NDArray[np.float32], camera: Camera, margin: float) -> None:
        """Set a view's `inverse` depths (h, w) to 0 where the ray of the `camera` passes beneath the cover."""
        rays = self.axes @ camera.rotation.T @ np.linalg.inv(camera.intrinsics)
        warping.uncover(
            inverse,
            rays.astype(np.float32),
            (self.axes @ camera.position).astype(np.float32),
            self.tops,
            self.summit,
            self.corner.astype(np.float32),
            np.float32(self.cell),
            np.float32(margin),
        )


@dataclass(frozen=True)
class VirtualView:
    """A picture (h, w, 3) of bytes, evenly exposed, from a camera in the maps' frame; `shown` (h, w): where a photo
    vouches for it.
    """

    camera: Camera
    picture: Picture
    shown: Bool


def virtual_views(
    stereo: Stereo,
    points: DensePoints,
    picture_of: PictureOf,
    gains: Mapping[str, Float64],
    up: Float64,
    long_edge: int,
    settings: VirtualSettings = SETTINGS,
) -> list[VirtualView]:
    """Views of places drawn from `points`, from above their surroundings; the same for the same photos.

    Parameters
    ----------
    stereo: the depth maps, in a frame whose unit is the viewing distance.
    points: what they agree on, one for each cell and surface.
    picture_of: the photo (height, width, 3) of a map in the size given as width and height.
    gains: by name of a photo, what its channels (3,) are divided by; 1 by default.
    up: the vertical (3,), a unit vector in the frame.
    long_edge: of the views, in pixels.

    Returns fewer than `settings` asks for where photos were taken from all sides, or show too little.
    """
    maps = [found for found in stereo.maps if found is not None]
    if not maps or not len(points):
        return []
    cover = Cover.of(points.positions, up, settings.cell)
    chance = np.random.default_rng(0)
    views: list[VirtualView] = []
    like = maps[0].camera.scaled(long_edge / max(maps[0].camera.width, maps[0].camera.height))
    for _ in range(settings.wanted(len(maps), like.width * like.height)):
        place = points.positions[chance.integers(len(points))]
        camera = camera_about(chance, place, up, like, settings)
        nearest = nearest_maps(camera, place, maps, settings.photos)
        if nearest and _degrees(place - camera.position, place - nearest[0].camera.position) < settings.min_angle:
            continue
        view = warped(camera, nearest, picture_of, gains, cover, settings)
        if view.shown.mean() >= settings.min_shown:
            views.append(view)
    return views


def camera_about(
    chance: np.random.Generator, place: Float64, up: Float64, like: Camera, settings: VirtualSettings
) -> Camera:
    """A camera with the lens of `like` that sees `place` (3,) in its middle, drawn by `settings`."""
    elevation, azimuth = chance.uniform(*settings.elevation), chance.uniform(0, 360)
    distance = chance.uniform(*settings.distance)
    (camera,) = orbit(place, distance, elevation, 1, width=like.width, height=like.height, up=up, start=azimuth)
    return replace(camera, fx=like.fx, fy=like.fy, cx=like.width / 2, cy=like.height / 2)


def nearest_maps(camera: Camera, place: Float64, maps: Sequence[DepthMap], count: int) -> list[DepthMap]:
    """At most `count` of the maps, all of one shape, that have `place` (3,) in their pictures: those that look at it
    most nearly as the camera does, the nearest first.
    """
    ray = place - camera.position
    found = [each for each in maps if each.camera.contains(*each.camera.project(place[None]))[0]]
    found.sort(key=lambda each: _degrees(ray, place - each.camera.position))
    return [each for each in found if each.inverse.shape == found[0].inverse.shape][:count]


def warped(
    camera: Camera,
    maps: Sequence[DepthMap],
    picture_of: PictureOf,
    gains: Mapping[str, Float64],
    cover: Cover | None = None,
    settings: VirtualSettings = SETTINGS,
) -> VirtualView:
    """What the photos of `maps`, all of one shape, show of the view of `camera`; nothing beneath the `cover`."""
    shape = camera.height, camera.width
    colours, shown = np.zeros((*shape, 3), np.float32), np.zeros(shape, np.bool_)
    if maps:
        focal, middle = np.array([[camera.fx, camera.fy], [camera.cx, camera.cy]], np.float32)
        pairs = [pair_warp(camera, each.camera) for each in maps]
        centres = np.array([camera.rotation @ each.camera.position + camera.translation for each in maps])
        inverse = _depths(camera, maps, settings)
        if cover is not None:
            cover.hide(inverse, camera, settings.margin)
        rows, columns = maps[0].inverse.shape
        share = max(shape) / max(rows, columns)
        size = round(share * columns), round(share * rows)
        warping.blend(
            inverse,
            focal,
            middle,
            np.array([matrix for matrix, _ in pairs], np.float32),
            np.array([shift for _, shift in pairs], np.float32),
            centres.astype(np.float32),
            np.stack([np.where(each.accepted, each.inverse, np.float32(0)) for each in maps]),
            np.stack([picture_of(each, size) for each in maps]),
            np.array([gains.get(each.name, np.ones(3)) for each in maps], np.float32),
            np.float32(settings.tolerance),
            colours,
            shown,
        )
    return VirtualView(camera, np.rint(colours.clip(0, 255)).astype(np.uint8), shown)


def _depths(camera: Camera, maps: Sequence[DepthMap], settings: VirtualSettings) -> NDArray[np.float32]:
    """(h, w) inverse depths of the camera's view, 0 where unknown."""
    buffer, closed = np.zeros((2, camera.height, camera.width), np.float32)
    for each in maps:
        matrix, shift = (values.astype(np.float32) for values in pair_warp(each.camera, camera))
        size = np.float32(camera.fx / each.camera.fx)
        warping.add_depths(each.inverse, each.accepted, matrix, shift, size, buffer)
    warping.close_gaps(buffer, np.float32(settings.see_through), closed)
    return closed


def _degrees(first: Float64, second: Float64) -> float:
    cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
