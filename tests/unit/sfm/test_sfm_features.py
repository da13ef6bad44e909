"""SIFT keypoints have the right positions at any size of photo; RootSIFT is as in the paper."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from sfm.features import extract, features_per_photo, read_grey, root_sift


def blobs(width: int, height: int, scale: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian blobs, each in its own square, and their centres in pixels, pixel centres at +0.5."""
    side = 60 * scale
    image = np.full((height, width), 90.0)
    columns, rows = np.meshgrid(np.arange(side) + 0.5, np.arange(side) + 0.5)
    centres = []
    for left in range(0, width - side + 1, side):
        for top in range(0, height - side + 1, side):
            centre = side / 2 + rng.uniform(-5, 5, 2) * scale
            sigma = rng.uniform(2.5, 5) * scale
            blob = 120 * np.exp(-((columns - centre[0]) ** 2 + (rows - centre[1]) ** 2) / (2 * sigma**2))
            image[top : top + side, left : left + side] += blob
            centres.append(centre + np.array([left, top]))
    return np.clip(image, 0, 255).astype(np.uint8), np.array(centres)


@pytest.mark.parametrize(("width", "height", "scale"), [(600, 360, 1), (3600, 720, 3)])
def test_keypoints_lie_on_blobs_without_bias(tmp_path: Path, width: int, height: int, scale: int) -> None:
    image, centres = blobs(width, height, scale, np.random.default_rng(0))
    path = tmp_path / "a.jpg"
    cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 98])
    keypoints = extract(path, width, height, 5000).keypoints
    offsets = keypoints[:, None, :2] - centres[None]
    nearest = np.argmin(np.linalg.norm(offsets, axis=2), axis=0)
    errors = offsets[nearest, np.arange(len(centres))]
    found = np.linalg.norm(errors, axis=1) < scale
    assert found.mean() > 0.8
    assert np.abs(errors[found].mean(axis=0)).max() < 0.06 * scale  # plain upscaling would give 0.25


def test_the_largest_scales_are_kept_and_come_first(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (300, 400), dtype=np.uint8)
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), noise)
    every, few = extract(path, 400, 300, 10**6), extract(path, 400, 300, 100)
    assert len(every.keypoints) > 300
    assert len(few.keypoints) == len(few.descriptors) == 100
    assert (np.diff(few.keypoints[:, 2]) <= 0).all()
    assert few.keypoints[:, 2].min() >= np.sort(every.keypoints[:, 2])[-100] - 1e-5


def test_a_photo_without_detail_has_no_features(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.full((200, 300), 128, np.uint8))
    features = extract(path, 300, 200, 100)
    assert features.keypoints.shape == (0, 4)
    assert features.descriptors.shape == (0, 128)


@pytest.mark.parametrize(("width", "height"), [(1600, 900), (4000, 3000), (900, 5000)])
def test_large_photos_are_worked_on_at_reduced_size(tmp_path: Path, width: int, height: int) -> None:
    path = tmp_path / "a.jpg"
    cv2.imwrite(str(path), np.zeros((height, width), np.uint8))
    grey = read_grey(path, width, height)
    assert max(grey.shape) <= 1200
    assert grey.shape[1] / grey.shape[0] == pytest.approx(width / height, rel=0.01)


def test_root_sift_is_a_unit_vector_of_square_roots() -> None:
    raw = np.random.default_rng(2).uniform(0, 255, (5, 128)).astype(np.float32)
    rooted = root_sift(raw)
    assert rooted.dtype == np.uint8
    expected = np.sqrt(raw.astype(np.float64) / raw.sum(axis=1, keepdims=True, dtype=np.float64))
    np.testing.assert_allclose(rooted / 512, expected, atol=0.6 / 512)
    assert root_sift(np.zeros((1, 128), np.float32)).sum() == 0


def test_small_sets_get_more_features() -> None:
    assert features_per_photo(100) > features_per_photo(101)
