"""Limit the CPU seconds of compression, and report progress by them.

The budget is in CPU seconds, not wall seconds, so that a busy machine delays a job but does not make its file larger.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from compressor.encode.presets import Preset

Report = Callable[[float, str], None]

_SHARE_OF_TRAINING = {Preset.TINY: 0.1, Preset.WEB: 0.2, Preset.ARCHIVE: 0.2}
"""Of the CPU seconds that training took: with pictures and page, the whole stage stays below 0.3."""
_WITHOUT_TRAINING = {Preset.TINY: (10.0, 20e-6), Preset.WEB: (30.0, 50e-6), Preset.ARCHIVE: (30.0, 50e-6)}
"""CPU seconds, and more of them for each Gaussian, where nobody knows what training took."""
_MIN_SECONDS = 8.0


def seconds_for(preset: Preset, count: int, training_seconds: float | None) -> float:
    """CPU seconds for a splat of `count` Gaussians; `training_seconds`: those of its training, None if unknown."""
    if training_seconds is None:
        base, each = _WITHOUT_TRAINING[preset]
        return base + each * count
    return max(_MIN_SECONDS, _SHARE_OF_TRAINING[preset] * training_seconds)


def nothing() -> None:
    """Stops nothing."""


def silent(_share: float, _text: str) -> None:
    """Reports nothing."""


@dataclass
class Pace:
    """A budget of CPU `seconds`, called between small steps of the work.

    `report` receives the share of the budget spent, below 1, and a sentence; `check_stop` raises to end the work.
    """

    seconds: float = math.inf
    report: Report = silent
    check_stop: Callable[[], None] = nothing
    clock: Callable[[], float] = time.process_time
    _text: str = field(default="", init=False)

    def __post_init__(self) -> None:
        self._started = self.clock()

    def __call__(self) -> None:
        """Call between two steps: raises if the work is to stop, and reports progress."""
        self.check_stop()
        self.report(min(self.spent / self.seconds, 0.99), self._text)

    def begin(self, step: int) -> None:
        """Set the step, 1 to 3, that is reported from now on."""
        self._text = f"optimising file size (step {step} of 3)"
        self()

    def part(self, begin: float, end: float) -> Pace:
        """The part of this pace from `begin` to `end`, 0..1; its time starts now."""
        if (begin, end) == (0.0, 1.0):
            return self

        def report(share: float, text: str) -> None:
            self.report(begin + (end - begin) * share, text)

        return replace(self, seconds=(end - begin) * self.seconds, report=report)

    @property
    def spent(self) -> float:
        """CPU seconds since the start."""
        return self.clock() - self._started

    def allows(self, seconds: float, until: float = 1.0) -> bool:
        """Whether a step of about this many seconds would end before the share `until` of the budget is spent."""
        return self.spent + seconds <= until * self.seconds
