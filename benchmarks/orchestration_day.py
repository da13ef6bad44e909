"""Simulate a day of 100,000 jobs by discrete events against AWS' service quotas: queue time and cost by quota.

Jobs arrive by a Poisson process with a daily wave. Each goes through the three stages, whose machines are the account's
SageMaker quota, and whose queues serve the earliest upload first, like functions/domain/capacity.py with one owner.
Starts of executions, state transitions, status events and heartbeats of waiting tasks pass through AWS' token buckets.
Calls are sequential: an invocation of `dispatch` creates a job for the machine that became free, then tries the next
until SageMaker refuses it, and at most `dispatchers` invocations run at once.

https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html (Standard, Europe (Ireland))
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from contract.stages import Stage
from domain.cost import DEFAULT_REGION, DOLLARS_PER_HOUR

DAY = 86_400.0
LOOK_ROUND = 300.0  # seconds: watch_runs keeps the tasks alive that wait, each after so long
# assumed, from AWS' documents and others' measurements: seconds of a Create of SageMaker's, and of one it refuses
CREATE, REFUSAL = 0.5, 0.3
QUERY, WRITE = 0.02, 0.01  # of DynamoDB, and PutEvents
BEAT_SECONDS = 0.015  # one heartbeat of a waiting task by watch_runs: a read, a call and a write
BEATS_AT_ONCE = 10  # watch_runs/handler.py
DISPATCHERS = 10  # template.yaml's ReservedConcurrentExecutions

# the template's default machines
MACHINES = {Stage.SFM: "ml.c6i.4xlarge", Stage.TRAINING: "ml.g4dn.xlarge", Stage.COMPRESSOR: "ml.c6i.4xlarge"}


@dataclass(frozen=True)
class Service:
    """A stage on its default machine: seconds to get and start it (not billed), mean seconds of work (log-normal)."""

    start: float
    work: float
    spread: float = 0.5  # standard deviation of the work's logarithm


# assumed, for sets of some 200 photos: no stage has been measured on these machines
SERVICES = {Stage.SFM: Service(150, 600), Stage.TRAINING: Service(240, 1200), Stage.COMPRESSOR: Service(150, 180)}


@dataclass(frozen=True)
class Bucket:
    """AWS' token bucket: `size` calls at once, refilled by `rate` a second."""

    size: float
    rate: float


START_EXECUTION = Bucket(1300, 300)
STATE_TRANSITIONS = Bucket(5000, 5000)
SEND_HEARTBEAT = Bucket(3000, 500)
PUT_EVENTS = Bucket(10_000, 10_000)


class Throttle:
    """Computes when calls pass through a token bucket, one after the other."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket, self._tokens, self._at = bucket, bucket.size, 0.0
        self.longest = 0.0

    def take(self, at: float, calls: float = 1.0) -> float:
        """The time at which `calls` made at `at` have all been taken."""
        now = max(at, self._at)
        self._tokens = min(self._bucket.size, self._tokens + (now - self._at) * self._bucket.rate) - calls
        self._at = now
        done = now if self._tokens >= 0 else now - self._tokens / self._bucket.rate
        self.longest = max(self.longest, done - at)
        return done


@dataclass
class Day:
    """The results of a day. Times in seconds; `waits`: each job's time in queues for machines."""

    jobs: int
    waits: list[float] = field(default_factory=list)
    longest_queue: int = 0
    beats: int = 0  # heartbeats sent for tasks that wait
    machine_seconds: dict[Stage, float] = field(default_factory=lambda: dict.fromkeys(Stage, 0.0))
    last_end: float = 0.0
    throttled: dict[str, float] = field(default_factory=dict)  # longest wait at each of AWS' buckets
    idle_seconds: float = 0.0  # of machines, while runs waited for them
    longest_idle: float = 0.0  # from a machine's end to the next run's Create
    longest_beats: float = 0.0  # until all waiting tasks have had a heartbeat

    def wait(self, share: float) -> float:
        """Quantile of the jobs' waits."""
        ordered = sorted(self.waits)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    @property
    def compute_dollars(self) -> float:
        """SageMaker's on-demand price of all machine time; the quota itself costs nothing."""
        prices = DOLLARS_PER_HOUR[DEFAULT_REGION]
        return sum(prices[MACHINES[stage]] * used / 3600 for stage, used in self.machine_seconds.items())


def machines_needed(jobs: int, stage: Stage, started: bool = True) -> float:
    """Machines that are held on average when none waits, by Little's law; `started`: with the time to start them."""
    service = SERVICES[stage]
    return jobs / DAY * (service.work + (service.start if started else 0))


