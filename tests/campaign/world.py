"""Virtual time, and the faults that any call may encounter."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.fakes import aws_error

Due = tuple[float, float, int, Callable[[], None]]  # time, random order of equal times, unique number, action
NEVER: Due = (math.inf, 0.0, 0, lambda: None)
EPOCH = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
LOOK_SECONDS = 300.0  # between two checks by `watch_runs` and `dispatch` (template.yaml)
FUNCTION_SECONDS = 60.0  # the template's Timeout
QUIET_AFTER = 3 * 86_400.0  # seconds; no faults after that, so that everything must come to an end


class Crash(BaseException):
    """The end of the function's process; no `except Exception` catches it."""


class Refused(Exception):
    """The account has no concurrent execution left (a young one has ten): the function did not run."""


@dataclass(frozen=True)
class Faults:
    """Probabilities of faults: of a crash and a throttle per call to AWS, of the others per event."""

    crash: float = 0.0
    throttle: float = 0.0
    refused: float = 0.0  # of calls to a function
    duplicate: float = 0.0
    lost: float = 0.0  # of events that are delivered on a best-effort basis
    late: float = 0.0
    stale: float = 0.0  # of reads of an index
    interleave: float = 0.0  # probability that others act between two calls of a function
    behind: float = 0.0  # of descriptions of a SageMaker job that do not show its end yet
    damaged: float = 0.0  # of results
    unreadable: float = 0.0  # of uploads
    skew: float = 0.0  # maximum error in seconds of the clocks of functions and containers
    outages: int = 0  # number of outages, each of one service, in which all calls fail for minutes
    bursts: int = 0  # number of bursts of others' calls, in which Lambda has no concurrency left for minutes


LARGE = 0.3  # share of the flights that are trained in blocks


