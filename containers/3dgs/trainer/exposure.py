"""How much brighter each photo is than the flight, per channel, from places that several depth maps agree on.

A photo's colour of a place is the place's colour times the photo's gain. Pairs of photos that see the same places give
the ratios of gains, and a least-squares fit gives the gains. Every ratio has a small systematic error that more samples
do not remove: because of vignetting and of the sunlit side of grass and trees, a place that is on the left in one photo
and on the right in the next differs in brightness, and oblique photos look through more haze. Along a chain of photos
such errors add up to a drift, which was half of all gains on three drone sets. Three measures counter it: vignetting
and the change of brightness with the direction of the ray are fitted together with the gains; every gain is pulled
towards the value that the camera's shutter, sensitivity and aperture suggest, or towards 1; and a pair's uncertainty
has a floor that grows with the distance of the two places in the picture and with the angle between the rays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import csr_matrix

from trainer.stereo.geometry import Float32, Float64, StereoPhoto, pair_warp, pixel_centres, ray_angle
from trainer.stereo.maps import DepthMap, Stereo

PRIOR = 0.1  # σ of the log gain about what EXIF says, or 1: photos of one flight differ by 10 to 24 %
DIRECTION = 0.2  # σ of the log brightness by a ray's direction, a unit vector: 0.1 to 0.35 was seen, towards the sun
SHADING = 0.2  # σ of a pair's log ratio, where a place moved by the whole picture from one photo to the other
ASPECT = 0.1  # σ of a pair's log ratio a radian between the rays: 0.03 to 0.08 was seen from straight down to oblique
_FLOOR = 0.003  # σ of a pair's log ratio, whatever its places
_VIGNETTING = 0.1  # σ of the log brightness at the corner, relative to the middle
_SAMPLES = 1500  # places of a photo
_MIN_SAMPLES = 40  # places that a pair must share
_INDEPENDENT = 16  # samples that count as one: their neighbours say the same
_SHRINK = 4  # a sample is the mean of 4 by 4 pixels of a map's picture, or more
_DARK, _BRIGHT = 0.08, 0.95  # outside these, a colour is clipped or noise
_SAME_DEPTH = 0.01


@dataclass(frozen=True)
class Pairs:
    """What P pairs of photos say: log ratio (P, 3) of the first one's colours to the second's, its standard deviation
    (P, 3) from the scatter of samples, and for vignetting and view-dependent colours

    rays (P, 3): the first one's mean unit ray to the places less the second's, in the scene's frame;
    shift (P,): how far the places moved in the picture, as a share of its longer side;
    angle (P,): radians between the rays to them;
    radius (P,): the first one's squared distance from the middle of the picture less the second's, 1 at the corner.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    ratios: Float64
    scatter: Float64
    rays: Float64
    shift: Float64
    angle: Float64
    radius: Float64

    def __len__(self) -> int:
        return len(self.first)


def even_exposures(
    stereo: Stereo, photos: Sequence[StereoPhoto], expected: Mapping[str, float] | None = None
) -> dict[str, Float64]:
    """The gain (3,) of each photo by its name: photo = scene · gain. Where too little agrees, 1.

    `expected` is each photo's gain by EXIF (default: 1).
    """
    believed = np.array([(expected or {}).get(photo.name, 1.0) for photo in photos])
    gains = solve(measure(stereo, photos), believed)
    return {photo.name: gain for photo, gain in zip(photos, gains, strict=True)}


