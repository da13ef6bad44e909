"""Dead letters are returned to their functions (scripts/redrive.py), on the project's own stack with stub containers:
what was lost is done, and nothing is done twice."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from benchmarks.orchestration_load import EMAIL, Stack, stub_stack, zip_of_photos
from local.customer import inbox, subscribed
from local.logs import function_logs
from scripts.redrive import Edge, edges_of, letters_in, redrive, shown
from tests.support.events import sample_event
from tests.support.sam_template import Template
from tests.support.waiting import WAIT_SECONDS, settled, wait_until


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stub_stack(tmp_path_factory.mktemp("redrive")) as deployed:
        yield deployed


@pytest.fixture(scope="module")
def edges(stack: Stack) -> dict[str, Edge]:
    return {edge.name: edge for edge in edges_of(stack.address.client("cloudformation"), "spaceport")}


@pytest.fixture(scope="module")
def lost_upload(stack: Stack) -> dict[str, Any]:
    """The event of an upload, which start_job never received."""
    body = zip_of_photos(1)
    with deaf(stack, "StartJobFunctionUploaded"):
        put = stack.address.client("s3").put_object(
            Bucket=stack.outputs["UploadsBucket"], Key="meadow.zip", Body=body, Metadata={"email": EMAIL}
        )
    event = sample_event("start_job/object-created")
    event["detail"]["bucket"]["name"] = stack.outputs["UploadsBucket"]
    event["detail"]["object"] |= {"etag": put["ETag"].strip('"'), "version-id": put["VersionId"], "size": len(body)}
    return event


@pytest.fixture(scope="module")
def job_id(stack: Stack, edges: dict[str, Edge], lost_upload: dict[str, Any]) -> str:
    """The job of the upload after its dead letter was redriven; completed, and its mail sent."""
    assert executions(stack, "meadow-") == []
    with subscribed(stack.address, stack.outputs["StatusBusName"]) as subscription:
        put_letter(stack, edges["StartJob"], lost_upload)
        assert redrive_all(stack, edges["StartJob"]) == 1
        last = next(event for event in subscription.follow(WAIT_SECONDS) if event.ends_job)
    assert last.type == "Job Succeeded"
    wait_until(lambda: mails_about(stack, "meadow") == 1)
    settled(lambda: (state_of(stack, last.job_id), all_calls(stack)))  # including what the last events still cause
    return last.job_id


def test_every_queue_of_dead_letters_has_its_function(edges: dict[str, Edge]) -> None:
    functions = Template.load().functions
    names = [function.name for function in functions if "DeadLetterQueue" in function.properties]
    assert sorted(edges) == sorted(name.removesuffix("Function") for name in names)


def test_letters_that_are_only_looked_at_stay(stack: Stack, edges: dict[str, Edge]) -> None:
    put_letter(stack, edges["Dispatch"], sample_event("dispatch/scheduled"))
    (letter,) = letters_in(stack.address.client("sqs"), edges["Dispatch"].queue_url, hidden_seconds=0)
    assert "Scheduled Event" in shown(letter)
    assert "the table is not there" in shown(letter)
    assert redrive_all(stack, edges["Dispatch"]) == 1


@pytest.mark.parametrize(
    "name", ["StartJob", "ReportStage", "TrackProgress", "Notify", "Dispatch", "WatchRuns", "SweepJobs"]
)
def test_letters_of_what_was_done_already_change_nothing(
    stack: Stack, edges: dict[str, Edge], lost_upload: dict[str, Any], job_id: str, name: str
) -> None:
    before, calls = state_of(stack, job_id), all_calls(stack)
    event = lost_upload if name == "StartJob" else sample_event(SAMPLES[name])
    if name == "ReportStage":
        event["detail"]["ProcessingJobName"] = f"{job_id}-sfm-1"
    elif name in ("TrackProgress", "Notify"):
        event["detail"]["jobId"] = job_id
    for _ in range(2):
        put_letter(stack, edges[name], event)
    assert redrive_all(stack, edges[name]) == 2
    wait_until(lambda: all_calls(stack) >= calls + 2)
    assert redrive_all(stack, edges[name]) == 0
    assert settled(lambda: state_of(stack, job_id)) == before


def test_a_job_whose_stop_event_was_lost_gets_one_final_event(stack: Stack, edges: dict[str, Edge]) -> None:
    with deaf(stack, "StopJobFunction"):
        stack.upload("brook.zip", zip_of_photos(2))
        wait_until(lambda: executions(stack, "brook-") != [])
        (execution,) = executions(stack, "brook-")
        stack.address.client("stepfunctions").stop_execution(executionArn=execution["executionArn"])
        event = sample_event("stop_job/execution-aborted")
        event["detail"] |= {"executionArn": execution["executionArn"], "name": execution["name"]}
        for _ in range(2):
            put_letter(stack, edges["StopJob"], event)
        assert redrive_all(stack, edges["StopJob"]) == 2
        wait_until(lambda: calls_of(stack, "StopJob") >= 2 and mails_about(stack, "brook") > 0)
    assert settled(lambda: mails_about(stack, "brook")) == 1


# --- helpers --------------------------------------------------------------------------------------------------------

SAMPLES = {
    "ReportStage": "report_stage/processing-completed",
    "TrackProgress": "status/stage-started",
    "Notify": "status/job-succeeded",
    "Dispatch": "dispatch/scheduled",
    "WatchRuns": "watch_runs/scheduled",
    "SweepJobs": "sweep_jobs/scheduled",
}


def put_letter(stack: Stack, edge: Edge, event: dict[str, Any]) -> None:
    """Puts an event into the dead letter queue, as Lambda does after the last retry."""
    said = {"ErrorMessage": {"DataType": "String", "StringValue": "the table is not there"}}
    sqs = stack.address.client("sqs")
    sqs.send_message(QueueUrl=edge.queue_url, MessageBody=json.dumps(event), MessageAttributes=said)


def redrive_all(stack: Stack, edge: Edge) -> int:
    return redrive(stack.address.client("sqs"), stack.address.client("lambda"), edge)


@contextmanager
def deaf(stack: Stack, rule: str) -> Iterator[None]:
    """Inside the block, the rules of this name deliver nothing."""
    events = stack.address.client("events")
    names = [found["Name"] for found in events.list_rules()["Rules"] if rule in found["Name"]]
    assert names, [found["Name"] for found in events.list_rules()["Rules"]]
    for name in names:
        events.disable_rule(Name=name)
    try:
        yield
    finally:
        for name in names:
            events.enable_rule(Name=name)


def executions(stack: Stack, prefix: str) -> list[dict[str, Any]]:
    client = stack.address.client("stepfunctions")
    found = client.list_executions(stateMachineArn=stack.outputs["PipelineArn"])["executions"]
    return [one for one in found if one["name"].startswith(prefix)]


def state_of(stack: Stack, job_id: str) -> dict[str, Any]:
    """All that a customer or an operator can see of a job."""
    tables = stack.address.client("dynamodb")
    key = {"jobId": {"S": job_id}}
    sagemaker = stack.address.client("sagemaker")
    return {
        "item": tables.get_item(TableName=stack.outputs["JobsTableName"], Key=key)["Item"],
        "executions": [(one["name"], one["status"]) for one in executions(stack, "meadow-")],
        "processing": len(sagemaker.list_processing_jobs(NameContains=job_id)["ProcessingJobSummaries"]),
        "training": len(sagemaker.list_training_jobs(NameContains=job_id)["TrainingJobSummaries"]),
        "mails": mails_about(stack, "meadow"),
    }


def mails_about(stack: Stack, name: str) -> int:
    """Mails about the outcome of jobs with this name."""
    return sum(mail.tells_outcome and f"“{name}”" in mail.subject for mail in inbox(stack.address, EMAIL))


def all_calls(stack: Stack) -> int:
    """Invocations of all functions that have ended."""
    return sum("REPORT RequestId" in line for line in function_logs(stack.address))


def calls_of(stack: Stack, name: str) -> int:
    """How often the function was called, counted by the request ids in its log lines."""
    lines = [line for line in function_logs(stack.address) if f"-{name}Function-" in line]
    return len({found[1] for line in lines if (found := re.search(r'"function_request_id":"([^"]+)"', line))})