class World:
    """Scheduler in virtual time. What is due at the same time runs in random order."""

    def __init__(self, seed: int, faults: Faults) -> None:
        self.random, self._faults, self.now = random.Random(seed), faults, 0.0
        self._due: list[Due] = []
        self._rounds: list[Due] = []  # actions of schedules
        self._until = 0.0
        self._count = itertools.count()
        self._deadlines: list[float] = []  # deadlines of the running functions, the innermost last
        self._skews: list[float] = []  # errors of their clocks
        self.large, self.blocks = LARGE, (2, 5)  # the minimum and maximum for a large flight
        self.met: list[float] = []  # times of faults that are not repeated at a later try
        self._outages = [self._outage() for _ in range(faults.outages)] + [self._burst() for _ in range(faults.bursts)]

    def _outage(self) -> tuple[str, float, float]:
        begin = self.random.uniform(0, 40_000)
        service = self.random.choice(["sagemaker", "stepfunctions", "events", "dynamodb", "s3"])
        return service, begin, begin + self.random.uniform(120, 2400)

    def _burst(self) -> tuple[str, float, float]:
        begin = self.random.uniform(0, 15_000)  # while most jobs are running
        return "lambda", begin, begin + self.random.uniform(120, 2400)

    def is_out(self, service: str) -> bool:
        return any(name == service and begin <= self.now < end for name, begin, end in self._outages)

    def excused(self, since: float) -> float:
        """Seconds of delay explained by faults since then: each costs a minute until the next try; a fault that a
        check of all runs met, and logged, costs the time until the next check; an outage costs its own length."""
        met = sum(at >= since for at in self.met)
        tries = 60.0 * met + (LOOK_SECONDS if met else 0.0)
        return tries + sum(max(0.0, min(end, self.now) - max(begin, since)) for _, begin, end in self._outages)

    @property
    def faults(self) -> Faults:
        return self._faults if self.now < QUIET_AFTER else Faults()

    def happens(self, chance: float) -> bool:
        return chance > 0 and self.random.random() < chance

    def may_fail(self, service: str, call: str) -> None:
        """Raises the fault, if any, that a call to `service` meets now, before the call takes effect."""
        if self.is_out(service):
            raise aws_error("ServiceUnavailable", call)
        if self.happens(self.faults.throttle):
            self.met.append(self.now)
            raise aws_error(self.random.choice(["ThrottlingException", "InternalFailure"]), call)

    def may_refuse(self) -> None:
        """Raises Refused if Lambda accepts no call of a function now."""
        if self.is_out("lambda") or self.happens(self.faults.refused):
            self.met.append(self.now)
            raise Refused

    def at(self) -> datetime:
        return EPOCH + timedelta(seconds=self.now)

    def seconds(self) -> float:
        """The time by the clock of the running function."""
        return self.at().timestamp() + (self._skews[-1] if self._skews else 0.0)

    def skewed(self) -> datetime:
        """The time by the clock of a function or container."""
        return self.at() + timedelta(seconds=self._skew())

    def _skew(self) -> float:
        return self.random.uniform(-self.faults.skew, self.faults.skew) if self.faults.skew else 0.0

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        self._push(self._due, self.now + seconds, do)

    def every(self, seconds: float, do: Callable[[], None], needed: Callable[[], bool]) -> None:
        """Runs an action every so many seconds. While it is not `needed`, its rounds are skipped until something else
        happens: most of the 72,000 minutes of a history have nothing to do. What happens next is known only while no
        function runs."""

        def again() -> None:
            rounds = 1
            if needed():
                do()
            elif not self._deadlines:
                happens = min(self._due[0][0], self._until) if self._due else self._until
                rounds = max(1, math.ceil((happens - self.now) / seconds))
            self._push(self._rounds, self.now + rounds * seconds, again)

        self._push(self._rounds, self.now + seconds, again)

    def run(self, until: float) -> None:
        self._until = until
        while self._next()[0] <= until:
            self._do_next()
        self.now = until

    def others_act(self) -> None:
        """Runs what is due next, between two calls of a function."""
        if self._next()[0] < min(self._deadlines, default=0) and len(self._deadlines) <= 3:
            self._do_next()

    def _push(self, heap: list[Due], at: float, do: Callable[[], None]) -> None:
        heapq.heappush(heap, (at, self.random.random(), next(self._count), do))

    def _next(self) -> Due:
        return min((heap[0] for heap in (self._due, self._rounds) if heap), default=NEVER)

    def _do_next(self) -> None:
        due = self._next()
        heapq.heappop(self._due if self._due and self._due[0] is due else self._rounds)
        self.now, _, _, do = due
        do()

    @contextmanager
    def function(self) -> Iterator[None]:
        """Sets the deadline of the function that runs inside the block."""
        self._deadlines.append(self.now + FUNCTION_SECONDS)
        self._skews.append(self._skew())
        try:
            yield
        finally:
            self._deadlines.pop()
            self._skews.pop()

    def deliver(self, take: Callable[[], None], durable: bool) -> None:
        """Delivers an event soon or late, once or twice, or, if it is not durable, possibly never."""
        if not durable and self.happens(self.faults.lost):
            return
        for _ in range(1 + self.happens(self.faults.duplicate)):
            late = self.random.uniform(60, 4000) if self.happens(self.faults.late) else 0
            self.after(self.random.uniform(0, 2) + late, take)


class Faulty:
    """A client whose calls may be throttled, or end in a crash before or after they take effect."""

    def __init__(self, target: Any, world: World, service: str) -> None:
        self._target, self._world, self._service = target, world, service

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._target, name)
        if not callable(attribute):
            return attribute

        def call(*arguments: Any, **named: Any) -> Any:
            faults = self._world.faults
            if self._world.happens(faults.interleave):
                self._world.others_act()
            self._world.may_fail(self._service, name)
            crash = self._world.happens(faults.crash)
            if crash:
                self._world.met.append(self._world.now)
            if crash and self._world.happens(0.5):
                raise Crash(name)
            answer = attribute(*arguments, **named)
            if crash:
                raise Crash(name)
            return answer

        return call
