"""Send seeded inputs through the doors and collect the outcomes."""

from __future__ import annotations

import logging
import random
import shutil
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from stage import pictures
from tests.fuzz import files, requests, uploads
from tests.fuzz.door import Door
from tests.fuzz.watch import watched
from tests.support.cloud import cloud_of

DOORS = (*files.DOORS, *uploads.DOORS, *requests.DOORS)
MAX_PIXELS = 4_000_000  # of a picture here: what is tested is that there is a limit, not how long a large picture takes


@dataclass
class Report:
    """Outcomes by door ("taken" or the code of a refusal), and the faults: the input's seed and what went wrong."""

    inputs: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    refusals: dict[str, Counter[str]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def play(seeds: Sequence[int], doors: Sequence[Door] = DOORS) -> Report:
    """Sends one input per seed, to the doors in turn."""
    report = Report()
    with (
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory() as root,
        warnings.catch_warnings(),
        cloud_of(patch),
    ):
        warnings.simplefilter("ignore")
        logging.disable()
        patch.setattr(pictures, "MAX_PIXELS", MAX_PIXELS)
        try:
            for seed in seeds:
                _play_one(seed, doors[seed % len(doors)], Path(root), report)
        finally:
            logging.disable(logging.NOTSET)
    return report


def _play_one(seed: int, door: Door, root: Path, report: Report) -> None:
    folder = root / "a" / "b" / "c" / "job"  # names that climb out of the folder end in root, where they are noticed
    folder.mkdir(parents=True)
    door.make(random.Random(seed), folder)
    try:
        with watched(folder) as seen:
            refusal = door.open(folder)
    except Exception:  # any exception is a fault
        report.faults.append(f"seed {seed}, {door.name}: {traceback.format_exc(limit=-4)}")
    else:
        report.outcomes[f"{door.name} {'refused' if refusal else 'taken'}"] += 1
        report.refusals.setdefault(door.name, Counter())[refusal[:60]] += 1
    strangers = [path for path in root.rglob("*") if path.is_file() and not path.is_relative_to(folder)]
    for what in [*seen, *(f"file {path.relative_to(root)}" for path in strangers)]:
        report.faults.append(f"seed {seed}, {door.name}: outside of its folder: {what}")
    report.inputs += 1
    shutil.rmtree(root / "a")
    for path in strangers:
        path.unlink(missing_ok=True)
