"""run_stage through its handler: one SageMaker job runs for a stage, and the waiting token gets its outcome."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from contract.codes import ErrorCode
from contract.stages import Stage
from domain.compute import Compute
from tests.support.cloud import UPLOADS, Cloud, Crash, invoke
from tests.support.events import sample_event, sample_names
from tests.support.fakes import FakeSageMaker
from tests.support.runs import ask_for, job_name, output_of, run_of, token_of, waiting

# a crash leaves no metrics to publish, and Powertools warns about that
pytestmark = pytest.mark.filterwarnings("ignore:No application metrics")

REASON = {"FailureReason": "InternalServerError: Spot instance was taken"}


@pytest.mark.parametrize("name", sample_names("run_stage"))
def test_the_sample_event_starts_the_stages_job(cloud: Cloud, name: str) -> None:
    event = sample_event(name)
    expected = job_name(Stage(event["stage"]))
    assert invoke("run_stage", event) == {"jobName": expected}
    assert cloud.sagemaker.created == [expected]


@pytest.mark.parametrize("stage", Stage)
def test_a_stage_runs_as_the_kind_of_job_that_it_is(cloud: Cloud, stage: Stage) -> None:
    invoke("run_stage", ask_for(stage))
    assert cloud.sagemaker.jobs[job_name(stage)].kind == ("Training" if stage is Stage.TRAINING else "Processing")


@pytest.mark.parametrize("stage", Stage)
def test_the_token_waits_with_the_run(cloud: Cloud, stage: Stage) -> None:
    invoke("run_stage", ask_for(stage, "token-7"))
    assert token_of(cloud, stage) == "token-7"


def test_the_token_is_stored_and_the_stage_announced_before_the_job_is_created(cloud: Cloud) -> None:
    invoke("run_stage", ask_for())
    order = ["dynamodb.put_item", "events.put_events", "sagemaker.create_processing_job"]
    assert [call for call in cloud.watch.calls if call in order] == order


def test_the_token_goes_nowhere_near_the_container(cloud: Cloud) -> None:
    invoke("run_stage", ask_for(token="token-7"))
    assert "token-7" not in repr(cloud.sagemaker.jobs[job_name()].request)


@pytest.mark.parametrize(("stage", "sequence"), [(Stage.SFM, 1_010_000), (Stage.COMPRESSOR, 3_010_000)])
def test_a_first_attempt_is_announced_in_its_place(cloud: Cloud, stage: Stage, sequence: int) -> None:
    invoke("run_stage", ask_for(stage))
    (said,) = cloud.heard()
    detail = said["detail"]
    assert said["detail-type"] == "Stage Started"
    assert (detail["stage"], detail["attempt"], detail["sequence"]) == (stage, 1, sequence)
    assert detail["message"] == "waiting for a machine"


def test_a_started_stage_leaves_its_task_waiting(cloud: Cloud) -> None:
    invoke("run_stage", ask_for())
    assert cloud.stepfunctions.answers == []


def test_the_same_invocation_twice_creates_one_job(cloud: Cloud) -> None:
    assert invoke("run_stage", ask_for()) == invoke("run_stage", ask_for()) == {"jobName": job_name()}
    assert cloud.sagemaker.created == [job_name()]
    assert token_of(cloud) == "token-1"


@pytest.mark.parametrize("arrives", [False, True], ids=["before the call", "after the call"])
@pytest.mark.parametrize("token", ["token-1", "token-2"], ids=["same invocation", "new task"])
def test_a_crash_at_any_call_and_another_try_leave_one_job_that_runs_and_one_token_that_waits(
    cloud: Cloud, arrives: bool, token: str
) -> None:
    invoke("run_stage", ask_for(Stage.COMPRESSOR))
    calls = list(cloud.watch.calls)
    assert len(calls) >= 4
    for crash_at in range(len(calls)):
        event, again = ask_for(token="token-1"), ask_for(token=token)
        event["job"]["jobId"] = again["job"]["jobId"] = job_id = f"job-{crash_at}"
        cloud.has_upload(job_id)
        cloud.watch.calls.clear()
        cloud.watch.crash_at, cloud.watch.arrives = crash_at, arrives
        with pytest.raises(Crash):
            invoke("run_stage", event)
        cloud.watch.crash_at = None
        name = invoke("run_stage", again)["jobName"]
        running = [job.name for job in cloud.sagemaker.jobs.values() if job.name.startswith(job_id + "-")]
        assert running == [name], calls[crash_at]
        attempt = int(name.rsplit("-", 1)[-1])
        key = {"jobId": job_id, "stageRun": f"sfm#{attempt:04d}"}
        assert cloud.table("stage-runs").get_item(Key=key)["Item"]["taskToken"] == token, calls[crash_at]


@pytest.mark.parametrize("status", ["Failed", "Stopped"])
def test_a_new_task_after_an_ended_attempt_starts_the_next(cloud: Cloud, status: str) -> None:
    invoke("run_stage", ask_for(Stage.TRAINING, "token-1"))
    end = cloud.sagemaker.fail if status == "Failed" else cloud.sagemaker.end_stopped
    end(job_name(Stage.TRAINING), 60, **REASON)
    assert invoke("run_stage", ask_for(Stage.TRAINING, "token-2")) == {"jobName": job_name(Stage.TRAINING, 2)}
    assert token_of(cloud, Stage.TRAINING, 2) == "token-2"


def test_the_next_attempt_is_announced_above_everything_of_the_one_before(cloud: Cloud) -> None:
    invoke("run_stage", ask_for(token="token-1"))
    cloud.sagemaker.fail(job_name(), 60, **REASON)
    invoke("run_stage", ask_for(token="token-2"))
    detail = cloud.heard()[-1]["detail"]
    assert (detail["attempt"], detail["sequence"]) == (2, 1_020_000)
    assert detail["message"] == "waiting for a machine, attempt 2"


def test_a_new_task_after_a_job_that_was_never_created_creates_that_one(cloud: Cloud) -> None:
    cloud.sagemaker.refuse_next("ThrottlingException")
    invoke("run_stage", ask_for(token="token-1"))
    invoke("run_stage", ask_for(token="token-2"))
    assert cloud.sagemaker.created == [job_name()]
    assert token_of(cloud) == "token-2"


def test_the_same_task_after_its_job_failed_receives_the_failure_and_starts_nothing(cloud: Cloud) -> None:
    invoke("run_stage", ask_for(token="token-1"))
    cloud.sagemaker.fail(job_name(), ExitMessage="NO_OVERLAP: 12 of 12")
    invoke("run_stage", ask_for(token="token-1"))
    assert cloud.stepfunctions.failures("token-1") == [ErrorCode.NO_OVERLAP]
    assert cloud.sagemaker.created == [job_name()]


def test_a_new_task_after_memory_ran_out_begins_with_half_of_the_gaussians(cloud: Cloud) -> None:
    invoke("run_stage", ask_for(Stage.TRAINING, "token-1"))
    cloud.sagemaker.fail(job_name(Stage.TRAINING), FailureReason="AlgorithmError: OUT_OF_MEMORY: 16 GiB, exit code: 1")
    invoke("run_stage", ask_for(Stage.TRAINING, "token-2"))
    cloud.sagemaker.end_stopped(job_name(Stage.TRAINING, 2), SecondaryStatus="Interrupted")
    invoke("run_stage", ask_for(Stage.TRAINING, "token-3"))
    requests = [cloud.sagemaker.jobs[job_name(Stage.TRAINING, attempt)].request for attempt in (1, 2, 3)]
    assert [made["Environment"].get("GAUSSIANS_DIVISOR") for made in requests] == [None, "2", "2"]
    assert [made["CheckpointConfig"]["S3Uri"].rsplit("/", 2)[1] for made in requests] == ["1", "2", "2"]


def ask_for_uploaded(cloud: Cloud, key: str, body: bytes) -> dict[str, Any]:
    """The first stage's task of a job whose upload is in the bucket."""
    uploaded = cloud.upload(key, body)["detail"]["object"]
    event = ask_for()
    event["job"] |= {"jobId": "own-0123456789ab", "key": key, "versionId": uploaded["version-id"]}
    event["job"]["etag"] = uploaded["etag"]
    return event


