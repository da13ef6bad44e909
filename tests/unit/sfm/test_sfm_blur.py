"""Blurred photos are distinguished from sharp ones."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfm.blur import blur_effect, blurred


def detailed(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    total = sum(
        cv2.resize(rng.uniform(0, 1, (240 // cell, 320 // cell)), (320, 240), interpolation=cv2.INTER_CUBIC)
        for cell in (2, 4, 8, 20)
    )
    return np.clip(total / 4 * 255, 0, 255).astype(np.uint8)


def smeared(image: np.ndarray, columns: int, rows: int) -> np.ndarray:
    """The mean of each pixel's neighbourhood."""
    return cv2.blur(image, (columns, rows)).astype(np.uint8)


def test_motion_and_focus_blur_raise_the_effect() -> None:
    sharp = detailed()
    values = [blur_effect(sharp)] + [blur_effect(smeared(sharp, width, 1)) for width in (5, 9, 15)]
    assert values == sorted(values)
    assert values[0] < 0.45 < values[-1]
    assert blur_effect(cv2.GaussianBlur(sharp, (0, 0), 4).astype(np.uint8)) > 0.6
    assert blur_effect(smeared(sharp, 1, 15)) == pytest.approx(values[-1], abs=0.1)


def test_a_flat_picture_is_as_blurred_as_can_be() -> None:
    assert blur_effect(np.full((50, 60), 90, np.uint8)) == 1.0


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000))
def test_the_effect_is_a_share(seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 255, (40, 50), dtype=np.uint8)
    assert 0 <= blur_effect(noise) <= 1


def test_photos_are_judged_by_themselves_and_by_their_set() -> None:
    assert blurred([0.2, 0.25, 0.6, 0.22]) == [2]
    assert blurred([0.2, 0.42, 0.22]) == []  # soft, but sharp enough to match
    assert blurred([0.5, 0.52, 0.55, 0.8]) == [3]  # a soft lens: only photos that are worse than the others
    assert blurred([]) == []
