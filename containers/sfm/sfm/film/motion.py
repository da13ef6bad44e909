"""Measure how far the picture moves from frame to frame, and how sharp it is, on small grey frames."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

LOOK_LONG_SIDE = 960  # pixels, for sharpness
TRACK_LONG_SIDE = 320  # pixels, for motion
CORNERS = 200
MIN_CORNERS = 20  # below it there is nothing to track: sky, fog, a lens cap
MIN_TRACKED_SHARE = 0.2  # below it the picture is another one
CUT = 0.5  # of the diagonal: what a cut counts as

Grey = NDArray[np.uint8]


class MotionMeter:
    """Compares each frame with the one before (Lucas & Kanade 1981, on corners of Shi & Tomasi 1994)."""

    def __init__(self) -> None:
        self._before: Grey | None = None

    def moved(self, grey: Grey) -> float:
        """The median way of corners since the frame before, as a share of the diagonal; 0 for the first frame."""
        scale = TRACK_LONG_SIDE / max(grey.shape)
        size = (max(round(grey.shape[1] * scale), 1), max(round(grey.shape[0] * scale), 1))
        small = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        before, self._before = self._before, small
        if before is None or before.shape != small.shape:
            return 0.0
        corners = cv2.goodFeaturesToTrack(before, CORNERS, 0.01, 5)
        if corners is None or len(corners) < MIN_CORNERS:
            return 0.0
        found, status, _ = cv2.calcOpticalFlowPyrLK(before, small, corners, np.empty_like(corners))
        tracked = status.ravel() == 1
        if tracked.mean() < MIN_TRACKED_SHARE:
            return CUT
        way = np.linalg.norm((found - corners).reshape(-1, 2)[tracked], axis=1)
        return min(float(np.median(way)) / float(np.hypot(*small.shape)), CUT)


def sharpness(grey: Grey) -> float:
    """Variance of the Laplacian (Pech-Pacheco et al. 2000): comparable between neighbouring frames only."""
    return float(cv2.Laplacian(grey, cv2.CV_32F).var())