def what_it_is_given(cloud: Cloud) -> dict[str, bytes]:
    """The objects below the URI that the first stage reads."""
    (job,) = cloud.sagemaker.jobs.values()
    source = job.request["ProcessingInputs"][0]["S3Input"]
    assert source["S3DataType"] == "S3Prefix"
    bucket, prefix = source["S3Uri"].removeprefix("s3://").split("/", 1)
    found = cloud.s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]
    return {
        one["Key"][len(prefix) :]: cloud.s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read() for one in found
    }


def test_the_first_stage_is_given_the_version_that_was_uploaded_whatever_lies_at_its_key_by_now(cloud: Cloud) -> None:
    event = ask_for_uploaded(cloud, "photos.zip", b"alice's photos")
    cloud.upload("photos.zip", b"bob's photos")
    invoke("run_stage", event)
    assert what_it_is_given(cloud) == {"upload.zip": b"alice's photos"}


def test_what_the_copy_holds_is_not_replaced_by_a_second_try(cloud: Cloud) -> None:
    event = ask_for_uploaded(cloud, "photos.zip", b"alice's photos")
    cloud.sagemaker.refuse_next("ThrottlingException")
    invoke("run_stage", event)
    cloud.s3.delete_object(Bucket=UPLOADS, Key="photos.zip", VersionId=event["job"]["versionId"])
    invoke("run_stage", {**event, "taskToken": "token-2"})
    assert what_it_is_given(cloud) == {"upload.zip": b"alice's photos"}