def arrivals(jobs: int, chance: random.Random, wave: float = 0.5) -> list[float]:
    """Times of `jobs` uploads over one day; at noon 1 + `wave` times the mean rate, at midnight 1 - `wave`."""
    found: list[float] = []
    while len(found) < jobs:
        at = chance.uniform(0, DAY)
        if chance.uniform(0, 1 + wave) <= 1 - wave * math.cos(2 * math.pi * at / DAY):
            found.append(at)
    return sorted(found)


def simulate(
    jobs: int,
    quotas: Mapping[Stage, int],
    seed: int = 0,
    services: Mapping[Stage, Service] = SERVICES,
    transitions: float = 11,
    status_events: float = 130,
    times: list[float] | None = None,
    dispatchers: int = DISPATCHERS,
    calls: float = 1.0,
) -> Day:
    """Simulate the day until its last job ends. Raises ValueError for a quota of 0, with which no job would end.
    `calls`: the factor by which AWS' calls take longer than assumed."""
    if min(quotas.values()) < 1:
        raise ValueError("with no machine in the quota no job ends")
    chance = random.Random(seed)
    day = Day(jobs, waits=[0.0] * jobs)
    start, steps, events, beats = (
        Throttle(b) for b in (START_EXECUTION, STATE_TRANSITIONS, PUT_EVENTS, SEND_HEARTBEAT)
    )
    free = dict(quotas)
    queues: dict[Stage, list[tuple[float, int, float]]] = {stage: [] for stage in Stage}  # uploaded, job, since
    uploaded = times or arrivals(jobs, chance)
    stages = list(Stage)
    due: list[tuple[float, int, str, int]] = []  # time, job, what, stage's number
    for job, at in enumerate(uploaded):
        heapq.heappush(due, (start.take(at), job, "asks", 0))
    heapq.heappush(due, (LOOK_ROUND, -1, "looks", 0))

    create, refusal = calls * (QUERY + CREATE + 4 * WRITE), calls * (QUERY + REFUSAL + 2 * WRITE)
    at_work, backlog = 0, deque[int]()  # invocations of dispatch; events that wait for one, as stages' numbers
    freed: dict[Stage, deque[float]] = {stage: deque() for stage in Stage}  # when machines ended that nobody has yet

    def begin(job: int, number: int, now: float) -> None:
        stage, service = stages[number], services[stages[number]]
        work = service.work * math.exp(chance.gauss(-(service.spread**2) / 2, service.spread))
        free[stage] -= 1
        since = freed[stage].popleft() if freed[stage] else now
        if since < now and job in waited:
            idle = now - max(since, waited[job])
            day.idle_seconds, day.longest_idle = day.idle_seconds + idle, max(day.longest_idle, idle)
        day.machine_seconds[stage] += work
        heapq.heappush(due, (now + service.start + work, job, "ends", number))

    waited: dict[int, float] = {}  # since when a job that was in a queue was there
    left = jobs
    while left:
        now, job, what, number = heapq.heappop(due)
        stage = stages[number]
        if what == "asks":
            now = steps.take(now, transitions / len(stages))
            events.take(now, status_events / len(stages))
            waited.pop(job, None)
            if free[stage] > 0 and not queues[stage]:
                begin(job, number, now + create)
            else:
                heapq.heappush(queues[stage], (uploaded[job], job, now))
                day.longest_queue = max(day.longest_queue, len(queues[stage]))
        elif what == "ends":
            free[stage] += 1
            freed[stage].append(now)
            backlog.append(number)
            if number + 1 < len(stages):
                heapq.heappush(due, (now, job, "asks", number + 1))
            else:
                left, day.last_end = left - 1, now
        elif what == "serves":
            if free[stage] > 0 and queues[stage]:
                _, next_job, since = heapq.heappop(queues[stage])
                waited[next_job] = since
                begin(next_job, number, now + create)
                day.waits[next_job] += now + create - since
                heapq.heappush(due, (now + create, -1, "serves", number))
            else:
                heapq.heappush(due, (now + refusal, -1, "is done", number))
        elif what == "is done":
            at_work -= 1
        else:
            waiting = sum(map(len, queues.values()))
            day.beats += waiting
            sent = max(beats.take(now, waiting), now + calls * waiting * BEAT_SECONDS / BEATS_AT_ONCE)
            day.longest_beats = max(day.longest_beats, sent - now)
            heapq.heappush(due, (now + LOOK_ROUND, -1, "looks", 0))
            backlog.extend(number for number, one in enumerate(stages) if free[one] > 0 and queues[one])
        while backlog and at_work < dispatchers:
            at_work += 1
            heapq.heappush(due, (now, -1, "serves", backlog.popleft()))
    day.throttled = {
        "StartExecution": start.longest,
        "StateTransition": steps.longest,
        "PutEvents": events.longest,
        "SendTaskHeartbeat": beats.longest,
    }
    return day
