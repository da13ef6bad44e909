"""Jobs from Create to their end, with tiny programs instead of containers, and moto for S3."""

import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from contract.codes import ErrorCode
from contract.stages import Stage
from domain.compute import CannotStart, Compute
from domain.outcome import outcome_of
from domain.stages import StageRun
from local.sagemaker.container import repository_of
from local.sagemaker.plan import Kind
from local.sagemaker.runner import SpotMarket
from local.sagemaker.service import SageMaker
from tests.support.sagemaker_bench import REPOSITORY, Bench, opened


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with opened(tmp_path) as bench:
        yield bench


SPOT: dict[str, Any] = {
    "EnableManagedSpotTraining": True,
    "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 61},
}


def moves(job: dict[str, Any]) -> list[str]:
    return [transition["Status"] for transition in job["SecondaryStatusTransitions"]]


def test_a_taken_spot_machine_leaves_its_checkpoints_to_the_next_and_nothing_else(tmp_path: Path) -> None:
    with opened(tmp_path, SpotMarket(wait=0.1, interruptions=1)) as bench:
        bench.train("job-1", "go-on", **SPOT)
        job = bench.end_of("Training", "job-1")
        assert job["TrainingJobStatus"] == "Completed"
        begun = ["Starting", "Downloading", "Training"]
        assert moves(job) == [*begun, "Interrupted", "Downloading", "Training", "Uploading", "Completed"]
        assert bench.text("3dgs/job-1/output/model/scene.ply") == "first second, model: ['scene.ply']"


def test_on_demand_nothing_is_waited_for_and_nothing_taken(tmp_path: Path) -> None:
    with opened(tmp_path, SpotMarket(wait=3600, interruptions=9)) as bench:
        bench.train("job-1", "train")
        assert bench.end_of("Training", "job-1")["TrainingJobStatus"] == "Completed"


def test_a_spot_machine_that_is_not_found_in_time_ends_the_job(tmp_path: Path) -> None:
    with opened(tmp_path, SpotMarket(wait=3600)) as bench:
        bench.train(
            "job-1", "train", **SPOT | {"StoppingCondition": {"MaxRuntimeInSeconds": 1, "MaxWaitTimeInSeconds": 1}}
        )
        job = bench.end_of("Training", "job-1")
        assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxWaitTimeExceeded")
        assert moves(job) == ["Starting", "MaxWaitTimeExceeded"]
        outcome = outcome_of(StageRun(job_id="job", stage=Stage.TRAINING, attempt=1), job)
        assert outcome.error is not None
        assert outcome.error.code is ErrorCode.CAPACITY


def test_a_job_that_waits_for_its_spot_machine_says_so_and_can_be_stopped(tmp_path: Path) -> None:
    with opened(tmp_path, SpotMarket(wait=3600)) as bench:
        bench.train("job-1", "train", **SPOT)
        job = bench.client.describe_training_job(TrainingJobName="job-1")
        assert outcome_of(StageRun(job_id="job", stage=Stage.TRAINING, attempt=1), job).waiting_since is not None
        bench.client.stop_training_job(TrainingJobName="job-1")
        assert bench.end_of("Training", "job-1")["SecondaryStatus"] == "Stopped"


def test_spot_has_a_quota_of_its_own_and_0_is_named_as_aws_names_it(bench: Bench) -> None:
    bench.quotas |= {"ml.g4dn.xlarge": 1}
    bench.train("job-1", "wait")
    bench.train("job-2", "wait", **SPOT)
    with pytest.raises(ClientError, match="for spot training job usage' is 1 Instances"):
        bench.train("job-3", "wait", **SPOT)
    bench.quotas |= {"ml.g4dn.xlarge": 0}
    request = bench.client.describe_training_job(TrainingJobName="job-2")
    names = ("RoleArn", "AlgorithmSpecification", "OutputDataConfig", "ResourceConfig", "StoppingCondition")
    given = {name: request[name] for name in names} | {"TrainingJobName": "job-4"} | SPOT
    with pytest.raises(CannotStart) as refused:
        Compute(bench.client).create(StageRun(job_id="job", stage=Stage.TRAINING, attempt=4), given)
    assert refused.value.error.code is ErrorCode.NO_QUOTA
    assert "ml.g4dn.xlarge for spot training job usage" in refused.value.error.message