def test_a_version_that_is_gone_fails_the_task_and_starts_no_machine(cloud: Cloud) -> None:
    event = ask_for_uploaded(cloud, "photos.zip", b"alice's photos")
    cloud.s3.delete_object(Bucket=UPLOADS, Key="photos.zip", VersionId=event["job"]["versionId"])
    invoke("run_stage", event)
    assert cloud.stepfunctions.failures("token-1") == ["UPLOAD_GONE"]
    assert cloud.sagemaker.created == []


def test_without_versions_another_object_at_the_key_fails_the_task(cloud: Cloud) -> None:
    event = ask_for_uploaded(cloud, "photos.zip", b"alice's photos")
    event["job"]["versionId"] = None
    cloud.upload("photos.zip", b"bob's photos")
    invoke("run_stage", event)
    assert cloud.stepfunctions.failures("token-1") == ["UPLOAD_GONE"]


def test_a_new_task_while_the_job_runs_waits_for_it_and_starts_nothing(cloud: Cloud) -> None:
    invoke("run_stage", ask_for(token="token-1"))
    assert invoke("run_stage", ask_for(token="token-2")) == {"jobName": job_name()}
    assert cloud.sagemaker.created == [job_name()]
    assert token_of(cloud) == "token-2"
    assert cloud.stepfunctions.answers == []


def test_a_new_task_after_the_job_completed_succeeds_at_once(cloud: Cloud) -> None:
    invoke("run_stage", ask_for(token="token-1"))
    cloud.put_result(output_of())
    cloud.sagemaker.complete(job_name())
    invoke("run_stage", ask_for(token="token-2"))
    assert [success["outputUri"] for success in cloud.stepfunctions.successes("token-2")] == [output_of()]
    assert cloud.sagemaker.created == [job_name()]


def test_attempts_count_on_from_the_latest_past_nine(cloud: Cloud) -> None:
    for attempt in range(1, 12):
        invoke("run_stage", ask_for(token=f"token-{attempt}"))
        cloud.sagemaker.fail(job_name(attempt=attempt), 60, **REASON)
    assert cloud.sagemaker.created[-1] == job_name(attempt=11)


@pytest.mark.parametrize(
    "refused",
    [
        "ThrottlingException",
        "Throttling",
        "TooManyRequestsException",
    ],
)
def test_a_throttled_start_fails_the_task_with_a_code_that_is_retried(cloud: Cloud, refused: str) -> None:
    cloud.sagemaker.refuse_next(refused)
    invoke("run_stage", ask_for())
    assert cloud.stepfunctions.failures("token-1") == [ErrorCode.THROTTLED]


