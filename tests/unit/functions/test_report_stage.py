"""report_stage through its handler: the waiting task gets SageMaker's outcome, once, whatever the events contain."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from contract.codes import FAILURES, ErrorCode
from contract.stages import Stage
from domain.errors import JobError
from report_stage.report import DescribedTooEarly
from tests.support.cloud import Cloud, Crash, invoke
from tests.support.events import sample_event
from tests.support.fakes import FakeExecution, aws_error
from tests.support.runs import JOB_ID, ask_for, job_changed, job_name, output_of

# most events add nothing to the metrics, and Powertools warns about that
pytestmark = pytest.mark.filterwarnings("ignore:No application metrics")


def started(cloud: Cloud, stage: Stage = Stage.SFM, token: str = "token-1") -> None:
    invoke("run_stage", ask_for(stage, token))


def completed(cloud: Cloud, stage: Stage = Stage.SFM, seconds: float = 60, **result: Any) -> None:
    started(cloud, stage)
    cloud.put_result(output_of(stage), **result)
    cloud.sagemaker.complete(job_name(stage), seconds)


@pytest.mark.parametrize("stage", Stage)
def test_a_completed_job_succeeds_its_task_with_what_it_left(cloud: Cloud, stage: Stage) -> None:
    completed(cloud, stage, seconds=90, counts={"photos": 18}, metrics={"psnr": 24.5})
    assert invoke("report_stage", job_changed(stage)) == {"reported": "COMPLETED"}
    (output,) = cloud.stepfunctions.successes("token-1")
    expected = {"stage": stage, "attempt": 1, "outputUri": output_of(stage), "seconds": 90}
    assert {name: output[name] for name in expected} == expected
    assert (output["counts"], output["warnings"]) == ({"photos": 18}, [])
    assert output["metrics"] == {"photos": 18, "psnr": 24.5}


def test_a_success_says_what_it_cost(cloud: Cloud) -> None:
    completed(cloud, seconds=3600)
    invoke("report_stage", job_changed())
    (output,) = cloud.stepfunctions.successes("token-1")
    assert output["cost"] == {"seconds": 3600.0, "dollars": 0.816}


def test_a_success_says_what_the_attempts_before_it_cost(cloud: Cloud) -> None:
    started(cloud)
    cloud.sagemaker.fail(job_name(), seconds=1800, FailureReason="InternalServerError: the machine was lost")
    started(cloud, token="token-2")
    cloud.put_result(output_of(attempt=2))
    cloud.sagemaker.complete(job_name(attempt=2), seconds=3600)
    invoke("report_stage", job_changed(attempt=2))
    (output,) = cloud.stepfunctions.successes("token-2")
    assert output["cost"] == {"seconds": 5400.0, "dollars": 1.224}


def spent(capsys: pytest.CaptureFixture[str]) -> list[float]:
    """The metric that the alarm on a day's spending adds up."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    return [value for line in lines for value in line.get("Spend", [])]


@pytest.mark.parametrize("end", ["complete", "fail", "end_stopped"])
def test_the_cost_of_a_run_is_counted_once_however_it_ended_and_however_often_it_is_reported(
    cloud: Cloud, capsys: pytest.CaptureFixture[str], end: str
) -> None:
    started(cloud)
    cloud.put_result(output_of())
    invoke("report_stage", job_changed(status="InProgress"))
    getattr(cloud.sagemaker, end)(job_name(), 3600)
    for _ in range(3):
        invoke("report_stage", job_changed())
    assert spent(capsys) == [0.816]


def test_a_machine_without_a_known_price_has_no_dollars(cloud: Cloud) -> None:
    completed(cloud, seconds=10)
    cloud.sagemaker.jobs[job_name()].request["ProcessingResources"]["ClusterConfig"]["InstanceType"] = "ml.m7i.large"
    invoke("report_stage", job_changed())
    assert cloud.stepfunctions.successes("token-1")[0]["cost"] == {"seconds": 10.0}


def test_the_state_machine_gets_short_warnings_without_names_and_metrics_that_fit(cloud: Cloud) -> None:
    warnings = [{"code": "PHOTOS_BLURRED", "message": "x" * 301, "names": ["a.jpg"]}] * 30
    exposure = {"photos": [{"name": f"{number}.jpg"} for number in range(5000)]}
    metrics = {"exposure": exposure, "short": [0.0] * 50, "ratio": 2.0}
    completed(cloud, counts={}, metrics=metrics, warnings=warnings)
    invoke("report_stage", job_changed())
    (output,) = cloud.stepfunctions.successes("token-1")
    assert sorted(output["metrics"]) == ["ratio", "short"]
    assert output["warnings"] == [{"code": "PHOTOS_BLURRED", "message": "x" * 300}] * 20


