"""Limit the page's camera to views that the photos support."""

from __future__ import annotations

import math
from dataclasses import dataclass

from compressor.framing import FIELD_OF_VIEW, Framing
from splat.surroundings import Surroundings

_NEAREST = 0.1  # times the photos' distance
_FARTHEST = 2.0  # times the photos' distance, or far enough to see the entire footprint
_FLYING_HEIGHT = 0.5  # times the photos' distance at the lowest elevation: the minimum height of the flying camera
_MARGIN = 0.5  # times the photos' distance: how far beyond the footprint the camera may fly
_NEAREST_WITHOUT, _FARTHEST_WITHOUT = 0.02, 4.0  # times the first view's distance, if there are no photos


@dataclass(frozen=True)
class Limits:
    """Lengths in the scene's units. An orbiting camera keeps its target above the footprint, stays between `nearest`
    and `farthest` from it, and at least `lowest` degrees above the horizon. A flying camera stays `clearance` above
    the ground and within `margin` of the footprint. `lowest` is None without photos: views from below are then
    allowed.
    """

    nearest: float
    farthest: float
    lowest: float | None
    clearance: float
    margin: float


def limits_of(framing: Framing, surroundings: Surroundings) -> Limits:
    """The limits for a scene framed by its photos; without photos, only distances are limited."""
    if framing.lowest is None or framing.photo_distance is None:
        far = _FARTHEST_WITHOUT * framing.radius
        return Limits(_NEAREST_WITHOUT * framing.radius, far, None, 0.0, far)
    whole = 1.1 * surroundings.radius / math.tan(math.radians(FIELD_OF_VIEW / 2))
    return Limits(
        nearest=_NEAREST * framing.photo_distance,
        farthest=max(_FARTHEST * framing.photo_distance, whole),
        lowest=framing.lowest,
        clearance=_FLYING_HEIGHT * framing.photo_distance * max(math.sin(math.radians(framing.lowest)), 0.0),
        margin=_MARGIN * framing.photo_distance,
    )