ZERO = (
    "The account-level service limit 'ml.c6i.4xlarge for processing job usage' is 0 Instances, with current "
    "utilization of 0 Instances and a request delta of 1 Instances."
)


def test_a_quota_of_zero_fails_the_task_at_once_and_names_the_quota(cloud: Cloud) -> None:
    cloud.sagemaker.refuse_next("ResourceLimitExceeded", ZERO)
    invoke("run_stage", ask_for())
    ((_, _, said),) = cloud.stepfunctions.answers
    assert said["error"] == ErrorCode.NO_QUOTA
    assert "ml.c6i.4xlarge for processing job usage" in said["cause"]
    assert waiting(Stage.SFM, cloud) == []


def test_a_quota_of_ten_that_is_full_lets_the_run_wait(cloud: Cloud) -> None:
    cloud.sagemaker.refuse_next("ResourceLimitExceeded", ZERO.replace("is 0", "is 10"))
    invoke("run_stage", ask_for())
    assert cloud.stepfunctions.answers == []
    assert waiting(Stage.SFM, cloud) == [job_name()]


CHAIN = {"TRAINING_INSTANCE_TYPES": ",".join(["ml.g4dn.xlarge+ml.g5.xlarge"] * 3)}
NO_QUOTA = ZERO.replace("ml.c6i.4xlarge for processing", "ml.g4dn.xlarge for training")


def machines_of(cloud: Cloud) -> list[tuple[str, bool]]:
    made = [cloud.sagemaker.jobs[name].request for name in cloud.sagemaker.created]
    return [(one["ResourceConfig"]["InstanceType"], one["EnableManagedSpotTraining"]) for one in made]


