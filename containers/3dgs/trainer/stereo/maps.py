"""Depth maps of all photos, checked against each other: the stereo that seeds, exposures and products are made from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import label

from splat.camera import Camera
from splat.shelf import Shelf
from trainer.dataset import Scene
from trainer.photo_store import PhotoStore
from trainer.stereo import kernels
from trainer.stereo.geometry import Bool, Float32, Float64, Look, StereoPhoto, inverse_step, pair_warp
from trainer.stereo.neighbours import choose_checks, choose_sources
from trainer.stereo.settings import SETTINGS, StereoSettings
from trainer.stereo.sweep import Match, depth_map, match_on_cpu

_ROUNDING = 0.25  # pixels of parallax that a depth is uncertain by, however well the maps agree


@dataclass(frozen=True)
class DepthMap:
    """What stereo knows of a photo; all arrays (h, w), ten bytes a pixel.

    Depths are those of the frame that the camera is in, along its viewing axis.
    """

    name: str
    camera: Camera
    inverse: Float32  # inverse depth, the mean of the maps that agree; 0: unknown
    score: NDArray[np.float16]  # normalised cross correlation, -1..1
    agree: NDArray[np.uint8]  # other maps that have the same depth there
    accepted: Bool  # enough maps agree and few see through
    sigma: NDArray[np.float16]  # standard deviation of the depth, as a share of it


@dataclass(frozen=True)
class Stereo:
    """A map a photo, None where it could not be matched; `checks[i]` are the maps that the i-th was compared with."""

    maps: list[DepthMap | None]
    checks: list[list[int]]

    @property
    def matched(self) -> int:
        """How many photos have a map."""
        return sum(found is not None for found in self.maps)


def stereo_photos(scene: Scene, store: PhotoStore, settings: StereoSettings = SETTINGS) -> list[StereoPhoto]:
    """The scene's training photos, in the frame of training; no other photo enters. Their pictures lie on the disk."""
    photos, shelf = [], Shelf()
    for photo in scene.split("train"):
        camera = scene.frame.camera(photo.camera)
        picture = Image.fromarray(store.picture(photo))
        looks = []
        for level in settings.levels:
            small = camera.scaled(min(1.0, level.long_edge / max(camera.width, camera.height)))
            shrunk = picture.resize((small.width, small.height), Image.Resampling.BOX)
            shown = store.mask(photo, small)
            grey = shelf.keep(np.asarray(shrunk.convert("L")))
            looks.append(Look(small, grey, None if shown is None else shelf.keep(shown)))
        coloured = shelf.keep(np.asarray(shrunk))
        photos.append(StereoPhoto(photo.name, tuple(looks), coloured, scene.observed[photo.name]))
    return photos


def reconstruct(
    photos: Sequence[StereoPhoto],
    positions: Float64,
    settings: StereoSettings = SETTINGS,
    match: Match = match_on_cpu,
    after_each: Callable[[int], None] = lambda _done: None,
) -> Stereo:
    """Depth maps of `photos`, whose sparse points are `positions` (P, 3); `after_each` gets the number of photos done.

    A photo with too few sparse points or without a partner at a useful angle has none. Maps lie on the disk, some 4 MB
    a photo (533 by 400 pixels): those of 5,000 photos would fill the memory of a training machine. Time grows with the
    number of photos: each is matched with four others and compared with twelve.
    """
    shelf = Shelf()
    sources = choose_sources(photos, positions, settings)
    checks = choose_checks(photos, positions, settings, sources)
    raw: list[tuple[Float32, Float32] | None] = []
    for photo, chosen in zip(photos, sources, strict=True):
        pixels_known = photo.camera.project(positions[photo.observed])[1] > 0
        if chosen and int(pixels_known.sum()) >= settings.min_points and min(photo.looks[0].grey.shape) > 8:
            inverse, score = depth_map(photo, [photos[other] for other in chosen], positions, settings, match)
            raw.append((shelf.keep(inverse), shelf.keep(score)))
        else:
            raw.append(None)
        after_each(len(raw))
    maps: list[DepthMap | None] = []
    for index, photo in enumerate(photos):
        found = raw[index]
        if found is None:
            maps.append(None)
            continue
        others = [(photos[other].camera, *there) for other in checks[index] if (there := raw[other]) is not None]
        step = inverse_step(photo.camera, [photos[other].camera for other in sources[index]], _median(found[0]))
        maps.append(_kept(check(photo, found, others, step, settings), shelf))
    return Stereo(maps, checks)


