"""The simulated day of benchmarks/orchestration_day.py against what queueing theory knows."""

from __future__ import annotations

import math
import random

import pytest

from benchmarks.orchestration_day import DAY, Bucket, Service, Throttle, arrivals, machines_needed, simulate
from contract.stages import Stage

PLENTY = dict.fromkeys(Stage, 10_000)
QUICK = {stage: Service(start=0, work=1e-3, spread=0) for stage in Stage}


def test_with_machines_for_all_nobody_waits_and_machines_work_as_little_says() -> None:
    day = simulate(20_000, PLENTY)
    assert day.wait(1.0) == 0
    for stage, seconds in day.machine_seconds.items():
        assert seconds / DAY == pytest.approx(machines_needed(20_000, stage, started=False), rel=0.02)


def test_one_machine_with_even_work_keeps_customers_waiting_as_pollaczek_and_khinchine_say() -> None:
    """M/D/1: mean wait is rho / (2 mu (1 - rho))."""
    work, jobs = 6.0, 10_000
    rho = jobs / DAY * work
    services = {**QUICK, Stage.TRAINING: Service(start=0, work=work, spread=0)}
    times = arrivals(jobs, random.Random(3), wave=0)
    day = simulate(jobs, {**PLENTY, Stage.TRAINING: 1}, services=services, times=times)
    assert sum(day.waits) / jobs == pytest.approx(rho * work / (2 * (1 - rho)), rel=0.15)


def test_more_machines_never_make_anybody_wait_longer_on_average() -> None:
    waits = [sum(simulate(5000, {**PLENTY, Stage.TRAINING: machines}).waits) for machines in (60, 70, 80, 90, 120)]
    assert waits == sorted(waits, reverse=True)


def test_a_day_without_a_machine_is_refused() -> None:
    with pytest.raises(ValueError, match="no machine"):
        simulate(10, {**PLENTY, Stage.SFM: 0})


def test_a_bucket_lets_its_size_through_at_once_and_then_its_rate() -> None:
    throttle = Throttle(Bucket(size=5, rate=2))
    taken = [throttle.take(0.0) for _ in range(9)]
    assert taken == [0, 0, 0, 0, 0, 0.5, 1.0, 1.5, 2.0]
    assert throttle.take(100.0) == 100.0
    assert throttle.longest == 2.0


def test_the_wave_is_highest_at_noon() -> None:
    found = arrivals(20_000, random.Random(1), wave=0.5)
    noon = sum(abs(at - DAY / 2) < DAY / 24 for at in found)
    midnight = sum(min(at, DAY - at) < DAY / 24 for at in found)
    assert noon / midnight == pytest.approx(3, rel=0.15)
    assert math.isclose(len(found), 20_000)
