"""The pipeline as a state machine, written with the Step Functions Data Science SDK.

    python statemachine/workflow.py            # writes statemachine/pipeline.asl.json
    python statemachine/workflow.py --check    # exit 1 if the committed file is not what this code writes

Runs at build time only, in the environment of statemachine/requirements.txt. `${…}` names are filled in by the
template (DefinitionSubstitutions). postprocess.py adds what the SDK cannot express.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from postprocess import postprocess
from stepfunctions.steps import (
    Catch,
    Chain,
    Choice,
    ChoiceRule,
    EventBridgePutEventsStep,
    Fail,
    Graph,
    LambdaStep,
    Pass,
    Retry,
    Succeed,
)
from stepfunctions.steps.states import State, Task

PIPELINE = Path(__file__).with_name("pipeline.asl.json")

# a container reports at least every 20 s; while a machine starts and loads its input there are no reports for minutes
HEARTBEAT_SECONDS = 1800
# a Spot training job may wait this long for its machine, without any report (functions/spaceport/stages.py)
SPOT_WAIT_SECONDS = 3600
# a run may wait this long in the queue for a machine of the account's quota: with one machine, fifty uploads succeed
# even if each takes the longest time allowed. dispatch sends heartbeats for the runs that wait
QUEUE_SECONDS = 15 * 24 * 3600
# stage → (name of its states, its key in $.stages, task timeout, heartbeat; both in seconds). The timeout is longer
# than the SageMaker job's own MaxRuntimeInSeconds (functions/spaceport/stages.py): waiting for a machine counts here.
STAGES = {
    "sfm": ("Sfm", "sfm", QUEUE_SECONDS + 5 * 3600, HEARTBEAT_SECONDS),
    "3dgs": ("Training", "training", QUEUE_SECONDS + 9 * 3600, SPOT_WAIT_SECONDS + HEARTBEAT_SECONDS),
    "compressor": ("Compressor", "compressor", QUEUE_SECONDS + 3 * 3600, HEARTBEAT_SECONDS),
}
JOB_TIMEOUT_SECONDS = 46 * 24 * 3600
LAST_SEQUENCE = 9_999_999
FAILED_SEQUENCE = 9_999_998  # below success: a redrive of what failed may succeed

# codes after which the same attempt may succeed (functions/spaceport/errors.py; a test holds them equal)
WAIT_FOR_CAPACITY = ["CAPACITY", "THROTTLED"]
GO_ON_FROM_CHECKPOINT = ["INTERRUPTED"]
# errors that end a stage: those that its container or SageMaker names, and timeouts. Any other error is a fault of AWS
# or of a function on the way (Lambda's, botocore's, its own); these have too many names to list
FINAL = [
    "States.Timeout",
    "States.HeartbeatTimeout",
    "NOT_A_ZIP",
    "EMPTY_ARCHIVE",
    "ENCRYPTED_ARCHIVE",
    "UNSAFE_ARCHIVE",
    "ARCHIVE_TOO_LARGE",
    "NO_PHOTOS",
    "UNSUPPORTED_PHOTOS",
    "TOO_FEW_PHOTOS",
    "TOO_MANY_PHOTOS",
    "INVALID_OPTION",
    "INVALID_SCENE",
    "INVALID_SPLAT",
    "NO_FEATURES",
    "NO_OVERLAP",
    "LOW_REGISTRATION",
    "DISCONNECTED",
    "GPS_UNRELIABLE",
    "TIME_BUDGET",
    "TRAINING_DIVERGED",
    "LOW_QUALITY",
    "OUT_OF_MEMORY",
    "DISK_FULL",
    "STALLED",
    "STAGE_TIMEOUT",
    "BUDGET_SPENT",
    "INTERNAL",
]
TRY_WITH_HALF = ["OUT_OF_MEMORY"]  # once, and only where the stage can do with fewer Gaussians


def announce(state_id: str, detail_type: str, detail: dict[str, Any]) -> EventBridgePutEventsStep:
    """Put a status event on the bus and leave the data as it is."""
    common = {"version": "1", "jobId.$": "$.jobId", "at.$": "$$.State.EnteredTime"}
    return EventBridgePutEventsStep(
        state_id,
        parameters={
            "Entries": [
                {
                    "Source": "spaceport.pipeline",
                    "DetailType": detail_type,
                    "EventBusName": "${StatusBusName}",
                    "Detail": {**common, **detail},
                    "TraceHeader.$": "$.traceHeader",
                }
            ]
        },
        result_path=None,
        retry=Retry(error_equals=["States.ALL"], interval_seconds=2, max_attempts=8, backoff_rate=2),
    )


def failure_end() -> State:
    """The end of every failure: an event on the bus, then a Fail state."""
    told = announce(
        "JobFailed",
        "Job Failed",
        {
            "sequence": FAILED_SEQUENCE,
            "progress": 1,
            "message.$": "$.settlement.error.message",
            "error.$": "$.settlement.error",
        },
    )
    told.next(Fail("Failed"))
    return told


def unforeseen(told: State) -> Pass:
    """The path of an unexpected fault in a function: the customer is still notified."""
    error = {
        "code": "INTERNAL",
        "message": "Something went wrong on our side.",
        "hint": "Upload the ZIP again; if it happens twice, reply to this mail.",
    }
    state = Pass("UnforeseenFailure", result={"error": error}, result_path="$.settlement")
    state.next(told)
    return state


def stage_states(stage: str, ordinal: int, next_state: State, failed: State, unforeseen_failure: State) -> State:
    """Run a stage with a callback; ask SageMaker before a failure is accepted. Returns the first of its states."""
    name, key, timeout_seconds, heartbeat_seconds = STAGES[stage]
    output = f"$.stages.{key}"
    succeeded = announce(
        f"{name}Succeeded",
        "Stage Succeeded",
        {
            "stage": stage,
            "attempt.$": f"{output}.attempt",
            "sequence": ordinal * 1_000_000 + 999_999,
            "progress": 1,
            "message": "done",
            "metrics.$": f"{output}.metrics",
            "outputs": {"output.$": f"{output}.outputUri"},
            "cost.$": f"{output}.cost",
        },
    )
    succeeded.next(next_state)
    stage_failed = announce(
        f"{name}Failed",
        "Stage Failed",
        {
            "stage": stage,
            "attempt.$": "$.settlement.attempt",
            "sequence": ordinal * 1_000_000 + 999_998,
            "progress": 1,
            "message.$": "$.settlement.error.message",
            "error.$": "$.settlement.error",
        },
    )
    stage_failed.next(failed)
    adopt = Pass(f"Adopt{name}", input_path="$.settlement.output", result_path=output)
    adopt.next(succeeded)
    settled = Choice(f"{name}Settled")
    settled.add_choice(ChoiceRule.BooleanEquals(variable="$.settlement.succeeded", value=True), adopt)
    settled.default_choice(stage_failed)
    settle = Task(
        f"Settle{name}",
        resource="${SettleStageFunctionArn}",
        parameters={"jobId.$": "$.jobId", "stage": stage, "failure.$": "$.failure"},
        result_path="$.settlement",
        retry=Retry(error_equals=["States.ALL"], interval_seconds=5, max_attempts=5, backoff_rate=2),
        catch=Catch(error_equals=["States.ALL"], result_path="$.fault", next_step=unforeseen_failure),
    )
    settle.next(settled)
    half = Retry(error_equals=TRY_WITH_HALF, interval_seconds=5, max_attempts=1, backoff_rate=2)
    with_half = [half] if stage == "3dgs" else []
    run = LambdaStep(
        f"Run{name}",
        wait_for_callback=True,
        parameters={
            "FunctionName": "${RunStageFunctionArn}",
            "Payload": {"taskToken.$": "$$.Task.Token", "stage": stage, "job.$": "$"},
        },
        timeout_seconds=timeout_seconds,
        heartbeat_seconds=heartbeat_seconds,
        result_path=output,
        retry=[
            Retry(error_equals=WAIT_FOR_CAPACITY, interval_seconds=60, max_attempts=48, backoff_rate=2),
            Retry(error_equals=GO_ON_FROM_CHECKPOINT, interval_seconds=30, max_attempts=3, backoff_rate=2),
            *with_half,
            Retry(error_equals=FINAL, interval_seconds=1, max_attempts=0, backoff_rate=2),
            Retry(error_equals=["States.ALL"], interval_seconds=2, max_attempts=6, backoff_rate=2),
        ],
        catch=Catch(error_equals=["States.ALL"], result_path="$.failure", next_step=settle),
    )
    run.next(succeeded)
    return run


def delivery(unforeseen_failure: State) -> State:
    deliver = Task(
        "Deliver",
        resource="${DeliverFunctionArn}",
        result_path="$.delivery",
        retry=Retry(error_equals=["States.ALL"], interval_seconds=5, max_attempts=5, backoff_rate=2),
        catch=Catch(error_equals=["States.ALL"], result_path="$.fault", next_step=unforeseen_failure),
    )
    told = announce(
        "JobSucceeded",
        "Job Succeeded",
        {
            "sequence": LAST_SEQUENCE,
            "progress": 1,
            "message": "the scene is ready",
            "metrics.$": "$.delivery.metrics",
            "outputs.$": "$.delivery.outputs",
            "cost.$": "$.delivery.cost",
        },
    )
    return Chain([deliver, told, Succeed("Done")]).steps[0]


def pipeline() -> Graph:
    failed = failure_end()
    unforeseen_failure = unforeseen(failed)
    next_state = delivery(unforeseen_failure)
    first_of = {}
    for ordinal, stage in reversed(list(enumerate(STAGES, start=1))):
        next_state = first_of[stage] = stage_states(stage, ordinal, next_state, failed, unforeseen_failure)
    started = announce(
        "JobStarted",
        "Job Started",
        {"sequence": 0, "progress": 0, "message.$": "States.Format('{} is on its way', $.name)"},
    )
    first_stage = Choice("FirstStage")
    for stage in ("3dgs", "compressor"):
        rule = ChoiceRule.StringEquals(variable="$.firstStage", value=stage)
        first_stage.add_choice(rule, first_of[stage])
    first_stage.default_choice(first_of["sfm"])
    started.next(first_stage)
    return Graph(
        started,
        comment="A ZIP of drone photos becomes a compressed 3D Gaussian splat. Written by workflow.py: edit that.",
        timeout_seconds=JOB_TIMEOUT_SECONDS,
    )


def definition() -> str:
    """The state machine's definition as the committed file holds it."""
    return json.dumps(postprocess(json.loads(pipeline().to_json())), indent=2) + "\n"


def main(arguments: list[str]) -> int:
    if "--check" in arguments:
        return 0 if PIPELINE.read_text() == definition() else 1
    PIPELINE.write_text(definition())
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