def test_a_quota_counts_the_jobs_of_one_kind_on_one_type_of_machine(bench: Bench) -> None:
    bench.quotas |= {"ml.m5.xlarge": 1}
    bench.process("job-1", "wait")
    with pytest.raises(ClientError, match="for processing job usage' is 1 Instances") as refused:
        bench.process("job-2", "copy")
    assert refused.value.response["Error"]["Code"] == "ResourceLimitExceeded"
    bench.train("job-3", "copy")  # a job of another kind, on another machine
    bench.client.stop_processing_job(ProcessingJobName="job-1")
    bench.end_of("Processing", "job-1")
    bench.process("job-2", "copy")


def test_a_job_begins_after_the_machine_it_gets_was_seen_to_be_free(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    check, seen = SageMaker._check_quota, list[float]()

    def slow_check(service: SageMaker, kind: Kind, request: dict[str, Any]) -> None:
        check(service, kind, request)
        time.sleep(0.05)
        seen.append(time.time())

    monkeypatch.setattr(SageMaker, "_check_quota", slow_check)
    bench.process("job-1", "copy")
    assert bench.end_of("Processing", "job-1")["CreationTime"].timestamp() >= round(seen[0], 3) - 0.001


def test_processing_runs_the_entry_point_and_uploads_its_output(bench: Bench) -> None:
    arn = bench.process("job-1", "copy", Environment={"A": "1"})["ProcessingJobArn"]
    job = bench.end_of("Processing", "job-1")
    assert arn == "arn:aws:sagemaker:eu-west-1:123456789012:processing-job/job-1"
    assert job["ProcessingJobStatus"] == "Completed"
    assert bench.text("out/out.txt") == "PHOTOS"
    assert job["CreationTime"] <= job["ProcessingStartTime"] <= job["ProcessingEndTime"]
    assert job["Environment"] == {"A": "1"}
    assert "FailureReason" not in job


def test_processing_that_fails_says_why_and_uploads_nothing(bench: Bench) -> None:
    bench.process("job-1", "complain")
    job = bench.end_of("Processing", "job-1")
    assert job["ProcessingJobStatus"] == "Failed"
    assert job["FailureReason"] == "AlgorithmError: See job logs for more information"
    assert job["ExitMessage"] == ("NO_OVERLAP: " + "x" * 2000)[:1024]
    assert bench.stored() == ["in/photos.zip"]


def test_a_continuous_output_is_uploaded_while_the_container_runs_whatever_comes_of_it(bench: Bench) -> None:
    outputs = [
        {
            "OutputName": mode,
            "S3Output": {
                "S3Uri": f"s3://bucket/{mode}",
                "LocalPath": f"/opt/ml/processing/{mode}",
                "S3UploadMode": mode,
            },
        }
        for mode in ("Continuous", "EndOfJob")
    ]
    bench.process("job-1", "explain", ProcessingOutputConfig={"Outputs": outputs})
    bench.wait_for_key("Continuous/seen.txt")
    assert bench.client.describe_processing_job(ProcessingJobName="job-1")["ProcessingJobStatus"] == "InProgress"
    bench.client.stop_processing_job(ProcessingJobName="job-1")
    bench.end_of("Processing", "job-1")
    assert bench.stored() == ["Continuous/last.txt", "Continuous/seen.txt", "in/photos.zip"]


def test_training_leaves_its_model_and_checkpoints(bench: Bench) -> None:
    bench.s3.put_object(Bucket="bucket", Key="checkpoints/old.ckpt", Body=b"old")
    bench.train("job-3dgs-1", "train")
    job = bench.end_of("Training", "job-3dgs-1")
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Completed"
    assert bench.text("3dgs/job-3dgs-1/output/model/scene.ply") == "job-3dgs-1 train"
    assert bench.text("checkpoints/new.ckpt") == "old.ckpt"
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == "s3://bucket/3dgs/job-3dgs-1/output/model/"
    assert job["BillableTimeInSeconds"] >= 1
    statuses = [transition["Status"] for transition in job["SecondaryStatusTransitions"]]
    assert statuses == ["Starting", "Downloading", "Training", "Uploading", "Completed"]


def test_training_packs_its_model_by_default(bench: Bench, tmp_path: Path) -> None:
    bench.train("job-1", "train", OutputDataConfig={"S3OutputPath": "s3://bucket/3dgs"})
    bench.end_of("Training", "job-1")
    bench.s3.download_file("bucket", "3dgs/job-1/output/model.tar.gz", str(tmp_path / "model.tar.gz"))
    with tarfile.open(tmp_path / "model.tar.gz") as archive:
        assert "./scene.ply" in archive.getnames()


def test_training_that_fails_quotes_the_failure_file_and_the_exit_code(bench: Bench) -> None:
    bench.train("job-1", "give-up")
    job = bench.end_of("Training", "job-1")
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Failed"
    assert job["FailureReason"] == "AlgorithmError: OUT_OF_MEMORY: too many Gaussians, exit code: 3"
    assert not any(key.startswith("3dgs/") for key in bench.stored())


def test_a_killed_container_fails_with_the_shells_exit_code(bench: Bench) -> None:
    bench.train("job-1", "die")
    assert bench.end_of("Training", "job-1")["FailureReason"].endswith("exit code: 137")


def test_stop_lets_a_container_leave_in_order(bench: Bench) -> None:
    bench.train("job-1", "obey")
    bench.wait_for_key("checkpoints/ready")  # mirrored while the container runs
    bench.client.stop_training_job(TrainingJobName="job-1")
    assert bench.client.describe_training_job(TrainingJobName="job-1")["TrainingJobStatus"] in ("Stopping", "Stopped")
    job = bench.end_of("Training", "job-1")
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Stopped"
    assert "FailureReason" not in job
    assert bench.text("3dgs/job-1/output/model/partial.ply") == "so far"


def test_stop_kills_a_container_that_does_not_leave(bench: Bench) -> None:
    bench.train("job-1", "resist")
    bench.wait_for_key("checkpoints/ready")
    started = time.monotonic()
    bench.client.stop_training_job(TrainingJobName="job-1")
    assert bench.end_of("Training", "job-1")["TrainingJobStatus"] == "Stopped"
    assert 1.0 <= time.monotonic() - started < 10.0


def test_a_job_past_its_time_is_stopped(bench: Bench) -> None:
    bench.train("job-1", "obey", StoppingCondition={"MaxRuntimeInSeconds": 1})
    job = bench.end_of("Training", "job-1")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


def test_what_has_ended_cannot_be_stopped(bench: Bench) -> None:
    bench.process("job-1", "copy")
    bench.end_of("Processing", "job-1")
    with pytest.raises(bench.client.exceptions.ClientError, match="is in status Completed"):
        bench.client.stop_processing_job(ProcessingJobName="job-1")


def test_a_name_is_used_once_and_for_ever(bench: Bench) -> None:
    bench.process("job-1", "copy")
    bench.end_of("Processing", "job-1")
    with pytest.raises(bench.client.exceptions.ResourceInUse):
        bench.process("job-1", "copy")
    bench.train("job-1", "train")  # Training has its own names


def test_of_two_that_create_at_once_one_wins(bench: Bench) -> None:
    outcomes: list[str] = []

    def create() -> None:
        try:
            bench.process("job-1", "copy")
            outcomes.append("created")
        except bench.client.exceptions.ResourceInUse:
            outcomes.append("refused")

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["created", "refused", "refused", "refused"]


def test_jobs_that_never_were_are_not_found(bench: Bench) -> None:
    for call, kind, message in (
        (bench.client.describe_training_job, "Training", "not found"),
        (bench.client.describe_processing_job, "Processing", "Could not find"),
        (bench.client.stop_processing_job, "Processing", "Could not find"),
    ):
        with pytest.raises(bench.client.exceptions.ClientError, match=message):
            call(**{f"{kind}JobName": "none"})


def test_missing_inputs_and_images_fail_the_job(bench: Bench) -> None:
    bench.process("no-image", "unknown")
    assert "Cannot find image" in bench.end_of("Processing", "no-image")["FailureReason"]
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/nothing/"}
    bench.train("no-input", "train", InputDataConfig=[{"ChannelName": "a", "DataSource": {"S3DataSource": source}}])
    assert "No S3 objects found" in bench.end_of("Training", "no-input")["FailureReason"]


def test_bad_requests_are_refused_before_anything_runs(bench: Bench) -> None:
    with pytest.raises(bench.client.exceptions.ClientError, match="ValidationException"):
        bench.process("under_score", "copy")
    assert bench.client.list_processing_jobs()["ProcessingJobSummaries"] == []


def test_events_report_every_change_in_order_with_times_in_milliseconds(bench: Bench) -> None:
    tags = [{"Key": "spaceport:job", "Value": "j"}]
    bench.train("job-1", "train", Tags=tags, Environment={"SECRET": "x"})
    bench.end_of("Training", "job-1")
    assert [event["SecondaryStatus"] for event in bench.events] == [
        "Starting",
        "Downloading",
        "Training",
        "Uploading",
        "Completed",
    ]
    last = bench.events[-1]
    assert last["TrainingJobStatus"] == "Completed"
    assert last["TrainingEndTime"] > 1.6e12
    assert isinstance(last["SecondaryStatusTransitions"][0]["StartTime"], int)
    assert last["Tags"] == {"spaceport:job": "j"}
    assert "Environment" not in last


def test_processing_events_have_no_transfers(bench: Bench) -> None:
    bench.process("job-1", "copy")
    bench.end_of("Processing", "job-1")
    assert [event["ProcessingJobStatus"] for event in bench.events] == ["InProgress", "InProgress", "Completed"]
    assert "ProcessingStartTime" not in bench.events[0]
    assert "ProcessingStartTime" in bench.events[1]


def test_the_log_stays_and_the_containers_folders_go(bench: Bench) -> None:
    bench.process("job-1", "show", Environment={"NAME": "orchard"})
    bench.end_of("Processing", "job-1")
    lines = (bench.folder / "job-1/container.log").read_text().splitlines()
    assert lines[0] == "seen in the log"
    assert lines[1].startswith("orchard ")
    assert sorted(path.name for path in (bench.folder / "job-1").iterdir()) == ["container.log"]


def test_lists_newest_first_in_pages(bench: Bench) -> None:
    for number in range(3):
        bench.process(f"job-{number}", "copy")
        bench.end_of("Processing", f"job-{number}")
    bench.process("other", "complain")
    bench.end_of("Processing", "other")

    def names(**query: Any) -> list[str]:
        pages = bench.client.get_paginator("list_processing_jobs").paginate(**query)
        return [job["ProcessingJobName"] for page in pages for job in page["ProcessingJobSummaries"]]

    assert names() == ["other", "job-2", "job-1", "job-0"]
    assert names(NameContains="job", MaxResults=2, SortBy="Name", SortOrder="Ascending") == ["job-0", "job-1", "job-2"]
    assert names(StatusEquals="Failed") == ["other"]


def test_closing_ends_every_container(bench: Bench) -> None:
    bench.train("job-1", "obey")
    bench.wait_for_key("checkpoints/ready")
    bench.server.close()
    assert bench.events[-1]["TrainingJobStatus"] == "Stopped"


@pytest.mark.parametrize("suffix", ["", ":latest", "@sha256:0123", ":1@sha256:0123"])
def test_an_image_is_known_by_its_repository(suffix: str) -> None:
    assert repository_of(f"{REPOSITORY}/3dgs{suffix}") == "3dgs"