def test_attempts_that_find_no_machine_go_round_the_choices(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINING_INSTANCE_TYPES", CHAIN["TRAINING_INSTANCE_TYPES"])
    for attempt in (1, 2, 3, 4):
        invoke("run_stage", ask_for(Stage.TRAINING, f"token-{attempt}"))
        cloud.sagemaker.end_waiting(job_name(Stage.TRAINING, attempt), SecondaryStatus="MaxWaitTimeExceeded")
    invoke("run_stage", ask_for(Stage.TRAINING, "token-5"))
    spot, on_demand, other = ("ml.g4dn.xlarge", True), ("ml.g4dn.xlarge", False), ("ml.g5.xlarge", False)
    assert machines_of(cloud) == [spot, on_demand, other, spot, on_demand]


def test_an_interruption_keeps_the_machine_on_which_one_was_found(cloud: Cloud) -> None:
    invoke("run_stage", ask_for(Stage.TRAINING, "token-1"))
    cloud.sagemaker.end_waiting(job_name(Stage.TRAINING, 1))
    invoke("run_stage", ask_for(Stage.TRAINING, "token-2"))
    cloud.sagemaker.fail(job_name(Stage.TRAINING, 2), 60, **REASON)
    invoke("run_stage", ask_for(Stage.TRAINING, "token-3"))
    assert [spot for _, spot in machines_of(cloud)] == [True, False, False]


def test_a_fallback_without_a_quota_is_passed_over(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINING_INSTANCE_TYPES", CHAIN["TRAINING_INSTANCE_TYPES"])
    invoke("run_stage", ask_for(Stage.TRAINING, "token-1"))
    cloud.sagemaker.end_waiting(job_name(Stage.TRAINING, 1))
    cloud.sagemaker.refuse_next("ResourceLimitExceeded", NO_QUOTA)
    invoke("run_stage", ask_for(Stage.TRAINING, "token-2"))
    assert machines_of(cloud) == [("ml.g4dn.xlarge", True), ("ml.g5.xlarge", False)]
    assert cloud.stepfunctions.failures("token-2") == []


def test_the_first_choice_without_a_quota_fails_the_task_though_there_are_others(cloud: Cloud) -> None:
    cloud.sagemaker.refuse_next("ResourceLimitExceeded", NO_QUOTA.replace("for training", "for spot training"))
    invoke("run_stage", ask_for(Stage.TRAINING))
    assert cloud.sagemaker.created == []
    assert cloud.stepfunctions.failures("token-1") == [ErrorCode.NO_QUOTA]


def test_training_ends_before_its_machines_time_does(cloud: Cloud) -> None:
    """It leaves time to score and write, so that the time limit still gives a splat."""
    invoke("run_stage", ask_for(Stage.TRAINING))
    request = cloud.sagemaker.jobs[job_name(Stage.TRAINING)].request
    limit = request["StoppingCondition"]["MaxRuntimeInSeconds"]
    assert int(request["Environment"]["TRAINING_SECONDS"]) == limit - 900


def test_a_refusal_that_time_does_not_mend_is_raised(cloud: Cloud) -> None:
    cloud.sagemaker.refuse_next("AccessDeniedException")
    with pytest.raises(ClientError, match="AccessDenied"):
        invoke("run_stage", ask_for())


def test_a_started_stage_run_is_counted(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    invoke("run_stage", ask_for())
    assert '"StageRunsStarted":[1.0]' in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["describe", "stop"])
def test_a_fault_of_sagemaker_other_than_not_found_is_raised(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sagemaker = FakeSageMaker()

    def deny(**_arguments: str) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, verb)

    monkeypatch.setattr(sagemaker, f"{verb}_processing_job", deny)
    with pytest.raises(ClientError, match="AccessDenied"):
        getattr(Compute(sagemaker), verb)(run_of())


@pytest.mark.parametrize("code", ["ResourceNotFound", "ResourceNotFoundException"])
def test_a_job_is_also_missing_in_the_words_of_newer_apis(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sagemaker = FakeSageMaker()

    def missing(**_arguments: str) -> None:
        raise ClientError({"Error": {"Code": code}}, "DescribeProcessingJob")

    monkeypatch.setattr(sagemaker, "describe_processing_job", missing)
    assert Compute(sagemaker).describe(run_of()) is None


def test_a_description_that_sagemaker_finds_invalid_for_another_reason_is_raised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sagemaker = FakeSageMaker()

    def invalid(**_arguments: str) -> None:
        raise ClientError({"Error": {"Code": "ValidationException", "Message": "1 validation error"}}, "Describe")

    monkeypatch.setattr(sagemaker, "describe_processing_job", invalid)
    with pytest.raises(ClientError, match="1 validation error"):
        Compute(sagemaker).describe(run_of())


# ── The job's budget ──────────────────────────────────────────────────────────────────────────────────────────────


def time_of(cloud: Cloud, stage: Stage, attempt: int = 1) -> int:
    seconds: int = cloud.sagemaker.jobs[job_name(stage, attempt)].request["StoppingCondition"]["MaxRuntimeInSeconds"]
    return seconds


def test_a_run_gets_no_more_time_than_the_budget_pays_for(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOB_BUDGET_DOLLARS", "0.408")  # half an hour of a c6i.4xlarge
    invoke("run_stage", ask_for(Stage.SFM))
    assert time_of(cloud, Stage.SFM) == 1800


def test_every_earlier_run_counts_against_the_budget_failed_or_not(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOB_BUDGET_DOLLARS", "2")
    invoke("run_stage", ask_for(Stage.SFM))
    cloud.sagemaker.complete(job_name(Stage.SFM), seconds=3600)  # 0.816
    invoke("run_stage", ask_for(Stage.TRAINING, "token-1"))
    cloud.sagemaker.fail(job_name(Stage.TRAINING), seconds=3600, **REASON)  # 0.7364
    invoke("run_stage", ask_for(Stage.TRAINING, "token-2"))
    assert time_of(cloud, Stage.TRAINING, 2) == int((2 - 0.816 - 0.7364) / 0.7364 * 3600)


def test_a_job_that_has_spent_its_budget_fails_and_starts_no_machine(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOB_BUDGET_DOLLARS", "0.82")
    invoke("run_stage", ask_for(Stage.SFM))
    cloud.sagemaker.complete(job_name(Stage.SFM), seconds=3600)
    invoke("run_stage", ask_for(Stage.TRAINING, "token-2"))
    assert cloud.stepfunctions.failures("token-2") == [ErrorCode.BUDGET_SPENT]
    assert cloud.sagemaker.created == [job_name(Stage.SFM)]
