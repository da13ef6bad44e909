"""Match all features of two photos along epipolar lines (Hartley & Zisserman 2004, chapters 9 and 13).

A feature's match lies on its epipolar line. If the photos show a plane and the camera is unknown, the match lies where
the plane's homography maps the feature: at the intersection of a horizontal and a vertical line. So the features of the
first photo are sorted by their first lines and divided into blocks, and compared with those features of the second
photo that lie between the first and the last line of a block.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pycolmap
from numpy.typing import NDArray

from sfm.nearest import MAX_DISTANCE, RIVAL_RATIO, Alike, Vectors, squared

Lines = NDArray[np.float64]  # (N, 3), scaled so that a product with (x, y, 1) is a distance in pixels
BLOCK = 192  # features; smaller blocks save useless comparisons, but there are more of them
PLANAR = int(pycolmap.TwoViewGeometryConfiguration.PLANAR_OR_PANORAMIC)
UNCALIBRATED = int(pycolmap.TwoViewGeometryConfiguration.UNCALIBRATED)


def matching_lines(
    geometry: pycolmap.TwoViewGeometry, first: pycolmap.Camera, second: pycolmap.Camera, places: NDArray[np.float64]
) -> list[list[Lines]]:
    """Where the second photo may show features at `places` (N, 2) of the first: every way that `geometry` suggests,
    each as the lines on all of which a match lies.
    """
    essential, fundamental, homography = (_known(m) for m in (geometry.E, geometry.F, geometry.H))
    config = int(geometry.config)
    if essential is not None and config != UNCALIBRATED:
        inverse = np.linalg.inv(second.calibration_matrix()).T
        return [[_epipolar(places, inverse @ essential @ np.linalg.inv(first.calibration_matrix()))]]
    ways = [[_epipolar(places, fundamental)]] if fundamental is not None else []
    # seven points of a plane leave the fundamental matrix open, and only the homography is to be trusted
    return [*ways, _crossing(places, homography)] if config == PLANAR and homography is not None else ways


def match_along_lines(
    first: Alike, second: Alike, ways: Sequence[Sequence[Lines]], long_side: int, band: float
) -> NDArray[np.uint32]:
    """(M, 2) one-to-one matches of features within `band` pixels of each other's lines that look alike as no others do:
    by that one of the `ways` that finds the most.
    """
    found = [_match(first, second, lines, long_side, band) for lines in ways]
    return max(found, key=len, default=np.zeros((0, 2), np.uint32))


def _match(first: Alike, second: Alike, lines: Sequence[Lines], long_side: int, band: float) -> NDArray[np.uint32]:
    order, across = _along_the_pencil(lines[0], long_side)
    narrow = [line.astype(np.float32) for line in (across, *lines[1:])]
    places = np.column_stack([second.places, np.ones(len(second.places))]).astype(np.float32)
    pairs, distances = [], []
    for block, between in _blocks(order, np.arange(len(places)), narrow[0], places, band):
        products = first.vectors[block] @ second.vectors[between].T
        for line in narrow:
            np.putmask(products, np.abs(line[block] @ places[between].T) > band, -1)
        columns = products.argmax(axis=1)
        best = products[np.arange(len(block)), columns]
        matched = between[columns]
        distance = squared(best)
        rival = np.minimum(first.rivals[block], second.rivals[matched])
        good = (best >= products.max(axis=0)[columns]) & (distance < RIVAL_RATIO**2 * rival) & (distance < MAX_DISTANCE)
        pairs.append(np.column_stack([block[good], matched[good]]))
        distances.append(distance[good])
    if not pairs:
        return np.zeros((0, 2), np.uint32)
    return one_to_one(np.concatenate(pairs), np.concatenate(distances))


def one_to_one(pairs: NDArray[np.int64], distances: Vectors) -> NDArray[np.uint32]:
    """Of `pairs` (M, 2) that share a feature of the second photo the one that is nearest, in order of the first."""
    ranked = pairs[np.argsort(distances, kind="stable")]
    _, nearest = np.unique(ranked[:, 1], return_index=True)
    kept = ranked[nearest]
    return np.ascontiguousarray(kept[np.argsort(kept[:, 0], kind="stable")], dtype=np.uint32)


def _known(matrix: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
    return matrix if matrix is not None and matrix.any() else None


def _epipolar(places: NDArray[np.float64], fundamental: NDArray[np.float64]) -> Lines:
    lines = np.column_stack([places, np.ones(len(places))]) @ fundamental.T
    return np.asarray(lines / np.maximum(np.linalg.norm(lines[:, :2], axis=1, keepdims=True), 1e-12))


def _crossing(places: NDArray[np.float64], homography: NDArray[np.float64]) -> list[Lines]:
    """A level and an upright line through each place's image."""
    images = np.column_stack([places, np.ones(len(places))]) @ homography.T
    x, y = (images[:, :2] / np.where(np.abs(images[:, 2:]) < 1e-12, 1e-12, images[:, 2:])).T
    none, one = np.zeros(len(places)), np.ones(len(places))
    return [np.column_stack([none, one, -y]), np.column_stack([one, none, -x])]


def _along_the_pencil(lines: Lines, long_side: int) -> tuple[NDArray[np.int64], Lines]:
    """Order of lines that meet in one point, near or far, by their angle in the plane that they span in P², from the
    widest gap on; and the lines with signs that do not change on the way.
    """
    scaled = lines * [long_side / 2, long_side / 2, 1]
    scaled /= np.maximum(np.linalg.norm(scaled, axis=1, keepdims=True), 1e-12)
    plane = np.linalg.eigh(scaled.T @ scaled)[1][:, 1:]
    angles = np.arctan2(*(scaled @ plane).T)
    turned = angles < 0
    angles = np.where(turned, angles + np.pi, angles)
    order = np.argsort(angles, kind="stable")
    gaps = np.diff(angles[order], append=angles[order[0]] + np.pi)
    begin = (int(np.argmax(gaps)) + 1) % len(order)
    turned[order[:begin]] ^= True  # those that come half a turn later
    return np.roll(order, -begin), lines * np.where(turned, -1.0, 1.0)[:, None]


def _blocks(
    order: NDArray[np.int64], candidates: NDArray[np.int64], lines: Vectors, places: Vectors, band: float
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Halves of halves of `order` down to BLOCK lines, each with those of the `candidates` that it may meet."""
    near = candidates[_between(places[candidates], lines[order[0]], lines[order[-1]], band)]
    if len(near) == 0:
        return
    if len(order) <= BLOCK:
        yield order, near
        return
    middle = len(order) // 2
    yield from _blocks(order[:middle], near, lines, places, band)
    yield from _blocks(order[middle:], near, lines, places, band)


def _between(places: Vectors, first: Vectors, last: Vectors, band: float) -> NDArray[np.bool_]:
    """Which of places (N, 3) lie between two lines of like sign or within `band` of one."""
    distances = places @ np.stack([first, last], axis=1)
    return np.asarray((distances[:, 0] * distances[:, 1] <= 0) | (np.abs(distances).min(axis=1) <= band))
