"""The sample events of events/, by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

EVENTS = Path(__file__).parents[2] / "events"
TAKE_STATUS_EVENTS = ("track_progress", "notify")


def sample_event(name: str) -> dict[str, Any]:
    """`start_job/object-created` → the JSON of events/start_job/object-created.json, a fresh copy each time."""
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))
    return event


def sample_names(folder: str) -> list[str]:
    """The names in one folder of events/, as sample_event takes them."""
    return sorted(f"{folder}/{path.stem}" for path in (EVENTS / folder).glob("*.json"))


def samples_for(package: str) -> list[Path]:
    """The files of a function's sample events; those of the status bus are in one folder."""
    return sorted((EVENTS / ("status" if package in TAKE_STATUS_EVENTS else package)).glob("*.json"))
