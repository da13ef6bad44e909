"""watch_runs through its handler: waiting tasks stay alive, and an end whose event was lost is found by asking
SageMaker."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

import watch_runs.watch as watch_module
from contract.codes import ErrorCode
from contract.stages import Stage
from domain import stage_runs
from domain.fairness import StartTags
from domain.outcome import WAITING
from tests.support.cloud import Cloud, Crash, LambdaContext, invoke
from tests.support.events import sample_event
from tests.support.fakes import FakeExecution, FakeStepFunctions, aws_error
from tests.support.queueing import Clock
from tests.support.runs import JOB_ID, ask_for, job_changed, job_name, output_of, run_of, waiting

pytestmark = pytest.mark.filterwarnings("ignore:No application metrics")


@pytest.fixture
def clock(clock: Clock, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the queue, of SageMaker, and of watch_runs."""
    monkeypatch.setattr(watch_module.Watcher.__init__, "__kwdefaults__", {"clock": clock})
    cloud.sagemaker.clock = lambda: datetime.fromtimestamp(clock(), UTC)
    cloud.stepfunctions.executions[JOB_ID] = FakeExecution({})
    return clock


def watch() -> dict[str, int]:
    looks: dict[str, int] = invoke("watch_runs", sample_event("watch_runs/scheduled"))
    return looks


def ask(number: int, stage: Stage = Stage.TRAINING) -> None:
    event = ask_for(stage, f"token-{number}")
    event["job"] |= {"jobId": f"job-{number}", "uploadedAt": f"2026-05-04T10:{number:02d}:00Z"}
    invoke("run_stage", event)


def progressed(at: float) -> None:
    event = sample_event("status/stage-progressed") | {"time": datetime.fromtimestamp(at, UTC).isoformat()}
    event["detail"] |= {"jobId": JOB_ID, "stage": "sfm", "attempt": 1}
    invoke("report_stage", event)


def finish(cloud: Cloud) -> None:
    cloud.put_result(output_of())
    cloud.sagemaker.complete(job_name())


def test_a_run_that_was_heard_of_lately_is_left_alone(cloud: Cloud, clock: Clock) -> None:
    invoke("run_stage", ask_for())
    finish(cloud)
    clock.pass_minutes(1)
    assert watch() == {}
    assert cloud.stepfunctions.answers == []


@pytest.mark.parametrize("stage", Stage)
def test_an_end_whose_event_was_lost_is_reported_within_five_minutes(cloud: Cloud, clock: Clock, stage: Stage) -> None:
    invoke("run_stage", ask_for(stage))
    cloud.put_result(output_of(stage))
    cloud.sagemaker.complete(job_name(stage))
    for _ in range(5):
        clock.pass_minutes(1)
        watch()
    assert len(cloud.stepfunctions.successes("token-1")) == 1


def test_a_failure_whose_event_was_lost_is_reported_with_its_code(cloud: Cloud, clock: Clock) -> None:
    invoke("run_stage", ask_for())
    cloud.sagemaker.fail(job_name(), ExitMessage="NO_OVERLAP: 3 of 18")
    clock.pass_minutes(5)
    assert watch() == {"REPORTED": 1}
    assert cloud.stepfunctions.failures("token-1") == [ErrorCode.NO_OVERLAP]


