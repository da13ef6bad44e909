"""Exposures by EXIF, in stops: what structure from motion read of each photo, and how bright that makes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from contract.counts import MAX_STOPS
from splat.files import read_document

RESPONSE = 0.45  # log brightness of a photo by that of the light: sRGB's curve, which drones' photos follow


def read_stops(scene: Path) -> dict[str, float]:
    """Stops by photo name from `photos.json` in the scene's folder.

    Empty if the file is missing or unreadable. Rows without plausible `stops` are ignored: another tool's file of that
    name may contain anything.
    """
    try:
        rows = read_document(scene / "photos.json")
    except (OSError, ValueError):
        return {}
    return {row["name"]: float(row["stops"]) for row in rows if _has_stops(row)} if isinstance(rows, list) else {}


def _has_stops(row: Any) -> bool:
    if not isinstance(row, dict) or not isinstance(row.get("name"), str):
        return False
    stops = row.get("stops")
    return isinstance(stops, int | float) and abs(stops) <= MAX_STOPS


def expected_gains(stops: Mapping[str, float | None]) -> dict[str, float]:
    """By photo name how much brighter than the mean it must be, from its `stops`; 1 where these are not known."""
    known = [value for value in stops.values() if value is not None]
    middle = float(np.mean(known)) if known else 0.0
    return {
        name: 1.0 if value is None else float(np.exp2(RESPONSE * (value - middle))) for name, value in stops.items()
    }