def _kept(found: DepthMap, shelf: Shelf) -> DepthMap:
    return replace(
        found,
        inverse=shelf.keep(found.inverse),
        score=shelf.keep(found.score),
        agree=shelf.keep(found.agree),
        accepted=shelf.keep(found.accepted),
        sigma=shelf.keep(found.sigma),
    )


def check(
    photo: StereoPhoto,
    found: tuple[Float32, Float32],
    others: Sequence[tuple[Camera, Float32, Float32]],
    step: float,
    settings: StereoSettings,
) -> DepthMap:
    """The map `found` (inverse depth and score) after comparison with those of `others`, averaged where they agree.

    `step` is the inverse depth that a pixel of parallax is worth.
    """
    inverse, score = found
    votes = np.zeros((3, *inverse.shape), np.uint8)
    sums = np.zeros((2, *inverse.shape), np.float32)
    limits = np.array([settings.tolerance, settings.see_through, settings.sure], np.float32)
    for camera, other, other_score in others:
        matrix, shift = (values.astype(np.float32) for values in pair_warp(photo.camera, camera))
        kernels.compare(inverse, matrix, shift, other, other_score, limits, votes, sums)
    views, agree, conflict = votes
    count = agree.astype(np.float32) + 1  # with this map's own
    # a depth of another map that lies beside this camera is none in front of it: its inverse has no bound
    steady = np.isfinite(sums).all(axis=0) & (np.abs(sums[0]) <= 10 * settings.tolerance * count)
    mean, square = np.where(steady, sums, 0) / count
    averaged = inverse * (1 + mean)
    needed = np.where(views >= settings.agreement, settings.agreement, 1)
    accepted = (agree >= needed) & (conflict <= settings.max_conflict * agree)
    accepted &= (score > settings.min_score) | (agree >= settings.agreement)
    accepted &= steady & (averaged > 1 / settings.reach)
    patch = patch_sizes(averaged, accepted, settings.see_through)
    accepted &= (agree >= settings.agreement) | (patch >= settings.min_patch)
    spread = np.maximum(square - mean * mean, 0)
    rounding = _ROUNDING * step / np.maximum(averaged, 1e-9)
    sigma = np.sqrt((spread + rounding * rounding) / count)
    return DepthMap(
        photo.name,
        photo.camera,
        averaged.astype(np.float32),
        score.astype(np.float16),
        agree,
        accepted,
        np.minimum(sigma, 1).astype(np.float16),
    )


def patch_sizes(inverse: Float32, accepted: Bool, jump: float) -> NDArray[np.int64]:
    """(h, w) how many `accepted` pixels are connected with each one over side neighbours whose inverse depths differ by
    a share of less than `jump`; 0 elsewhere. Small patches are speckle (Hirschmüller 2008, peak filtering).
    """
    height, width = inverse.shape
    grid: Bool = np.zeros((2 * height - 1, 2 * width - 1), bool)  # pixels, and between them whether they are connected
    grid[::2, ::2] = accepted
    grid[1::2, ::2] = accepted[1:] & accepted[:-1] & _alike(inverse[1:], inverse[:-1], jump)
    grid[::2, 1::2] = accepted[:, 1:] & accepted[:, :-1] & _alike(inverse[:, 1:], inverse[:, :-1], jump)
    labels, _ = label(grid)
    labels = labels[::2, ::2]
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(sizes[labels], np.int64)


def _alike(here: Float32, there: Float32, jump: float) -> Bool:
    return np.asarray(np.abs(here - there) < jump * np.maximum(here, there), np.bool_)


def _median(inverse: Float32) -> float:
    known = inverse[inverse > 0]
    return float(np.median(known)) if len(known) else 1.0