def test_a_completed_job_without_a_result_is_a_failure(cloud: Cloud) -> None:
    started(cloud)
    cloud.sagemaker.complete(job_name())
    invoke("report_stage", job_changed())
    assert cloud.stepfunctions.failures("token-1") == [ErrorCode.INTERNAL]


@pytest.mark.parametrize(
    "wrong",
    [
        {"version": 2},
        {"jobId": "valley-0123456789ab"},
        {"stage": "compressor"},
        {"attempt": 2},
        {"counts": {"photos": "many"}},
        {"warnings": [{"code": "NO_SUCH_WARNING", "message": "x", "names": []}]},
    ],
)
def test_a_result_that_is_damaged_or_another_runs_fails_the_stage(cloud: Cloud, wrong: dict[str, Any]) -> None:
    completed(cloud)
    cloud.put_result(output_of(), **wrong)
    invoke("report_stage", job_changed())
    assert cloud.stepfunctions.failures("token-1") == [ErrorCode.RESULT_DAMAGED]


def test_a_result_that_may_not_be_read_is_not_taken_for_missing(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    completed(cloud)

    def deny(**_arguments: str) -> None:
        raise aws_error("AccessDenied", "GetObject")

    monkeypatch.setattr(cloud.s3, "get_object", deny)
    with pytest.raises(ClientError, match="AccessDenied"):
        invoke("report_stage", job_changed())
    assert cloud.stepfunctions.answers == []


def test_a_failed_job_fails_its_task_with_the_code_to_match_and_the_error_as_cause(cloud: Cloud) -> None:
    started(cloud)
    cloud.sagemaker.fail(job_name(), ExitMessage="NO_OVERLAP: 12 of 12 photos", FailureReason="AlgorithmError: See log")
    assert invoke("report_stage", job_changed()) == {"reported": "FAILED"}
    ((_, _, said),) = cloud.stepfunctions.answers
    kind = FAILURES[ErrorCode.NO_OVERLAP]
    error = JobError(code=ErrorCode.NO_OVERLAP, message=f"{kind.sentence} (12 of 12 photos)", hint=kind.hint)
    assert said["error"] == "NO_OVERLAP"
    assert JobError.model_validate_json(said["cause"]) == error


@pytest.mark.parametrize("sample", ["processing-completed", "processing-failed"])
def test_sagemaker_is_asked_and_the_event_not_believed(cloud: Cloud, sample: str) -> None:
    started(cloud)
    for _ in range(2):  # Lambda delivers the event again while SageMaker's description does not show the end yet
        with pytest.raises(DescribedTooEarly):
            invoke("report_stage", sample_event(f"report_stage/{sample}"))
    assert cloud.stepfunctions.successes("token-1") + cloud.stepfunctions.failures("token-1") == []


def test_the_sample_of_a_training_that_got_no_spot_machine_reports_missing_capacity(cloud: Cloud) -> None:
    started(cloud, Stage.TRAINING)
    cloud.sagemaker.end_stopped(job_name(Stage.TRAINING), SecondaryStatus="MaxWaitTimeExceeded")
    invoke("report_stage", sample_event("report_stage/training-stopped"))
    assert cloud.stepfunctions.failures("token-1") == [ErrorCode.CAPACITY]


def test_the_same_event_twice_answers_once(cloud: Cloud) -> None:
    completed(cloud)
    first, second = (invoke("report_stage", job_changed()) for _ in range(2))
    assert first == second
    assert len(cloud.stepfunctions.answers) == 1


@pytest.mark.parametrize("gone", ["time_out", "invalidate", "forget_task"])
@pytest.mark.parametrize("ended", ["complete", "fail"])
def test_a_token_that_no_longer_waits_is_done(cloud: Cloud, gone: str, ended: str) -> None:
    completed(cloud)
    getattr(cloud.sagemaker, ended)(job_name())
    getattr(cloud.stepfunctions, gone)("token-1")
    assert invoke("report_stage", job_changed())["reported"] in ("COMPLETED", "FAILED")
    assert cloud.stepfunctions.answers == []


def test_another_fault_of_step_functions_is_raised(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    completed(cloud)

    def invalid(**_arguments: str) -> None:
        raise aws_error("InvalidOutput", "SendTaskSuccess")

    monkeypatch.setattr(cloud.stepfunctions, "send_task_success", invalid)
    with pytest.raises(ClientError, match="InvalidOutput"):
        invoke("report_stage", job_changed())


@pytest.mark.parametrize("arrives", [False, True], ids=["before the call", "after the call"])
def test_a_crash_at_any_call_and_a_second_delivery_answer_once(cloud: Cloud, arrives: bool) -> None:
    completed(cloud)
    cloud.watch.calls.clear()
    invoke("report_stage", job_changed())
    calls = list(cloud.watch.calls)
    assert len(calls) == 7
    for crash_at in range(len(calls)):
        cloud.stepfunctions.answers.clear()
        cloud.stepfunctions._gone.clear()
        key = {"jobId": JOB_ID, "stageRun": "sfm#0001"}
        cloud.table("stage-runs").update_item(Key=key, UpdateExpression="REMOVE dollars")
        cloud.watch.calls.clear()
        cloud.watch.crash_at, cloud.watch.arrives = crash_at, arrives
        with pytest.raises(Crash):
            invoke("report_stage", job_changed())
        cloud.watch.crash_at = None
        invoke("report_stage", job_changed())
        assert len(cloud.stepfunctions.successes("token-1")) == 1, calls[crash_at]


@pytest.mark.parametrize("name", ["somebody-elses-training", f"{JOB_ID}-sfm-x"])
def test_a_foreign_job_is_left_alone(cloud: Cloud, name: str) -> None:
    assert invoke("report_stage", job_changed(name=name)) == {"reported": None}
    assert not any(call.startswith("sagemaker.") for call in cloud.watch.calls)


def test_an_event_without_a_job_name_is_left_alone(cloud: Cloud) -> None:
    assert invoke("report_stage", {**job_changed(), "detail": {}}) == {"reported": None}


def test_a_foreign_job_that_is_named_like_ours_is_left_alone(cloud: Cloud) -> None:
    assert invoke("report_stage", job_changed(name="their-model-sfm-1")) == {"reported": "MISSING"}
    assert cloud.stepfunctions.answers == []


def test_progress_beats_the_heart_of_the_waiting_task(cloud: Cloud) -> None:
    started(cloud, Stage.TRAINING)
    assert invoke("report_stage", sample_event("status/stage-progressed")) == {"reported": "HEARTBEAT"}
    assert cloud.stepfunctions.heartbeats("token-1") == 1


def test_a_change_of_a_job_that_still_runs_beats_the_heart_too(cloud: Cloud) -> None:
    started(cloud)
    invoke("report_stage", job_changed(status="InProgress"))
    assert cloud.stepfunctions.heartbeats("token-1") == 1


def test_progress_alone_decides_nothing(cloud: Cloud) -> None:
    completed(cloud, Stage.TRAINING)
    invoke("report_stage", sample_event("status/stage-progressed"))
    assert cloud.stepfunctions.successes("token-1") == []


def test_progress_of_an_attempt_that_nobody_waits_for_beats_nothing(cloud: Cloud) -> None:
    started(cloud, Stage.TRAINING)
    event = sample_event("status/stage-progressed")
    event["detail"]["attempt"] = 2
    invoke("report_stage", event)
    assert cloud.stepfunctions.answers == []


def test_late_progress_of_a_task_that_has_ended_is_done(cloud: Cloud) -> None:
    started(cloud, Stage.TRAINING)
    cloud.stepfunctions.time_out("token-1")
    assert invoke("report_stage", sample_event("status/stage-progressed")) == {"reported": "HEARTBEAT"}


@pytest.mark.parametrize("status", ["ABORTED", "TIMED_OUT", "FAILED"])
@pytest.mark.parametrize("news", ["job changed", "progress"])
def test_a_job_whose_execution_has_ended_is_stopped_by_its_own_news(cloud: Cloud, status: str, news: str) -> None:
    """Its execution ended before the job was created, or the event of that end was lost."""
    started(cloud)
    cloud.stepfunctions.time_out("token-1")
    cloud.stepfunctions.executions[JOB_ID] = FakeExecution({}, status)
    invoke("report_stage", job_changed(status="InProgress") if news == "job changed" else progressed())
    assert cloud.sagemaker.stopped == [job_name()]


def test_a_job_whose_task_is_between_two_attempts_runs_on(cloud: Cloud) -> None:
    started(cloud)
    cloud.stepfunctions.time_out("token-1")
    cloud.stepfunctions.executions[JOB_ID] = FakeExecution({})
    invoke("report_stage", job_changed(status="InProgress"))
    assert cloud.sagemaker.stopped == []


def test_a_job_of_another_stack_is_left_alone(cloud: Cloud) -> None:
    started(cloud)
    cloud.table("stage-runs").delete_item(Key={"jobId": JOB_ID, "stageRun": "sfm#0001"})
    invoke("report_stage", progressed())
    assert cloud.sagemaker.stopped == []


def progressed() -> dict[str, Any]:
    event = sample_event("status/stage-progressed")
    event["detail"] |= {"jobId": JOB_ID, "stage": "sfm", "attempt": 1}
    return event
