"""A rerun: a separate job that begins at the requested stage, and starts once however often it is requested."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from contract.codes import ErrorCode
from contract.stages import Stage
from domain.errors import RefusedRequest, RejectedUpload
from domain.executions import Executions, Rerun
from domain.job import Job, job_id_of_rerun
from domain.jobs_table import JobFacts, JobsTable
from domain.limits import JobLimits, OwnerLimits
from domain.owner_spending import OwnerSpending
from domain.rerun import Rerunner, RerunRequest, StartedRerun
from tests.support.archives import SIX_PHOTOS, photos, zip_of
from tests.support.cloud import ENVIRONMENT, UPLOADS, Cloud, Crash, invoke
from tests.support.events import sample_event
from tests.support.fakes import FakeExecution, aws_error
from tests.support.runs import output_of

STAGES = (Stage.SFM, Stage.TRAINING, Stage.COMPRESSOR)


@pytest.fixture
def rerunner(cloud: Cloud) -> Rerunner:
    executions = Executions(cloud.client("stepfunctions"), ENVIRONMENT["PIPELINE_ARN"])
    jobs = JobsTable(cloud.resource("dynamodb").Table("jobs"))
    limits = OwnerLimits(jobs, OwnerSpending(cloud.table("limits")), JobLimits.read())
    return Rerunner(cloud.client("s3"), executions, jobs, limits)


@pytest.fixture
def job_id(cloud: Cloud) -> str:
    """A job that has succeeded; its events are in the jobs table and its results in S3."""
    uploaded = cloud.upload("meadow.zip", SIX_PHOTOS, email="pilot@example.com", quality="high")
    job_id: str = invoke("start_job", uploaded)["jobId"]
    for stage in STAGES:
        cloud.put_result(output_of(stage), jobId=job_id, counts={"photos": 18}, metrics={"gpsRms": 0.3})
        event = sample_event("status/stage-succeeded")
        event["detail"] |= {
            "jobId": job_id,
            "stage": stage.value,
            "attempt": 1,
            "sequence": stage.ordinal * 1_000_000 + 999_999,
            "outputs": {"output": output_of(stage)},
        }
        invoke("track_progress", event)
    end(cloud, job_id)
    return job_id


def end(cloud: Cloud, job_id: str, status: str = "SUCCEEDED") -> None:
    cloud.stepfunctions.executions[job_id].status = status


def asked(job_id: str, stage: Stage = Stage.TRAINING, **more: Any) -> RerunRequest:
    return RerunRequest(job_id=job_id, from_stage=stage, **more)


def test_a_rerun_is_an_execution_of_its_own(cloud: Cloud, rerunner: Rerunner, job_id: str) -> None:
    started = rerunner.rerun(asked(job_id))
    assert started == StartedRerun(
        job_id=f"{job_id}-r2", rerun_of=job_id, from_stage=Stage.TRAINING, reused=(Stage.SFM,)
    )
    assert list(cloud.stepfunctions.executions) == [job_id, f"{job_id}-r2"]


def test_it_begins_at_its_stage_with_the_results_of_those_before(cloud: Cloud, rerunner: Rerunner, job_id: str) -> None:
    document = cloud.stepfunctions.executions[rerunner.rerun(asked(job_id, Stage.COMPRESSOR)).job_id].input
    assert document["firstStage"] == "compressor"
    assert {key: output["outputUri"] for key, output in document["stages"].items()} == {
        "sfm": output_of(Stage.SFM),
        "training": output_of(Stage.TRAINING),
    }
    assert document["stages"]["sfm"]["counts"] == {"photos": 18}


def test_what_is_reused_costs_nothing_again(cloud: Cloud, rerunner: Rerunner, job_id: str) -> None:
    reused = cloud.stepfunctions.executions[rerunner.rerun(asked(job_id)).job_id].input["stages"]["sfm"]
    assert (reused["seconds"], reused["cost"]) == (0, {"seconds": 0, "dollars": 0})


def test_its_own_job_runs_under_a_name_of_its_own(cloud: Cloud, rerunner: Rerunner, job_id: str) -> None:
    document = cloud.stepfunctions.executions[rerunner.rerun(asked(job_id)).job_id].input
    invoke("run_stage", {"taskToken": "token-1", "stage": "3dgs", "job": document})
    assert cloud.sagemaker.created == [f"{job_id}-r2-3dgs-1"]
    source = cloud.sagemaker.jobs[f"{job_id}-r2-3dgs-1"].request["InputDataConfig"][0]["DataSource"]
    assert source["S3DataSource"]["S3Uri"] == output_of(Stage.SFM) + "/"


def test_its_item_says_what_it_repeats_and_what_is_done(cloud: Cloud, rerunner: Rerunner, job_id: str) -> None:
    item = cloud.item(rerunner.rerun(asked(job_id)).job_id)
    assert item is not None
    assert (item["rerunOf"], item["rerunFrom"], item["email"]) == (job_id, "3dgs", "pilot@example.com")
    assert item["sfm"]["status"] == "Stage Succeeded"
    assert "training" not in item


@pytest.mark.parametrize("request_id", [None, "button-1"])
def test_the_same_request_again_is_the_same_rerun(
    cloud: Cloud, rerunner: Rerunner, job_id: str, request_id: str | None
) -> None:
    first = rerunner.rerun(asked(job_id, request_id=request_id))
    assert rerunner.rerun(asked(job_id, request_id=request_id)) == first
    assert len(cloud.stepfunctions.executions) == 2


def test_a_named_request_that_comes_again_after_its_rerun_ended_starts_nothing(
    cloud: Cloud, rerunner: Rerunner, job_id: str
) -> None:
    first = rerunner.rerun(asked(job_id, request_id="button-1"))
    end(cloud, first.job_id, "FAILED")
    assert rerunner.rerun(asked(job_id, request_id="button-1")) == first
    assert len(cloud.stepfunctions.executions) == 2


def test_the_next_rerun_has_the_next_number(cloud: Cloud, rerunner: Rerunner, job_id: str) -> None:
    for number in (2, 3, 4):
        started = rerunner.rerun(asked(job_id))
        assert started.job_id == f"{job_id}-r{number}"
        end(cloud, started.job_id)


def test_a_rerun_of_a_rerun_reuses_what_that_one_reused(cloud: Cloud, rerunner: Rerunner, job_id: str) -> None:
    second = rerunner.rerun(asked(job_id))
    end(cloud, second.job_id, "FAILED")
    third = rerunner.rerun(asked(second.job_id))
    document = cloud.stepfunctions.executions[third.job_id].input
    assert third.job_id == f"{job_id}-r3"
    assert document["stages"]["sfm"]["outputUri"] == output_of(Stage.SFM)
    assert document["rerun"]["of"] == second.job_id


def test_options_may_be_others_this_time(cloud: Cloud, rerunner: Rerunner, job_id: str) -> None:
    started = rerunner.rerun(asked(job_id, options={"quality": "preview", "maxGaussians": 50_000}))
    options = cloud.stepfunctions.executions[started.job_id].input["options"]
    assert (options["quality"], options["maxGaussians"], options["email"]) == ("preview", 50_000, "pilot@example.com")


def test_a_name_given_to_a_rerun_is_one_printable_line_too(cloud: Cloud, rerunner: Rerunner, job_id: str) -> None:
    started = rerunner.rerun(asked(job_id, options={"name": "invoice\u202egpj.exe\x7f"}))
    assert cloud.stepfunctions.executions[started.job_id].input["name"] == "invoice gpj.exe"


@pytest.mark.parametrize("options", [{"quality": "best"}, {"colour": "red"}, {"pipelineStep": "compression"}])
def test_options_that_are_wrong_start_nothing(
    cloud: Cloud, rerunner: Rerunner, job_id: str, options: dict[str, Any]
) -> None:
    with pytest.raises(RejectedUpload) as rejected:
        rerunner.rerun(asked(job_id, options=options))
    assert rejected.value.error.code is ErrorCode.INVALID_OPTION
    assert list(cloud.stepfunctions.executions) == [job_id]


def refusal(rerunner: Rerunner, request: RerunRequest) -> ErrorCode:
    with pytest.raises(RefusedRequest) as refused:
        rerunner.rerun(request)
    return refused.value.error.code


def test_a_job_that_never_was_is_refused(rerunner: Rerunner) -> None:
    assert refusal(rerunner, asked("meadow-0123456789ab")) is ErrorCode.NO_SUCH_JOB


def test_a_job_that_runs_is_refused(cloud: Cloud, rerunner: Rerunner, job_id: str) -> None:
    end(cloud, job_id, "RUNNING")
    assert refusal(rerunner, asked(job_id)) is ErrorCode.JOB_RUNNING


def test_another_rerun_while_one_runs_is_refused(rerunner: Rerunner, job_id: str) -> None:
    rerunner.rerun(asked(job_id, Stage.TRAINING))
    assert refusal(rerunner, asked(job_id, Stage.COMPRESSOR)) is ErrorCode.JOB_RUNNING


def test_a_stage_that_did_not_succeed_is_not_reused(cloud: Cloud, rerunner: Rerunner, job_id: str) -> None:
    cloud.table("jobs").update_item(Key={"jobId": job_id}, UpdateExpression="REMOVE training")
    assert refusal(rerunner, asked(job_id, Stage.COMPRESSOR)) is ErrorCode.NOT_REUSABLE


@pytest.mark.parametrize("wrong", [{"jobId": "valley-0123456789ab"}, {"attempt": 2}, {"stage": "3dgs"}, {"version": 2}])
def test_a_result_that_is_another_runs_is_not_reused(
    cloud: Cloud, rerunner: Rerunner, job_id: str, wrong: dict[str, Any]
) -> None:
    cloud.put_result(output_of(Stage.SFM), **{"jobId": job_id, **wrong})
    with pytest.raises(RefusedRequest) as refused:
        rerunner.rerun(asked(job_id))
    assert refused.value.error.code is ErrorCode.RESULT_DAMAGED


def test_a_result_that_is_gone_is_not_reused(cloud: Cloud, rerunner: Rerunner, job_id: str) -> None:
    cloud.delete(f"{output_of(Stage.SFM)}/result.json")
    assert refusal(rerunner, asked(job_id)) is ErrorCode.NOT_REUSABLE
    assert list(cloud.stepfunctions.executions) == [job_id]


def test_a_rerun_from_the_beginning_needs_the_upload_as_it_was(cloud: Cloud, rerunner: Rerunner, job_id: str) -> None:
    assert rerunner.rerun(asked(job_id, Stage.SFM)).reused == ()
    end(cloud, f"{job_id}-r2")
    cloud.upload("meadow.zip", zip_of(photos(7)))
    again = rerunner.rerun(asked(job_id, Stage.SFM)).job_id
    inputs = [cloud.stepfunctions.executions[one].input for one in (job_id, again)]
    assert inputs[0]["versionId"] == inputs[1]["versionId"]
    end(cloud, again)
    cloud.s3.delete_object(Bucket=UPLOADS, Key="meadow.zip")
    assert refusal(rerunner, asked(job_id, Stage.SFM)) is ErrorCode.NOT_REUSABLE


def test_a_stage_that_the_job_does_not_have_is_refused(cloud: Cloud, rerunner: Rerunner) -> None:
    uploaded = cloud.upload("tree.ply", b"ply", pipelinestep="compression")
    job_id = invoke("start_job", uploaded)["jobId"]
    end(cloud, job_id, "FAILED")
    assert refusal(rerunner, asked(job_id, Stage.SFM)) is ErrorCode.NOT_REUSABLE


def test_a_number_whose_execution_aws_has_forgotten_is_not_used_again(
    cloud: Cloud, rerunner: Rerunner, job_id: str
) -> None:
    cloud.table("jobs").put_item(Item={"jobId": f"{job_id}-r2", "status": "SUCCEEDED"})
    assert rerunner.rerun(asked(job_id)).job_id == f"{job_id}-r3"


def test_the_id_of_a_deleted_run_is_not_used_again(cloud: Cloud, rerunner: Rerunner, job_id: str) -> None:
    """After 90 days AWS has forgotten its execution, but SageMaker never forgets the names of its jobs."""
    second = rerunner.rerun(asked(job_id, Stage.SFM)).job_id
    end(cloud, second)
    cloud.table("jobs").delete_item(Key={"jobId": job_id})
    del cloud.stepfunctions.executions[job_id]
    assert rerunner.rerun(asked(second, Stage.SFM)).job_id == f"{job_id}-r3"


def test_a_number_that_somebody_else_takes_meanwhile_is_looked_at_again(
    cloud: Cloud, rerunner: Rerunner, job_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = cloud.stepfunctions.start_execution

    def overtaken(**arguments: Any) -> dict[str, Any]:
        rival = Rerun(of=job_id, from_stage=Stage.COMPRESSOR).model_dump(by_alias=True, mode="json")
        cloud.stepfunctions.executions.setdefault(arguments["name"], FakeExecution({"rerun": rival}))
        return start(**arguments)

    monkeypatch.setattr(cloud.stepfunctions, "start_execution", overtaken)
    assert refusal(rerunner, asked(job_id)) is ErrorCode.JOB_RUNNING


@pytest.mark.parametrize("arrives", [False, True], ids=["before the call", "after the call"])
def test_a_crash_at_any_call_and_another_try_start_one_rerun(
    cloud: Cloud, rerunner: Rerunner, job_id: str, arrives: bool
) -> None:
    cloud.watch.calls.clear()
    rerunner.rerun(asked(job_id))
    count = len(cloud.watch.calls)
    end(cloud, f"{job_id}-r2")
    assert count >= 6
    for crash_at in range(count):
        cloud.watch.calls.clear()
        cloud.watch.crash_at, cloud.watch.arrives = crash_at, arrives
        with pytest.raises(Crash):
            rerunner.rerun(asked(job_id))
        cloud.watch.crash_at = None
        started = rerunner.rerun(asked(job_id))
        assert started.job_id == f"{job_id}-r{crash_at + 3}"
        running = [name for name, execution in cloud.stepfunctions.executions.items() if execution.status == "RUNNING"]
        assert running == [started.job_id]
        end(cloud, started.job_id)


@pytest.mark.parametrize(
    ("job_id", "number", "expected"),
    [
        ("a-0123456789ab", 1, "a-0123456789ab"),
        ("a-0123456789ab", 2, "a-0123456789ab-r2"),
        ("a-0123456789ab-r2", 12, "a-0123456789ab-r12"),
        ("flight-r2-0123456789ab", 2, "flight-r2-0123456789ab-r2"),
    ],
)
def test_runs_of_one_upload_are_numbered(job_id: str, number: int, expected: str) -> None:
    assert job_id_of_rerun(job_id, number) == expected


def test_the_item_tells_the_rerun_that_runs_and_not_one_that_never_began(
    cloud: Cloud, rerunner: Rerunner, job_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def throttled(**_: Any) -> None:
        raise aws_error("ThrottlingException", "StartExecution")

    with monkeypatch.context() as patch:
        patch.setattr(cloud.stepfunctions, "start_execution", throttled)
        with pytest.raises(ClientError):
            rerunner.rerun(asked(job_id, Stage.COMPRESSOR, options={"email": "old@example.com", "quality": "high"}))
    started = rerunner.rerun(asked(job_id, Stage.SFM, options={"email": "new@example.com", "quality": "preview"}))
    item = cloud.item(started.job_id)
    assert item is not None
    assert (item["rerunFrom"], item["email"], item["quality"]) == ("sfm", "new@example.com", "preview")
    assert {"sfm", "sfmSequence", "training", "trainingSequence", "startWith"} & set(item) == set()


def test_of_two_requests_at_once_the_item_tells_the_one_that_runs(
    cloud: Cloud, rerunner: Rerunner, job_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = Executions.begin

    def overtaking(self: Executions, job: Job, document: str) -> bool:
        """Another request records its own data before this one's execution starts, and then comes too late to start
        one."""
        other = job.model_copy(update={"options": job.options.model_copy(update={"email": "late@example.com"})})
        JobsTable(cloud.table("jobs")).record_rerun(other, JobFacts(rerun_from=Stage.COMPRESSOR), "{}")
        return begin(self, job, document)

    monkeypatch.setattr(Executions, "begin", overtaking)
    started = rerunner.rerun(asked(job_id, Stage.SFM, options={"email": "first@example.com"}))
    item = cloud.item(started.job_id)
    assert item is not None
    assert (item["rerunFrom"], item["email"]) == ("sfm", "first@example.com")
