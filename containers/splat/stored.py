"""A splat as a file stores it: its Gaussians, and marks that tell viewers how to draw them.

Marks are comments of a PLY. Brush, gsplat and splat-transform write `SplatRenderMode: mip`, Postshot writes
`antialiased 1`, and Brush writes `Vertical axis: x y z`. `offset x y z` is this project's own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from splat.gaussians import Gaussians

Triple = tuple[float, float, float]
NOWHERE: Triple = (0.0, 0.0, 0.0)

FAR = 4096.0
"""Units from the origin beyond which float32 no longer resolves a position to half a thousandth of a unit."""
_EARTH_RADII = (6.33e6, 6.40e6)  # metres, including mountains
_MAX_HEIGHT = 9000.0
_FLATTENED = 1 - 0.00669438  # 1 - e² of WGS 84: the ellipsoid's normal differs from the sphere's
_ANTIALIASED = {("antialiased",), ("antialiased", "1"), ("splatrendermode:", "mip")}
_PLAIN = {("antialiased", "0"), ("splatrendermode:", "default")}
# Brush writes `y` if it does not know the axis, and reads it as the convention of most trainers: y down
_AXES: dict[str, Triple] = {"x": (1.0, 0.0, 0.0), "y": (0.0, -1.0, 0.0), "z": (0.0, 0.0, 1.0)}


@dataclass(frozen=True)
class Marks:
    """What a file states besides its Gaussians.

    `antialiased`: the splat was trained with opacities compensated for the projection's blur, so viewers must
    compensate too. `up`: a unit vector, None if the file has none. `offset`: added to a position in float64, it gives
    the splat's original coordinates.
    """

    antialiased: bool = False
    up: Triple | None = None
    offset: Triple = NOWHERE

    def as_comments(self) -> list[str]:
        """The marks as comments of a PLY."""
        found = ["SplatRenderMode: mip"] if self.antialiased else []
        if self.up is not None:
            found.append("Vertical axis: " + " ".join(map(_shortest, self.up)))
        if any(self.offset):
            found.append("offset " + " ".join(map(_shortest, self.offset)))
        return found


@dataclass(frozen=True)
class StoredSplat:
    """What was read from a file. `plain`: the file is a PLY in INRIA's layout that holds exactly these Gaussians.

    `moved`: the offset that was subtracted from the file's positions; `marks.offset` includes it. `dropped_degrees`:
    the file has spherical harmonics above degree 3, which were not read.
    """

    gaussians: Gaussians
    marks: Marks = field(default_factory=Marks)
    plain: bool = False
    moved: Triple = NOWHERE
    dropped_degrees: bool = False


def marks_in(comments: Iterable[str]) -> Marks:
    """The marks in a PLY's comments; of contradictory ones the last counts."""
    antialiased, up, offset = False, None, NOWHERE
    for comment in comments:
        words = tuple(comment.lower().split())
        if words in _ANTIALIASED or words in _PLAIN:
            antialiased = words in _ANTIALIASED
        elif words[:2] == ("vertical", "axis:"):
            up = _axis(words[2:]) or up
        elif words[:1] == ("offset",):
            offset = _triple(words[1:]) or offset
    return Marks(antialiased, up, offset)


def unit(vector: Iterable[float]) -> Triple | None:
    """The unit vector in the direction of `vector`; None if this has no length or is not three finite numbers."""
    values = [float(value) for value in vector]
    length = math.hypot(*values)
    if len(values) != 3 or not (math.isfinite(length) and length > 1e-12):
        return None
    x, y, z = (value / length for value in values)
    return x, y, z


def offset_of(positions: NDArray[np.float64]) -> Triple:
    """The offset to subtract from positions (N, 3) before they become float32: their median in whole units, or zero if
    they are near the origin.

    A survey's coordinates (UTM, earth-centred) are millions of metres, which float32 resolves only to half a metre.
    """
    finite = positions[np.isfinite(positions).all(axis=1)]
    middle = np.median(finite, axis=0) if len(finite) else np.zeros(3)
    if float(np.abs(middle).max()) < FAR:
        return NOWHERE
    x, y, z = (float(round(value)) for value in middle)
    return x, y, z


def survey_up(offset: Triple) -> Triple | None:
    """Guess the up direction of a survey's coordinates from their `offset`; None without an offset.

    In earth-centred coordinates up points away from the Earth's centre; otherwise it is z, because map projections
    have the height as third coordinate.
    """
    if offset == NOWHERE:
        return None
    x, y, z = offset
    low, high = _EARTH_RADII
    projected = abs(z) < _MAX_HEIGHT and 0 <= x < 1e6 and 0 <= y <= 1e7
    if low < math.hypot(x, y, z) < high and not projected:
        return unit((x, y, z / _FLATTENED))
    return 0.0, 0.0, 1.0


def _axis(words: tuple[str, ...]) -> Triple | None:
    if len(words) == 1 and words[0] in _AXES:
        return _AXES[words[0]]
    values = _triple(words)
    return unit(values) if values else None


def _triple(words: tuple[str, ...]) -> Triple | None:
    parts = re.split(r"[\s,\[\]]+", " ".join(words).strip(" ,[]"))
    try:
        x, y, z = (float(part) for part in parts)
    except ValueError:
        return None
    return (x, y, z) if math.isfinite(x + y + z) else None


def _shortest(value: float) -> str:
    return f"{value:.0f}" if value == round(value) and abs(value) < 1e15 else repr(float(value))
