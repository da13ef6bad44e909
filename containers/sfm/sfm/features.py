"""Extract SIFT keypoints and RootSIFT descriptors.

Lowe 2004 (keypoints), Arandjelović & Zisserman 2012 (RootSIFT). OpenCV takes about half of COLMAP's time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sfm.blur import blur_effect
from sfm.masks import read_mask
from sfm.parallel import map_in_order
from sfm.photos import Photo

# pixels; features of larger photos are found on a reduction. At 1600 the same number of features costs 40 % more and
# gives the same points (brighton_beach 4,696 at 0.375 px; 4,702 at 0.382)
WORKING_LONG_SIDE = 1200
# pixels; COLMAP's thresholds assume photos of this size. The tolerated error grows with the photo
USUAL_LONG_SIDE = 1600
CONTRAST_THRESHOLD = 0.02  # COLMAP's peak threshold, in OpenCV's convention
EDGE_THRESHOLD = 10
# photos; with 4,096 features each, 36 photos of jwcate have 44 % of the points that COLMAP's defaults have, with 8,192
# 73 %
SMALL_SET = 100
FEATURES_IN_SMALL_SET, FEATURES_IN_LARGE_SET = 8192, 4096
REDUCED_GREY = {
    1: cv2.IMREAD_GRAYSCALE,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
}


@dataclass(frozen=True)
class Features:
    """`keypoints` (N, 4) float32: x, y in pixels of the photo (pixel centres at +0.5), scale, angle in radians;
    `descriptors` (N, 128) uint8, RootSIFT. Largest scale first. `blur` of the photo, 0..1 (sfm.blur).
    """

    keypoints: NDArray[np.float32]
    descriptors: NDArray[np.uint8]
    blur: float = 0.0


def tolerance(pixels: float, long_side: int) -> float:
    """Scale a threshold of `pixels` at the usual photo size to photos of `long_side` pixels."""
    return pixels * max(long_side / USUAL_LONG_SIDE, 1.0)


def features_per_photo(photos: int) -> int:
    """Features to extract per photo; fewer in large sets, which have enough points and cost more."""
    return FEATURES_IN_SMALL_SET if photos <= SMALL_SET else FEATURES_IN_LARGE_SET


def extract_all(photos: Sequence[Photo], most: int, threads: int, progress: Callable[[int], None]) -> list[Features]:
    """Features of each photo, in order; `progress` gets the number of photos done and may raise to stop."""
    cv2.setNumThreads(1)  # one photo per thread is faster than several threads on one photo
    found: list[Features] = []
    for features in map_in_order(lambda photo: extract(photo.path, photo.width, photo.height, most), photos, threads):
        found.append(features)
        progress(len(found))
    return found


def extract(path: Path, width: int, height: int, most: int) -> Features:
    """The `most` features of largest scale of the photo at `path`, which is `width` × `height` pixels; none where its
    mask is black.
    """
    grey = read_grey(path, width, height)
    mask = read_mask(path, (grey.shape[0], grey.shape[1]))
    # without the precise upscale every keypoint lies 0.25 px too far right and down (seen on synthetic blobs)
    sift = cv2.SIFT_create(  # type: ignore[attr-defined] # missing in OpenCV 5.0.0's stubs
        contrastThreshold=CONTRAST_THRESHOLD, edgeThreshold=EDGE_THRESHOLD, enable_precise_upscale=True
    )
    detected = sorted(sift.detect(grey, mask), key=lambda keypoint: -keypoint.size)[:most]
    if not detected:
        return Features(np.zeros((0, 4), np.float32), np.zeros((0, 128), np.uint8), blur_effect(grey))
    kept, raw = sift.compute(grey, detected)
    values = np.array([(k.pt[0], k.pt[1], k.size, k.angle) for k in kept], np.float32)
    scale_x, scale_y = width / grey.shape[1], height / grey.shape[0]
    keypoints = np.column_stack(
        [
            (values[:, 0] + 0.5) * scale_x,
            (values[:, 1] + 0.5) * scale_y,
            values[:, 2] / 2 * scale_x,
            np.deg2rad(values[:, 3]),
        ]
    ).astype(np.float32)
    return Features(np.ascontiguousarray(keypoints), root_sift(raw), blur_effect(grey))


def read_grey(path: Path, width: int, height: int) -> NDArray[np.uint8]:
    """The photo in grey, long side at most WORKING_LONG_SIDE; large JPEGs are reduced while they are decoded."""
    reduction = 1
    while reduction < 8 and max(width, height) / (reduction * 2) >= WORKING_LONG_SIDE:
        reduction *= 2
    grey = cv2.imdecode(np.fromfile(path, np.uint8), REDUCED_GREY[reduction] | cv2.IMREAD_IGNORE_ORIENTATION)
    if grey is None:
        raise ValueError(f"{path.name} cannot be decoded")
    long_side = max(grey.shape)
    if long_side > WORKING_LONG_SIDE:
        scale = WORKING_LONG_SIDE / long_side
        size = (round(grey.shape[1] * scale), round(grey.shape[0] * scale))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return np.asarray(grey, dtype=np.uint8)


def root_sift(descriptors: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Square root of the L1-normalised descriptor, in COLMAP's bytes (512 times the unit vector)."""
    unit = descriptors / np.maximum(np.abs(descriptors).sum(axis=1, keepdims=True), 1e-12)
    return np.asarray(np.clip(np.round(512 * np.sqrt(unit)), 0, 255), dtype=np.uint8)
