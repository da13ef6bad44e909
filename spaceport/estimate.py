"""How long a run on this machine still takes, as a range: the pipeline's own paces, and what earlier runs here took."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from contract.files import write_json
from contract.options import Quality
from contract.stages import Stage
from domain.pace import TENTHS, Pace, gone_at, learnt, prior, stage_left

# how far a first run may be off what was measured on the project's machine, and a later one off its own kind
UNKNOWN, KNOWN = 2.0, 1.35


class PaceFile:
    """The paces learnt on this machine, by stage and quality. What cannot be read or written counts as not learnt."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of_user(cls, environ: Mapping[str, str] = os.environ) -> PaceFile:
        cache = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME") or "~").expanduser() / ".cache"
        return cls(Path(cache) / "spaceport" / "paces.json")

    def read(self, stage: Stage, quality: Quality) -> Pace:
        with suppress(OSError, ValueError, KeyError, TypeError):
            return Pace.model_validate(self._all()[f"{stage}/{quality}"])
        return prior(stage, quality)

    def write(self, stage: Stage, quality: Quality, pace: Pace) -> None:
        with suppress(OSError, ValueError):
            known: dict[str, object] = {}
            with suppress(OSError, ValueError):
                known = self._all()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_json(self.path, {**known, f"{stage}/{quality}": pace.model_dump()})

    def _all(self) -> dict[str, object]:
        return dict(json.loads(self.path.read_text(encoding="utf-8")))


@dataclass
class StageClock:
    """When a stage began, how far it is, and the seconds at which it passed each tenth."""

    began: float
    progress: float = 0.0
    marks: dict[int, float] = field(default_factory=dict)


@dataclass
class Estimate:
    """The rest of a run. `work`: units of each stage's work (photos, steps, Gaussians) as far as they are known."""

    stages: tuple[Stage, ...]
    quality: Quality
    paces: dict[Stage, Pace]
    work: dict[Stage, float] = field(default_factory=dict)
    clocks: dict[Stage, StageClock] = field(default_factory=dict)
    ended: dict[Stage, float] = field(default_factory=dict)

    def start(self, stage: Stage, now: float) -> None:
        self.clocks[stage] = StageClock(now)

    def progress(self, stage: Stage, share: float, now: float) -> None:
        clock = self.clocks[stage]
        clock.progress = max(clock.progress, share)
        tenth = int(clock.progress * TENTHS)
        if 0 < tenth < TENTHS:
            clock.marks.setdefault(tenth, now - clock.began)

    def finish(self, stage: Stage, now: float) -> Pace:
        """The pace after this run, for the next one."""
        clock = self.clocks[stage]
        self.ended[stage] = now - clock.began
        return learnt(self.paces[stage], 0.0, self.ended[stage], self._work(stage), clock.marks)

    def left(self, now: float) -> tuple[float, float]:
        """The least and the most seconds that the run is likely to take from `now` on."""
        low = high = 0.0
        for stage in self.stages:
            if stage in self.ended:
                continue
            pace = self.paces[stage].at_speed(self._ratio())
            clock = self.clocks.get(stage) or StageClock(now)
            seconds = stage_left(pace, self._work(stage), clock.progress, now - clock.began)
            seen = gone_at(pace, clock.progress)
            spread = 1 + ((KNOWN if pace.runs else UNKNOWN) - 1) * (1 - min(1.0, seen))
            low, high = low + seconds / spread, high + seconds * spread
        return low, high

    def _work(self, stage: Stage) -> float:
        return self.work.get(stage) or self.paces[stage].usual

    def _ratio(self) -> float:
        """How many times the predicted time the finished stages took; only stages without a learnt pace count."""
        unlearnt = [stage for stage in self.ended if not self.paces[stage].runs]
        predicted = sum(self.paces[stage].per_unit * self._work(stage) for stage in unlearnt)
        return min(max(sum(self.ended[stage] for stage in unlearnt) / predicted, 0.25), 4.0) if predicted else 1.0