def test_what_such_a_run_has_cost_is_counted_once(
    cloud: Cloud, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    invoke("run_stage", ask_for())
    cloud.put_result(output_of())
    cloud.sagemaker.complete(job_name(), seconds=3600)
    clock.pass_minutes(5)
    watch()
    assert spent(capsys) == [0.816]
    invoke("report_stage", job_changed())
    assert spent(capsys) == []


def spent(capsys: pytest.CaptureFixture[str]) -> list[float]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    return [value for line in lines for value in line.get("Spend", [])]


def test_an_answered_run_is_looked_at_no_more(cloud: Cloud, clock: Clock) -> None:
    invoke("run_stage", ask_for())
    finish(cloud)
    invoke("report_stage", job_changed())
    clock.pass_minutes(60)
    cloud.watch.calls.clear()
    assert watch() == {}
    assert not any(call.startswith("sagemaker.") for call in cloud.watch.calls)


def test_progress_postpones_the_look(cloud: Cloud, clock: Clock) -> None:
    invoke("run_stage", ask_for())
    for _ in range(4):
        clock.pass_minutes(2)
        progressed(clock())
        assert watch() == {}


def test_progress_that_arrives_late_does_not_postpone_the_look(cloud: Cloud, clock: Clock) -> None:
    """The job may have ended in the meantime, and the event of that may be lost."""
    invoke("run_stage", ask_for())
    reported = clock()
    clock.pass_minutes(2)
    finish(cloud)
    progressed(reported)
    clock.pass_minutes(1)
    assert watch() == {"REPORTED": 1}


def test_progress_in_quick_succession_is_written_once_a_minute(cloud: Cloud, clock: Clock) -> None:
    invoke("run_stage", ask_for())
    clock.pass_minutes(2)
    writes = []
    for _ in range(3):
        before = cloud.table("stage-runs").scan()["Items"]
        clock.pass_minutes(1 / 6)
        progressed(clock())
        writes.append(cloud.table("stage-runs").scan()["Items"] != before)
    assert writes == [True, False, False]


def test_a_job_at_work_gets_no_heartbeat_for_being_looked_at(cloud: Cloud, clock: Clock) -> None:
    """Heartbeats stand for progress: a job that hangs must fail as STALLED."""
    invoke("run_stage", ask_for())
    cloud.sagemaker.start(job_name())
    clock.pass_minutes(5)
    assert watch() == {"RUNNING": 1}
    assert cloud.stepfunctions.heartbeats("token-1") == 0
    assert watch() == {}, "the next look is two minutes away"


@pytest.mark.parametrize("stage", Stage)
def test_a_task_whose_job_waits_for_its_machine_is_kept_alive(cloud: Cloud, clock: Clock, stage: Stage) -> None:
    """For hours if necessary: such a job publishes nothing."""
    invoke("run_stage", ask_for(stage))
    for _ in range(30):
        clock.pass_minutes(1)
        watch()
    assert 14 <= cloud.stepfunctions.heartbeats("token-1") <= 15


@pytest.mark.parametrize("status", sorted(WAITING))
def test_every_way_to_wait_at_sagemaker_keeps_the_task_alive(cloud: Cloud, clock: Clock, status: str) -> None:
    invoke("run_stage", ask_for(Stage.TRAINING))
    cloud.sagemaker.start(job_name(Stage.TRAINING))
    cloud.sagemaker.wait(job_name(Stage.TRAINING), status)
    clock.pass_minutes(5)
    assert watch() == {"ALIVE": 1}
    assert cloud.stepfunctions.heartbeats("token-1") == 1


def test_a_wait_for_longer_than_the_parameter_says_ends_and_the_next_attempt_is_on_demand(
    cloud: Cloud, clock: Clock
) -> None:
    name = job_name(Stage.TRAINING)
    invoke("run_stage", ask_for(Stage.TRAINING))
    for _ in range(60):
        clock.pass_minutes(1)
        watch()
    assert cloud.sagemaker.stopped == []
    for _ in range(4):
        clock.pass_minutes(1)
        watch()
    assert cloud.sagemaker.stopped == [name]
    cloud.sagemaker.end_waiting(name)
    invoke("report_stage", job_changed(Stage.TRAINING, status="Stopped"))
    assert cloud.stepfunctions.failures("token-1") == [ErrorCode.CAPACITY]
    invoke("run_stage", ask_for(Stage.TRAINING, "token-2"))
    made = cloud.sagemaker.jobs[job_name(Stage.TRAINING, 2)].request
    assert made["EnableManagedSpotTraining"] is False
    assert made["CheckpointConfig"] == cloud.sagemaker.jobs[name].request["CheckpointConfig"]


def test_the_time_that_a_job_was_at_work_is_no_part_of_its_wait(cloud: Cloud, clock: Clock) -> None:
    name = job_name(Stage.TRAINING)
    invoke("run_stage", ask_for(Stage.TRAINING))
    clock.pass_minutes(50)
    cloud.sagemaker.start(name)
    clock.pass_minutes(120)
    cloud.sagemaker.wait(name, "Interrupted")
    clock.pass_minutes(30)
    cloud.sagemaker.wait(name, "Starting")
    clock.pass_minutes(20)
    assert watch() == {"ALIVE": 1}
    assert cloud.sagemaker.stopped == []
    clock.pass_minutes(20)
    watch()
    assert cloud.sagemaker.stopped == [name]
    cloud.sagemaker.end_stopped(name)
    clock.pass_minutes(5)
    watch()
    assert cloud.stepfunctions.failures("token-1") == [ErrorCode.CAPACITY]


def test_where_no_other_machine_may_be_tried_the_wait_goes_on(cloud: Cloud, clock: Clock) -> None:
    invoke("run_stage", ask_for(Stage.SFM))
    for _ in range(40):
        clock.pass_minutes(10)
        watch()
    assert cloud.sagemaker.stopped == []
    assert cloud.stepfunctions.heartbeats("token-1") == 40


def test_waiting_tasks_are_kept_alive_for_as_long_as_they_wait(cloud: Cloud, clock: Clock) -> None:
    cloud.sagemaker.quota = 0
    for number in (1, 2, 3):
        ask(number)
    for _ in range(30):
        clock.pass_minutes(1)
        watch()
    assert {cloud.stepfunctions.heartbeats(f"token-{number}") for number in (1, 2, 3)} <= {14, 15}


def test_the_fault_of_one_run_keeps_no_heartbeat_from_the_others(
    cloud: Cloud, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.sagemaker.quota = 0
    for number in (1, 2, 3):
        ask(number)
    _refuse(monkeypatch, "token-2")
    clock.pass_minutes(5)
    assert watch() == {"ALIVE": 2, "FAULT": 1}


def _refuse(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    original: Callable[..., Any] = FakeStepFunctions.send_task_heartbeat

    def refusing(self: FakeStepFunctions, **arguments: Any) -> Any:
        if arguments["taskToken"] == token:
            raise aws_error("InternalError", "SendTaskHeartbeat")
        return original(self, **arguments)

    monkeypatch.setattr(FakeStepFunctions, "send_task_heartbeat", refusing)


def test_a_job_that_was_stopped_while_it_waited_leaves_the_queue(cloud: Cloud, clock: Clock) -> None:
    cloud.sagemaker.quota = 0
    ask(1)
    cloud.stepfunctions.executions["job-1"] = FakeExecution({}, "ABORTED")
    cloud.stepfunctions.time_out("token-1")
    clock.pass_minutes(5)
    assert watch() == {"GONE": 1}
    assert waiting(Stage.TRAINING, cloud) == []


def test_a_run_whose_dispatcher_died_after_its_create_is_told_of_while_it_is_queued(cloud: Cloud, clock: Clock) -> None:
    cloud.sagemaker.quota = 0
    invoke("run_stage", ask_for())
    runs = stage_runs.StageRuns(cloud.table("stage-runs"))
    request = next(iter(runs.queue(Stage.SFM))).request
    assert runs.claim(run_of())
    assert request is not None
    cloud.sagemaker.quota = None
    cloud.sagemaker.create_processing_job(**request)
    cloud.sagemaker.quota = 0
    clock.pass_minutes(5)
    assert watch() == {"ALIVE": 1}
    finish(cloud)
    clock.pass_minutes(5)
    assert watch() == {"REPORTED": 1}
    assert len(cloud.stepfunctions.successes("token-1")) == 1
    assert waiting(Stage.SFM, cloud) == []


def test_so_is_one_whose_dispatcher_met_a_fault_after_its_create(
    cloud: Cloud, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.sagemaker.quota = 0
    invoke("run_stage", ask_for())
    cloud.sagemaker.quota = 1

    def throttled(_self: StartTags, _tag: int) -> None:
        raise aws_error("ThrottlingException", "UpdateItem")

    with monkeypatch.context() as faulty:
        faulty.setattr(StartTags, "served", throttled)
        invoke("dispatch", sample_event("dispatch/scheduled"))
    assert cloud.sagemaker.created == [job_name()]
    assert waiting(Stage.SFM, cloud) == [job_name()], "its machine is taken, so no dispatcher comes to it again"
    finish(cloud)
    clock.pass_minutes(5)
    assert watch() == {"REPORTED": 1}
    assert len(cloud.stepfunctions.successes("token-1")) == 1


def test_a_run_between_two_attempts_of_its_task_keeps_its_place(cloud: Cloud, clock: Clock) -> None:
    cloud.sagemaker.quota = 0
    ask(1)
    cloud.stepfunctions.executions["job-1"] = FakeExecution({})
    cloud.stepfunctions.time_out("token-1")
    clock.pass_minutes(5)
    watch()
    assert waiting(Stage.TRAINING, cloud) == ["job-1-3dgs-1"]


@pytest.mark.parametrize("started", [True, False], ids=["at work", "without a machine yet"])
def test_a_job_of_an_execution_that_has_ended_is_stopped(cloud: Cloud, clock: Clock, started: bool) -> None:
    invoke("run_stage", ask_for())
    if started:
        cloud.sagemaker.start(job_name())
    cloud.stepfunctions.executions[JOB_ID] = FakeExecution({}, "ABORTED")
    cloud.stepfunctions.time_out("token-1")
    clock.pass_minutes(5)
    assert watch() == {"GONE": 1}
    assert cloud.sagemaker.stopped == [job_name()]
    clock.pass_minutes(5)
    assert watch() == {}


def test_an_answer_to_an_old_token_does_not_end_the_watch_for_the_new_one(cloud: Cloud, clock: Clock) -> None:
    runs = stage_runs.StageRuns(cloud.table("stage-runs"))
    invoke("run_stage", ask_for(token="token-1"))
    invoke("run_stage", ask_for(token="token-2"))
    (run,) = [waiting.run for waiting in runs.of_job(JOB_ID)]
    assert not runs.answered(run, "token-1")
    finish(cloud)
    clock.pass_minutes(5)
    watch()
    assert len(cloud.stepfunctions.successes("token-2")) == 1


@pytest.mark.parametrize("arrives", [False, True], ids=["before the call", "after the call"])
def test_a_crash_at_any_call_costs_a_minute(
    cloud: Cloud, clock: Clock, monkeypatch: pytest.MonkeyPatch, arrives: bool
) -> None:
    monkeypatch.setattr("watch_runs.handler.in_parallel", map)
    invoke("run_stage", ask_for())
    finish(cloud)
    clock.pass_minutes(5)
    for number in range(12):
        cloud.watch.calls.clear()
        cloud.watch.crash_at, cloud.watch.arrives = number, arrives
        with contextlib.suppress(Crash):
            watch()
        cloud.watch.crash_at = None
        clock.pass_minutes(1)
    watch()
    assert len(cloud.stepfunctions.successes("token-1")) == 1


def test_with_too_little_time_for_all_runs_each_stage_gets_its_heartbeats(
    cloud: Cloud, clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.sagemaker.quota = 0
    for number in range(1, 7):
        cloud.has_upload(f"job-{number}")
        ask(number, Stage.SFM)
    ask(7)
    for _ in range(30):
        clock.pass_minutes(1)
        with monkeypatch.context() as short:
            short.setattr(LambdaContext, "get_remaining_time_in_millis", time_for(2))
            watch()
    assert min(cloud.stepfunctions.heartbeats(f"token-{number}") for number in range(1, 8)) >= 7
    clock.pass_minutes(5)
    capsys.readouterr()
    with monkeypatch.context() as short:
        short.setattr(LambdaContext, "get_remaining_time_in_millis", time_for(2))
        assert watch() == {"ALIVE": 2, "LEFT_OVER": 5}
    assert not_looked_at(capsys) == 5
    assert watch() == {"ALIVE": 5}
    assert not_looked_at(capsys) == 0


def time_for(runs: int) -> Callable[[LambdaContext], int]:
    left = iter([60_000] * runs)
    return lambda _context: next(left, 0)


def not_looked_at(capsys: pytest.CaptureFixture[str]) -> float:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"RunsNotLookedAt"' in line]
    return float(lines[-1]["RunsNotLookedAt"][0])


def longest_wait(capsys: pytest.CaptureFixture[str]) -> float:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"LongestWaitHours"' in line]
    return float(lines[-1]["LongestWaitHours"][0])


def test_the_longest_wait_is_measured_in_the_queue_and_at_sagemaker(
    cloud: Cloud, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    watch()
    assert longest_wait(capsys) == 0
    cloud.sagemaker.quota = 0
    invoke("run_stage", ask_for())
    clock.pass_minutes(60)
    ask(1)
    clock.pass_minutes(30)
    watch()
    assert longest_wait(capsys) == 1.5


def test_a_run_at_work_waits_for_nothing(cloud: Cloud, clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    invoke("run_stage", ask_for())
    clock.pass_minutes(6)
    watch()
    assert longest_wait(capsys) == 0.1
    cloud.sagemaker.start(job_name())
    clock.pass_minutes(6)
    watch()
    assert longest_wait(capsys) == 0
