"""Pictures compared with photos: the perceptual figure follows edges, and only where the photo is not masked."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from trainer.evaluate import gmsd, mean

RNG = np.random.default_rng(3)
PHOTO = gaussian_filter(RNG.random((61, 83, 3)), (1, 1, 0)).astype(np.float32)


def test_a_photo_has_its_own_edges() -> None:
    assert gmsd(PHOTO, PHOTO) == 0


def test_more_blur_is_worse() -> None:
    found = [gmsd(gaussian_filter(PHOTO, (sigma, sigma, 0)), PHOTO) for sigma in (0.5, 1, 2)]
    assert 0 < found[0] < found[1] < found[2]


def test_brighter_all_over_is_not_seen_as_lost_edges() -> None:
    blurred = gaussian_filter(PHOTO, (1, 1, 0))
    assert gmsd(PHOTO + np.float32(0.1), PHOTO) < 0.01 * gmsd(blurred, PHOTO)


def test_it_is_the_deviation_of_the_similarity_of_edges() -> None:
    # a step in the photo's luminance that the picture lacks; computed by hand at half the size
    photo = np.zeros((8, 12, 3), np.float32)
    photo[:, 6:] = 0.5
    edges = np.zeros((4, 6))
    edges[:, 2:4] = 127.5  # Prewitt's kernel, columns of three thirds, on both sides of the step
    expected = (170 / (edges**2 + 170)).std()
    assert gmsd(np.zeros_like(photo), photo) == pytest.approx(expected, rel=1e-6)


def test_what_the_mask_hides_is_not_compared() -> None:
    spoilt, mask = PHOTO.copy(), np.ones(PHOTO.shape[:2], np.bool_)
    spoilt[10:30, 10:30] = RNG.random((20, 20, 3))
    mask[6:34, 6:34] = False
    assert gmsd(spoilt, PHOTO) > 0.01
    assert gmsd(spoilt, PHOTO, mask) == 0
    assert gmsd(spoilt, PHOTO, np.zeros_like(mask)) == 0


def test_the_mean_of_nothing_is_none() -> None:
    assert mean([]) is None
    assert mean([1.0, 2.0]) == 1.5
