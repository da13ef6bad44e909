"""The simulated day of benchmarks/orchestration_day.py, compared with queueing theory."""

from __future__ import annotations

import math
import random

import pytest

from benchmarks.orchestration_day import DAY, Bucket, Service, Throttle, arrivals, machines_needed, simulate
from benchmarks.orchestration_prices import dollars_a_job
from contract.stages import Stage

PLENTY = dict.fromkeys(Stage, 10_000)
QUICK = {stage: Service(start=0, work=1e-3, spread=0) for stage in Stage}


def test_with_machines_for_all_nobody_waits_and_machines_work_as_little_says() -> None:
    day = simulate(20_000, PLENTY)
    assert day.wait(1.0) == 0
    for stage, seconds in day.machine_seconds.items():
        assert seconds / DAY == pytest.approx(machines_needed(20_000, stage, started=False), rel=0.02)


def test_one_machine_with_even_work_keeps_customers_waiting_as_pollaczek_and_khinchine_say() -> None:
    """M/D/1: the mean wait is rho / (2 mu (1 - rho))."""
    work, jobs = 6.0, 10_000
    rho = jobs / DAY * work
    services = {**QUICK, Stage.TRAINING: Service(start=0, work=work, spread=0)}
    times = arrivals(jobs, random.Random(3), wave=0)
    day = simulate(jobs, {**PLENTY, Stage.TRAINING: 1}, services=services, times=times, calls=0)
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


def test_with_one_dispatcher_that_calls_in_turn_machines_stand_idle() -> None:
    """100,000 jobs a day are 3.5 ends a second, and a Create call takes half a second: one after another, they do not
    fit."""
    busy = {stage: round(0.9 * machines_needed(20_000, stage)) for stage in Stage}
    one, ten = (
        simulate(20_000, busy, dispatchers=n, calls=5) for n in (1, 10)
    )  # a fifth of the day, calls 5 times slower
    assert one.longest_idle > 600
    assert ten.longest_idle < 10
    assert one.last_end > ten.last_end


def test_what_waits_is_served_by_a_look_round_where_every_event_came_before_it() -> None:
    """A customer who arrives while the last machine's Create call is running waits, and no further end follows."""
    day = simulate(3, dict.fromkeys(Stage, 1), times=[0.0, 0.1, 0.2])
    assert len(day.waits) == 3
    assert day.last_end > 0


def test_beats_of_all_that_wait_take_their_time_ten_at_once() -> None:
    times = [0.0] * 4000
    day = simulate(4000, {**PLENTY, Stage.SFM: 1}, services=QUICK, times=times, calls=100)
    assert day.longest_beats == pytest.approx(100 * 0.015 * 4000 / 10, rel=0.2)


def test_a_job_costs_what_its_own_progress_events_make_it_cost() -> None:
    """An event is two invocations, a write of the item and some reads; computed by hand from the list prices."""
    without = dollars_a_job(11, 31, 2, 10, progress_events=0)
    one = dollars_a_job(11, 31, 2, 10, progress_events=1)
    assert one["eventBridge"] - without["eventBridge"] == pytest.approx(1e-6)
    assert one["lambda"] - without["lambda"] == pytest.approx(2 * 0.2e-6 + 2 * 0.025 * 1.66667e-5, rel=1e-4)
    assert one["dynamoDb"] - without["dynamoDb"] == pytest.approx(5 * 0.625e-6 + 4.5 * 0.125e-6)
    assert one["total"] == pytest.approx(sum(price for name, price in one.items() if name != "total"))
    assert dollars_a_job(11, 31, 2, 10)["total"] < 0.0015, "a three-hundredth of the machines' 0.42 dollars"
