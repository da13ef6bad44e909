"""Divide the time that the stage may take, because a job that SageMaker stops at MaxRuntimeInSeconds delivers nothing.

The limit is part of the request, which the container finds in config/processingjobconfig.json:
https://docs.aws.amazon.com/sagemaker/latest/dg/build-your-own-processing-container.html
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path

# share of the time by which each part must be done, so that the following ones can still deliver
MATCHED_BY, MAPPED_BY, CALIBRATED_BY = 0.55, 0.8, 0.9
NAMED_IN = Path("config") / "processingjobconfig.json"


class OutOfTimeError(Exception):
    """A part of the work has used its share of the time."""


class TimeBudget:
    """A budget of `seconds` from now; infinite means no limit."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._clock = clock
        self._began = clock()

    @property
    def elapsed(self) -> float:
        return self._clock() - self._began

    def left(self, share: float) -> float:
        """Seconds until `share` of the budget is used; never below zero."""
        return max(self.seconds * share - self.elapsed, 0.0)

    def ending(self, share: float, progress: Callable[[float], None]) -> Callable[[float], None]:
        """`progress` that raises OutOfTimeError once `share` of the budget is used."""

        def checked(done: float) -> None:
            if self.left(share) == 0:
                raise OutOfTimeError
            progress(done)

        return checked


def job_seconds(root: Path) -> float:
    """MaxRuntimeInSeconds of the processing job whose folders are below `root`; infinite where it is not given."""
    try:
        request = json.loads((root / NAMED_IN).read_text(encoding="utf-8"))
        return float(request["StoppingCondition"]["MaxRuntimeInSeconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return math.inf
