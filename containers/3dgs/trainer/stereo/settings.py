"""Settings of multi-view stereo, each default with its reason."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Level:
    """One pass of the sweep: the longer side of the pictures in pixels, the hypotheses a pixel, and how far two
    neighbouring hypotheses lie apart in pixels of parallax of the median source photo.
    """

    long_edge: int
    hypotheses: int
    pixels: float


@dataclass(frozen=True)
class StereoSettings:
    """Figures in brackets were measured on drone sets of 16 to 31 training photos at 300 steps, held out."""

    levels: tuple[Level, ...] = (Level(266, 128, 1.0), Level(533, 9, 0.8))
    """Coarse to fine: the first level searches, the second refines around the first one's result. A third level at 800
    pixels doubles the time and gains nothing that training does not find by itself."""

    sources: int = 4
    """Photos each photo is matched with; six cost half as much again and bring 0.05 dB."""

    small_jump: float = 0.1
    """P1 of semi-global matching, in units of 1 - NCC: the cost of one hypothesis up or down to the next pixel."""

    large_jump: float = 1.0
    """P2: the cost of any larger jump, where the picture has no edge."""

    edge: float = 0.02
    """How much an edge eases a large jump: P2 / (1 + edge · grey levels). Weak, since shadows are edges too."""

    min_angle: float = 2.0
    """Degrees between the rays to shared points, median: below, depth is noise."""

    best_angle: float = 12.0
    """Degrees at which a source is preferred: wider is more exact but looks too different for a 5 by 5 window."""

    max_angle: float = 60.0
    """Degrees above which windows no longer correlate."""

    nearest: float = 0.55
    """The nearest hypothesis, as a share of the base surface's depth. The range must not come from the sparse points:
    tree tops have none."""

    farthest: float = 1.15
    """The farthest hypothesis, as a share of the base surface's depth."""

    tolerance: float = 0.01
    """Relative difference of depth up to which two maps agree; some two steps of the finest level."""

    checks: int = 12
    """Maps that each map is compared with, so that the checks of a flight cost as much as its photos are many."""

    agreement: int = 2
    """Other maps that must agree where so many see a place. Where only one does, one suffices, or the rims of a flight
    have no depth. With one sufficing where two see a place too, a scene with a horizon lost 1 dB to false depths."""

    max_conflict: float = 0.5
    """Maps that see through a place, as a share of those that agree with it, above which it is rejected."""

    see_through: float = 0.03
    """Relative depth by which another map's surface must lie behind a place to see through it."""

    sure: float = 0.5
    """NCC above which a map's surface may see through places."""

    min_score: float = 0.4
    """NCC below which one agreeing map is not enough."""

    min_patch: int = 80
    """Connected pixels of like depth below which one agreeing map is not enough either. On a nadir flight with known
    truth, up to a quarter of the pixels in smaller patches is wrong by more than a tenth, of all others one in 700; one
    such patch, seen by two photos at their rims, hung in the sky before every view from the side."""

    reach: float = 1.5
    """Viewing distances up to which depths are kept: towards a horizon parallax is too small, and depths that agree by
    chance become fog before the cameras."""

    min_points: int = 12
    """Sparse points a photo must observe for a base surface."""


SETTINGS = StereoSettings()
