"""Print a job's full history: `python -m scripts.job STACK JOB`.

The history consists of the job's item, its execution with the errors of its states, every attempt at a stage with the
reasons that SageMaker and the container gave and the end of the container's log, the functions' log lines about the
job, and its cost.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.exceptions import ClientError

from contract.blocks import COARSE, BlockName
from contract.stages import JobName, Stage

MAX_LOG_LINES = 15  # per container
MAX_FUNCTION_LINES = 60
MAX_TEXT = 400  # characters of a cause or a log line
# fields of a log line that are left out, because they are known or printed in another form
FRAME = {
    "level", "location", "message", "timestamp", "service", "cold_start", "function_name", "function_memory_size",
    "function_arn", "function_request_id", "xray_trace_id", "job_id", "exception", "exception_name", "stack_trace",
}  # fmt: skip
HIDDEN = {"startWith"}  # the complete input of the execution


def resources_of(cloudformation: Any, stack: str) -> dict[str, str]:
    """The stack's physical names by logical name."""
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
    return {
        one["LogicalResourceId"]: one["PhysicalResourceId"] for page in pages for one in page["StackResourceSummaries"]
    }


def item_lines(item: Mapping[str, Any] | None) -> Iterator[str]:
    if item is None:
        yield "no item: nobody recorded this job"
        return
    for name, value in sorted(item.items()):
        if name not in HIDDEN:
            yield f"{name}: {_short(value)}"


def execution_lines(stepfunctions: Any, arn: str) -> Iterator[str]:
    """Status and times, then every state that was entered, failed or timed out, oldest first."""
    try:
        found = stepfunctions.describe_execution(executionArn=arn)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ExecutionDoesNotExist":
            raise
        yield "no execution: it was never started, or ended more than 90 days ago"
        return
    yield f"{found['status']}, {found['startDate']:%F %T} to {found.get('stopDate', 'now')}"
    pages = stepfunctions.get_paginator("get_execution_history").paginate(executionArn=arn)
    for event in (event for page in pages for event in page["events"]):
        if line := _event_line(event):
            yield f"{event['timestamp']:%F %T} {line}"


def _event_line(event: Mapping[str, Any]) -> str | None:
    details: Mapping[str, Any] = next((value for name, value in event.items() if name.endswith("EventDetails")), {})
    if event["type"].endswith("StateEntered"):
        return f"entered {details.get('name')}"
    if "error" in details or "cause" in details:
        return f"{event['type']}: {details.get('error', '')} {_short(details.get('cause', ''))}"
    return None


def attempt_lines(sagemaker: Any, logs: Any, run: Mapping[str, Any]) -> Iterator[str]:
    """One attempt at a stage: the pipeline's record, SageMaker's description, and the end of its log."""
    stage = Stage(run["stage"])
    kind = stage.kind
    name = str(JobName(run["jobId"], stage, int(run["attempt"]), _block_in(run["stageRun"])))
    noted = {key: run[key] for key in ("reason", "retryState", "dollars", "queuedAt", "nextLook") if key in run}
    yield f"{name} {_short(noted)}"
    try:
        described = getattr(sagemaker, f"describe_{kind.lower()}_job")(**{f"{kind}JobName": name})
    except ClientError as error:
        yield f"  SageMaker: {error}"
        return
    wanted = (
        "FailureReason",
        "ExitMessage",
        "SecondaryStatus",
        f"{kind}StartTime",
        f"{kind}EndTime",
        "BillableTimeInSeconds",
    )
    yield f"  SageMaker: {described[f'{kind}JobStatus']} on {_instance_type(described)}"
    yield from (f"  {key}: {_short(described[key])}" for key in wanted if key in described)
    for line in _log_tail(logs, f"/aws/sagemaker/{kind}Jobs", name):
        yield f"  | {line}"


def _block_in(stage_run: str) -> BlockName | None:
    """The block in a sort key of the stage runs table: `3dgs#b007#0001`, `3dgs#coarse#0001`; None in `sfm#0001`."""
    _, *part, _ = stage_run.split("#")
    if not part:
        return None
    return COARSE if part[0] == COARSE else int(part[0].removeprefix("b"))


def _instance_type(described: Mapping[str, Any]) -> str:
    cluster = described.get("ResourceConfig") or described.get("ProcessingResources", {}).get("ClusterConfig", {})
    return str(cluster.get("InstanceType", "?"))


def _log_tail(logs: Any, group: str, prefix: str) -> list[str]:
    try:
        streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=prefix)["logStreams"]
        lines = [
            event["message"].rstrip()
            for stream in streams
            for event in logs.get_log_events(
                logGroupName=group, logStreamName=stream["logStreamName"], limit=MAX_LOG_LINES, startFromHead=False
            )["events"]
        ]
    except ClientError as error:
        return [f"no log: {error.response['Error']['Code']}"]
    return [_short(line) for line in lines[-MAX_LOG_LINES:]] or ["no log"]


def function_lines(logs: Any, group: str, job_id: str) -> Iterator[str]:
    """The functions' log lines about the job, newest last."""
    try:
        found = logs.filter_log_events(logGroupName=group, filterPattern=f'"{job_id}"', limit=1000)["events"]
    except ClientError as error:
        yield f"no log: {error.response['Error']['Code']}"
        return
    for event in found[-MAX_FUNCTION_LINES:]:
        at = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
        yield f"{at:%F %T} {_short(_said(event['message'].strip()))}"


def _said(line: str) -> str:
    """The content of a line of Powertools' logger, without place and time; of an exception, only the last line."""
    try:
        record = json.loads(line)
    except json.JSONDecodeError:
        return line
    if not isinstance(record, dict) or "message" not in record:
        return line
    exception = str(record.get("exception", "")).strip().rpartition("\n")[2]
    facts = {name: value for name, value in record.items() if name not in FRAME and value is not None}
    said = [record.get("level"), record.get("function_name"), record["message"], exception]
    return " ".join(str(one) for one in [*said, json.dumps(facts, ensure_ascii=False) if facts else ""] if one)


def cost_lines(runs: list[dict[str, Any]]) -> Iterator[str]:
    yield f"{sum(float(run.get('dollars', 0)) for run in runs):.4f} dollars of machines in {len(runs)} attempts"


def story(session: Any, stack: str, job_id: str) -> Iterator[str]:
    names = resources_of(session.client("cloudformation"), stack)
    dynamodb, logs = session.resource("dynamodb"), session.client("logs")
    item = dynamodb.Table(names["JobsTable"]).get_item(Key={"jobId": job_id}, ConsistentRead=True).get("Item")
    runs = dynamodb.Table(names["StageRunsTable"]).query(
        KeyConditionExpression="jobId = :job", ExpressionAttributeValues={":job": job_id}, ConsistentRead=True
    )["Items"]
    arn = f"{names['Pipeline'].replace(':stateMachine:', ':execution:')}:{job_id}"
    yield "── item"
    yield from item_lines(item)
    yield "── execution"
    yield from execution_lines(session.client("stepfunctions"), arn)
    yield "── attempts"
    for run in runs:
        yield from attempt_lines(session.client("sagemaker"), logs, run)
    yield "── functions"
    yield from function_lines(logs, names["FunctionLogs"], job_id)
    yield "── cost"
    yield from cost_lines(runs)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str, sort_keys=True)
    return " ".join(text.split())[:MAX_TEXT]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.job", description=__doc__)
    parser.add_argument("stack")
    parser.add_argument("job", help="the job's id")
    arguments = parser.parse_args()
    for line in story(boto3.Session(), arguments.stack, arguments.job):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