def measure(stereo: Stereo, photos: Sequence[StereoPhoto]) -> Pairs:
    """Compare the colours of places that the maps of two photos both accept."""
    small = [_shrunk(photo) for photo in photos]
    found: list[tuple[int, int, Float64, Float64, Float64, float, float, float]] = []
    for index, mine in enumerate(stereo.maps):
        if mine is None:
            continue
        rows, columns = np.nonzero(mine.accepted)
        every = max(1, len(rows) // _SAMPLES)
        rows, columns = rows[::every], columns[::every]
        for other in stereo.checks[index]:
            theirs = stereo.maps[other]
            if theirs is not None:
                compared = _compare(mine, theirs, rows, columns, small[index], small[other])
                if compared is not None:
                    found.append((index, other, *compared))
    return Pairs(
        np.array([row[0] for row in found], dtype=np.int64),
        np.array([row[1] for row in found], dtype=np.int64),
        np.array([row[2] for row in found]).reshape(-1, 3),
        np.array([row[3] for row in found]).reshape(-1, 3),
        np.array([row[4] for row in found]).reshape(-1, 3),
        np.array([row[5] for row in found]),
        np.array([row[6] for row in found]),
        np.array([row[7] for row in found]),
    )


def solve(pairs: Pairs, expected: Float64) -> Float64:
    """The gains (photos, 3), whose geometric mean is 1, by robust least squares (Cauchy) over the pairs.

    Each photo's log gain is held to that of `expected` (photos,) with σ = PRIOR. A photo in no pair has gain 1.
    """
    count = len(expected)
    logs = np.zeros((count, 3))
    known = np.zeros(count, bool)
    known[pairs.first] = known[pairs.second] = True
    if not known.any():
        return np.exp(logs)
    design = _design(pairs, count)
    prior = np.diag(np.concatenate([np.full(count, PRIOR**-2), [_VIGNETTING**-2], np.full(3, DIRECTION**-2)]))
    believed = np.concatenate([np.log(expected), np.zeros(4)])
    for channel in range(3):
        ratios = pairs.ratios[:, channel]
        variance = _FLOOR**2 + (SHADING * pairs.shift) ** 2 + (ASPECT * pairs.angle) ** 2
        variance += pairs.scatter[:, channel] ** 2
        doubt: Float64 = np.ones(len(pairs))
        solved: Float64 = np.zeros(count + 4)
        for _ in range(6):
            weighted = design.T.multiply(doubt / variance).tocsr()
            normal = (weighted @ design).toarray() + prior
            solved = np.asarray(np.linalg.solve(normal, weighted @ ratios + prior @ believed))
            deviation = (ratios - design @ solved) / np.sqrt(variance)
            scale = max(1.0, 1.4826 * float(np.median(np.abs(deviation))))
            doubt = np.asarray(1 / (1 + (deviation / (2 * scale)) ** 2), dtype=np.float64)
        logs[known, channel] = solved[:count][known] - solved[:count][known].mean()
    return np.exp(logs)


def _design(pairs: Pairs, count: int) -> csr_matrix:
    """(P, count + 4), six numbers a row: the gains of `count` photos, vignetting and the direction of the light. Dense,
    it is 2.4 GB at 5,000 photos.
    """
    rows = np.arange(len(pairs))
    ones = np.ones(len(pairs))
    values = np.concatenate([ones, -ones, pairs.radius, *pairs.rays.T])
    columns = [np.full(len(pairs), column) for column in range(count, count + 4)]
    where = np.tile(rows, 6), np.concatenate([pairs.first, pairs.second, *columns])
    return csr_matrix((values, where), shape=(len(pairs), count + 4))


def predicted_gain(gains: Mapping[str, Float64], name: str, expected: Mapping[str, float]) -> Float64:
    """Predict a photo's gain (3,): its EXIF gain times the geometric mean of gain / EXIF gain over the nearest earlier
    and later photos that have a gain; 1 if none has. `expected`: each photo's EXIF gain, in the order of the flight.
    """
    names = list(expected)
    place = names.index(name)
    before = next((other for other in reversed(names[:place]) if other in gains), None)
    after = next((other for other in names[place + 1 :] if other in gains), None)
    beside = [gains[other] / expected[other] for other in (before, after) if other is not None]
    return expected[name] * np.exp(np.mean(np.log(beside), axis=0)) if beside else np.ones(3)


def spread(gains: Mapping[str, Float64]) -> float:
    """Standard deviation of the photos' log gains, mean of the channels."""
    return float(np.std(np.log(np.stack(list(gains.values()))), axis=0).mean()) if gains else 0.0


def _shrunk(photo: StereoPhoto) -> Float32:
    height, width = photo.picture.shape[:2]
    size = (max(2, width // _SHRINK), max(2, height // _SHRINK))
    small = Image.fromarray(photo.picture).resize(size, Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32) / np.float32(255)


def _compare(
    mine: DepthMap,
    theirs: DepthMap,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    picture: Float32,
    other: Float32,
) -> tuple[Float64, Float64, Float64, float, float, float] | None:
    matrix, offset = pair_warp(mine.camera, theirs.camera)
    inverse = mine.inverse[rows, columns]
    here = np.stack([columns + 0.5, rows + 0.5], axis=1)
    there = np.column_stack([here, np.ones(len(here))]) @ matrix.T + inverse[:, None] * offset
    height, width = theirs.inverse.shape
    ahead = there[:, 2] > 1e-9
    here, there, inverse, rows, columns = here[ahead], there[ahead], inverse[ahead], rows[ahead], columns[ahead]
    pixels = there[:, :2] / there[:, 2:]
    inside = (pixels >= 1).all(axis=1) & (pixels < (width - 1, height - 1)).all(axis=1)
    here, pixels, expected = here[inside], pixels[inside], inverse[inside] / there[inside, 2]
    x, y = pixels.astype(int).T
    same = theirs.accepted[y, x] & (np.abs(theirs.inverse[y, x] / expected - 1) < _SAME_DEPTH)
    here, pixels = here[same], pixels[same]
    centres = pixel_centres(rows[inside][same], columns[inside][same])
    points = mine.camera.unproject(centres, 1 / inverse[inside][same].astype(np.float64))
    a = _colours(picture, here / (mine.inverse.shape[1], mine.inverse.shape[0]))
    b = _colours(other, pixels / (width, height))
    usable = (np.minimum(a, b).min(axis=1) > _DARK) & (np.maximum(a, b).max(axis=1) < _BRIGHT)
    if int(usable.sum()) < _MIN_SAMPLES:
        return None
    here, pixels = here[usable], pixels[usable]
    ratios = np.log(a[usable]) - np.log(b[usable])
    middle = np.median(ratios, axis=0)
    deviation = 1.4826 * np.median(np.abs(ratios - middle), axis=0)
    scatter = deviation / np.sqrt(max(1.0, len(ratios) / _INDEPENDENT))
    shift = np.linalg.norm(here - pixels, axis=1).mean() / max(width, height)
    points = points[usable]
    rays, angle = _mean_ray(mine, points) - _mean_ray(theirs, points), ray_angle(mine.camera, theirs.camera, points)
    radius = float((_radius(mine, here) - _radius(theirs, pixels)).mean())
    return middle, scatter, rays, float(shift), angle, radius


def _colours(picture: Float32, places: Float64) -> Float64:
    """Colours (M, 3) at places (M, 2), shares of width and height, bilinear."""
    height, width = picture.shape[:2]
    x = np.clip(places[:, 0] * width - 0.5, 0, width - 1 - 1e-6)
    y = np.clip(places[:, 1] * height - 0.5, 0, height - 1 - 1e-6)
    left, top = x.astype(int), y.astype(int)
    along, down = (x - left)[:, None], (y - top)[:, None]
    upper = picture[top, left] * (1 - along) + picture[top, left + 1] * along
    lower = picture[top + 1, left] * (1 - along) + picture[top + 1, left + 1] * along
    return np.asarray(upper * (1 - down) + lower * down)


def _mean_ray(found: DepthMap, points: Float64) -> Float64:
    rays = points - found.camera.position
    return np.asarray((rays / np.linalg.norm(rays, axis=1, keepdims=True)).mean(axis=0))


def _radius(found: DepthMap, pixels: Float64) -> Float64:
    """Squared distance of pixels from the middle, 1 at the corner."""
    height, width = found.inverse.shape
    away = pixels - (width / 2, height / 2)
    return np.asarray((away**2).sum(axis=1) / ((width**2 + height**2) / 4))
