"""The pipeline as a state machine, written with the Step Functions Data Science SDK.

    python statemachine/workflow.py            # writes statemachine/pipeline.asl.json
    python statemachine/workflow.py --check    # exit code 1 if the committed file differs from what this code writes

Runs at build time only, in the environment of statemachine/requirements.txt. `${…}` names are filled in by the
template (DefinitionSubstitutions). postprocess.py adds what the SDK cannot express.
"""

from __future__ import annotations

import json
import math
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
    Map,
    Pass,
    Retry,
    Succeed,
)
from stepfunctions.steps.states import State, Task

from contract.blocks import COARSE, MAX_BLOCKS
from contract.codes import FAILURES, ErrorCode, Then, failures_then
from contract.events import (
    FAILED_SEQUENCE,
    JOB_SEQUENCE,
    LAST_SEQUENCE,
    SOURCE,
    VERSION,
    StatusType,
    failed_sequence,
    succeeded_sequence,
)
from contract.stages import SPOT_WAIT_SECONDS, Stage

PIPELINE = Path(__file__).with_name("pipeline.asl.json")

# a container reports at least every 20 s, but while a machine loads its input there are no reports for minutes. As long
# as a run waits for its machine, in our queue or at SageMaker, watch_runs keeps its task alive
HEARTBEAT_SECONDS = 1800
_DAY = 24 * 3600
# the longest time that the runs of a job may wait in the queues, in total; their input expires later than that
QUEUES_SECONDS = 45 * _DAY
# preparing the instance, start-up, loading and upload take time in addition to a job's MaxRuntimeInSeconds
MARGIN_SECONDS = 2 * 3600


def run_seconds(stage: Stage) -> int:
    """How long a run may hold its machine or wait for Spot capacity."""
    return stage.spec.max_runtime + (SPOT_WAIT_SECONDS if stage.kind == "Training" else 0)


def queue_seconds(stage: Stage) -> int:
    """How long a run may wait in its queue; watch_runs keeps the tasks of waiting runs alive.

    QUEUES_SECONDS is divided in proportion to the time that runs of the same kind, which wait for the same machines,
    may take: with one machine of each kind, fifty uploads get through even if each run takes its maximum time.
    """
    turns = {each: sum(map(run_seconds, each.of_its_kind)) for each in Stage}
    return QUEUES_SECONDS * turns[stage] // sum(turns.values())


def task_seconds(stage: Stage) -> int:
    """How long a stage's task may take: in the queue, at work, and around it."""
    return queue_seconds(stage) + run_seconds(stage) + MARGIN_SECONDS


def part_seconds() -> int:
    """How long the task of a block, or of the coarse model before the blocks, may take: half of training's queue time
    each, plus the time of a run."""
    return queue_seconds(Stage.TRAINING) // 2 + run_seconds(Stage.TRAINING) + MARGIN_SECONDS


def job_seconds() -> int:
    """How long an execution may take: its stages' tasks, training in two turns, in whole days."""
    second_turn = 2 * part_seconds() - task_seconds(Stage.TRAINING)
    return math.ceil((sum(map(task_seconds, Stage)) + second_turn) / _DAY) * _DAY


def codes(*then: Then) -> list[str]:
    return [code.value for code in failures_then(*then)]


# errors that end a stage: coded by its container or from SageMaker's description, or silence. Any other error of a task
# is a fault of AWS or of our functions (Lambda's, botocore's, a function's own), which have too many names to list
FINAL = ["States.Timeout", "States.HeartbeatTimeout", *codes(Then.FINAL, Then.HALVE)]
# errors after which one block of many is tried a second time
ONCE_MORE = [ErrorCode.INTERNAL.value, ErrorCode.TRAINING_DIVERGED.value]
_INTERNAL = FAILURES[ErrorCode.INTERNAL]
INTERNAL_ERROR = {"code": ErrorCode.INTERNAL.value, "message": _INTERNAL.sentence, "hint": _INTERNAL.hint}


def refused() -> Retry:
    """A Retry for when no concurrent execution was free: a new account has only ten. The function did not run, and
    nothing is wrong. The retries wait out a burst of uploads, 2.5 hours on average, before paid work is given up.
    """
    return Retry(error_equals=["Lambda.TooManyRequestsException"], interval_seconds=2, max_attempts=30, backoff_rate=2)


def call_retries() -> list[Retry]:
    """The Retry list of a function that answers at once."""
    return [refused(), Retry(error_equals=["States.ALL"], interval_seconds=5, max_attempts=5, backoff_rate=2)]


def announce(state_id: str, detail_type: StatusType, detail: dict[str, Any]) -> EventBridgePutEventsStep:
    """A state that publishes a status event and leaves the data unchanged."""
    common = {"version": VERSION, "jobId.$": "$.jobId", "at.$": "$$.State.EnteredTime"}
    return EventBridgePutEventsStep(
        state_id,
        parameters={
            "Entries": [
                {
                    "Source": SOURCE,
                    "DetailType": detail_type.value,
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
    announced = announce(
        "JobFailed",
        StatusType.JOB_FAILED,
        {
            "sequence": FAILED_SEQUENCE,
            "progress": 1,
            "message.$": "$.settlement.error.message",
            "error.$": "$.settlement.error",
        },
    )
    announced.next(Fail("Failed"))
    return announced


def unforeseen(announced: State) -> Pass:
    """A state for faults in our own functions: the job fails as INTERNAL, so that the customer is notified."""
    state = Pass("UnforeseenFailure", result={"error": INTERNAL_ERROR}, result_path="$.settlement")
    state.next(announced)
    return state


def stage_states(stage: Stage, next_state: State, failed: State, unforeseen_failure: State) -> State:
    """The states that run a stage with a callback and ask SageMaker before a failure counts. Returns the first one."""
    spec = stage.spec
    name, output = spec.key.capitalize(), f"$.stages.{spec.key}"
    succeeded = announce(
        f"{name}Succeeded",
        StatusType.STAGE_SUCCEEDED,
        {
            "stage": stage.value,
            "attempt.$": f"{output}.attempt",
            "sequence": succeeded_sequence(stage),
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
        StatusType.STAGE_FAILED,
        {
            "stage": stage.value,
            "attempt.$": "$.settlement.attempt",
            "sequence": failed_sequence(stage),
            "progress": 1,
            "message.$": "$.settlement.error.message",
            "error.$": "$.settlement.error",
        },
    )
    stage_failed.next(failed)
    settled = settled_choice(name, output, succeeded, stage_failed)
    run = run_states(name, stage, task_seconds(stage), output, settled, unforeseen_failure)
    run.next(succeeded)
    return large(run, settled, stage_failed, unforeseen_failure) if stage is Stage.TRAINING else run


def settled_choice(name: str, output: str, succeeded: State, failed: State) -> State:
    """A choice by the settlement: adopt its output as that of the task, or fail."""
    adopt = Pass(f"Adopt{name}", input_path="$.settlement.output", result_path=output)
    adopt.next(succeeded)
    settled = Choice(f"{name}Settled")
    settled.add_choice(ChoiceRule.BooleanEquals(variable="$.settlement.succeeded", value=True), adopt)
    settled.default_choice(failed)
    return settled


def run_states(
    name: str,
    stage: Stage,
    seconds: int,
    output: str,
    settled: State,
    fault: State,
    block: dict[str, Any] | None = None,
    job: str = "$",
) -> State:
    """The callback task that waits for a stage run, and the task that settles it if it fails. `block`: the part of a
    large flight that it trains. A block that fails for an internal reason is tried once more, because the others' work
    depends on it."""
    part = block or {}
    settle = Task(
        f"Settle{name}",
        resource="${SettleStageFunctionArn}",
        parameters={"jobId.$": "$.jobId", "stage": stage.value, **part, "failure.$": "$.failure"},
        result_path="$.settlement",
        retry=call_retries(),
        catch=Catch(error_equals=["States.ALL"], result_path="$.fault", next_step=fault),
    )
    settle.next(settled)
    half = Retry(error_equals=codes(Then.HALVE), interval_seconds=5, max_attempts=1, backoff_rate=2)
    again = Retry(error_equals=ONCE_MORE, interval_seconds=5, max_attempts=1, backoff_rate=2)
    return LambdaStep(
        f"Run{name}",
        wait_for_callback=True,
        parameters={
            "FunctionName": "${RunStageFunctionArn}",
            "Payload": {"taskToken.$": "$$.Task.Token", "stage": stage.value, **part, "job.$": job},
        },
        timeout_seconds=seconds,
        heartbeat_seconds=HEARTBEAT_SECONDS,
        result_path=output,
        retry=[
            Retry(error_equals=codes(Then.WAIT), interval_seconds=60, max_attempts=48, backoff_rate=2),
            Retry(error_equals=codes(Then.RESUME), interval_seconds=30, max_attempts=3, backoff_rate=2),
            *([half] if stage.spec.halves else []),
            *([again] if part else []),
            Retry(error_equals=FINAL, interval_seconds=1, max_attempts=0, backoff_rate=2),
            refused(),
            Retry(error_equals=["States.ALL"], interval_seconds=2, max_attempts=6, backoff_rate=2),
        ],
        catch=Catch(error_equals=["States.ALL"], result_path="$.failure", next_step=settle),
    )


def large(whole: State, settled: State, failed: State, unforeseen_failure: State) -> State:
    """States that train a large flight in blocks side by side, and any other as a whole. Returns the first one."""
    weigh = Task(
        "WeighBlocks",
        resource="${SettleStageFunctionArn}",
        parameters={
            "jobId.$": "$.jobId",
            "scene.$": "$.stages.sfm.outputUri",
            "coarse.$": "$.coarse",
            "blocks.$": "$.blocks",
        },
        result_path="$.settlement",
        retry=call_retries(),
        catch=Catch(error_equals=["States.ALL"], result_path="$.fault", next_step=unforeseen_failure),
    )
    weigh.next(settled)
    each = Map(
        "EachBlock",
        items_path="$.plan.blocks",
        max_concurrency=MAX_BLOCKS,
        parameters={"block.$": "$$.Map.Item.Value", "jobId.$": "$.jobId", "job.$": "$"},
        result_path="$.blocks",
    )
    each.attach_iterator(Chain([block_states()]))
    each.next(weigh)
    plan = Pass(
        "PlanBlocks",
        parameters={"blocks.$": "States.ArrayRange(1, $.stages.sfm.counts.blocks, 1)"},
        result_path="$.plan",
    )
    plan.next(each)
    coarse_settled = settled_choice("Coarse", "$.coarse", plan, failed)
    coarse = run_states(
        "Coarse", Stage.TRAINING, part_seconds(), "$.coarse", coarse_settled, unforeseen_failure, {"block": COARSE}
    )
    coarse.next(plan)
    blocks = "$.stages.sfm.counts.blocks"  # missing if a job begins with training
    in_blocks = [
        ChoiceRule.IsPresent(variable=blocks, value=True),
        ChoiceRule.NumericGreaterThan(variable=blocks, value=1),
    ]
    choice = Choice("Large")
    choice.add_choice(ChoiceRule.And(in_blocks), coarse)
    choice.default_choice(whole)
    return choice


def block_states() -> State:
    """The states of one block. It never fails the Map, which would end the other blocks' tasks while their machines
    keep running. Its outcome is its result, and WeighBlocks decides."""
    kept = Pass("BlockKept", parameters={"block.$": "$.block", "succeeded": True, "output.$": "$.run"})
    lost = Pass(
        "BlockLost",
        parameters={
            "block.$": "$.block",
            "succeeded": False,
            "error.$": "$.settlement.error",
            "cost.$": "$.settlement.cost",
        },
    )
    unsettled = Pass("BlockUnsettled", parameters={"block.$": "$.block", "succeeded": False, "error": INTERNAL_ERROR})
    run = run_states(
        "Block",
        Stage.TRAINING,
        part_seconds(),
        "$.run",
        settled_choice("Block", "$.run", kept, lost),
        unsettled,
        {"block.$": "$.block"},
        job="$.job",
    )
    run.next(kept)
    return run


def delivery(unforeseen_failure: State) -> State:
    deliver = Task(
        "Deliver",
        resource="${DeliverFunctionArn}",
        result_path="$.delivery",
        retry=call_retries(),
        catch=Catch(error_equals=["States.ALL"], result_path="$.fault", next_step=unforeseen_failure),
    )
    announced = announce(
        "JobSucceeded",
        StatusType.JOB_SUCCEEDED,
        {
            "sequence": LAST_SEQUENCE,
            "progress": 1,
            "message": "the scene is ready",
            "metrics.$": "$.delivery.metrics",
            "outputs.$": "$.delivery.outputs",
            "cost.$": "$.delivery.cost",
        },
    )
    return Chain([deliver, announced, Succeed("Done")]).steps[0]


def pipeline() -> Graph:
    failed = failure_end()
    unforeseen_failure = unforeseen(failed)
    next_state = delivery(unforeseen_failure)
    first_of = {}
    for stage in reversed(Stage):
        next_state = first_of[stage] = stage_states(stage, next_state, failed, unforeseen_failure)
    started = announce(
        "JobStarted",
        StatusType.JOB_STARTED,
        {"sequence": JOB_SEQUENCE, "progress": 0, "message.$": "States.Format('{} is on its way', $.name)"},
    )
    first_stage = Choice("FirstStage")
    default, *others = Stage
    for stage in others:
        rule = ChoiceRule.StringEquals(variable="$.firstStage", value=stage.value)
        first_stage.add_choice(rule, first_of[stage])
    first_stage.default_choice(first_of[default])
    started.next(first_stage)
    return Graph(
        started,
        comment="A ZIP of drone photos becomes a compressed 3D Gaussian splat. Written by workflow.py: edit that.",
        timeout_seconds=job_seconds(),
    )


def definition() -> str:
    """The state machine's definition as text, as it is in the committed file."""
    return json.dumps(postprocess(json.loads(pipeline().to_json())), indent=2) + "\n"


def main(arguments: list[str]) -> int:
    if "--check" in arguments:
        return 0 if PIPELINE.read_text() == definition() else 1
    PIPELINE.write_text(definition())
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
