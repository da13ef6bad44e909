"""The committed state machine fulfils docs/contracts.md, checked by its definition alone."""

from __future__ import annotations

import re
from typing import Any

import pytest

from contract.blocks import MAX_BLOCKS
from contract.codes import FAILURES, ErrorCode, Then, failures_then
from contract.events import LAST_SEQUENCE, StatusType
from contract.stages import SPOT_WAIT_SECONDS, PipelineStep, Stage
from domain.stage_runs import KEEP_SECONDS, QUIET_SECONDS
from sweep_jobs.sweep import MAX_JOB_AGE
from tests.support.asl import CALLBACK, PUT_EVENTS, load_pipeline, reachable, states_of, targets

PIPELINE = load_pipeline()
STATES: dict[str, dict[str, Any]] = PIPELINE["States"]
RETRYABLE = set(failures_then(Then.WAIT, Then.RESUME))
CALLBACKS = states_of(PIPELINE, CALLBACK)
WHOLE = {name: state for name, state in CALLBACKS.items() if "block" not in state["Parameters"]["Payload"]}
RUN_OF = {Stage(state["Parameters"]["Payload"]["stage"]): name for name, state in WHOLE.items()}
ITEM: dict[str, dict[str, Any]] = STATES["EachBlock"]["ItemProcessor"]["States"]
BLOCK = ITEM["RunBlock"]
PARTS = [STATES["RunCoarse"], BLOCK]  # of a large flight's training
ANNOUNCEMENTS = {name: state["Parameters"]["Entries"][0] for name, state in states_of(PIPELINE, PUT_EVENTS).items()}
REFUSED = "Lambda.TooManyRequestsException"
TASKS = {name: state for name, state in STATES.items() if state["Type"] == "Task"}
# a processing job has no Spot wait; a training job may wait that long in addition to its runtime
MAX_STAGE_SECONDS = {
    stage: stage.spec.max_runtime + (SPOT_WAIT_SECONDS if stage.kind == "Training" else 0) for stage in Stage
}


def test_each_stage_has_one_callback_task() -> None:
    assert sorted(RUN_OF) == sorted(Stage)
    assert len(WHOLE) == len(Stage)
    assert CALLBACKS.keys() - WHOLE.keys() == {"RunCoarse"}


@pytest.mark.parametrize("name", CALLBACKS)
@pytest.mark.parametrize("field", ["TimeoutSeconds", "HeartbeatSeconds", "Retry", "Catch"])
def test_a_callback_task_can_always_end(name: str, field: str) -> None:
    assert CALLBACKS[name].get(field)


@pytest.mark.parametrize("name", CALLBACKS)
def test_a_callback_task_notices_lost_heartbeats_before_its_timeout(name: str) -> None:
    assert CALLBACKS[name]["HeartbeatSeconds"] < CALLBACKS[name]["TimeoutSeconds"]


@pytest.mark.parametrize("name", CALLBACKS)
def test_a_task_that_waits_for_a_machine_is_kept_alive_many_times_within_a_heartbeat(name: str) -> None:
    """A wait for Spot capacity may take hours; watch_runs checks runs without news every minute."""
    assert CALLBACKS[name]["HeartbeatSeconds"] == 1800 > 5 * QUIET_SECONDS


@pytest.mark.parametrize("name", CALLBACKS)
def test_a_callback_task_hands_over_its_token_and_all_of_the_data(name: str) -> None:
    payload = CALLBACKS[name]["Parameters"]["Payload"]
    assert payload["taskToken.$"] == "$$.Task.Token"
    assert payload["job.$"] == "$"


@pytest.mark.parametrize("stage", Stage)
def test_a_task_waits_longer_than_its_job_may_take(stage: Stage) -> None:
    assert STATES[RUN_OF[stage]]["TimeoutSeconds"] > MAX_STAGE_SECONDS[stage]


@pytest.mark.parametrize("stage", Stage)
def test_with_one_machine_fifty_jobs_get_through_though_each_takes_the_longest_it_may(stage: Stage) -> None:
    assert STATES[RUN_OF[stage]]["TimeoutSeconds"] > 50 * MAX_STAGE_SECONDS[stage]


def test_whoever_looks_for_a_job_looks_longer_than_it_may_take() -> None:
    assert MAX_JOB_AGE.total_seconds() > PIPELINE["TimeoutSeconds"]
    assert PIPELINE["TimeoutSeconds"] < KEEP_SECONDS


def test_the_execution_waits_longer_than_its_tasks_together() -> None:
    whole = sum(state["TimeoutSeconds"] for state in WHOLE.values())
    in_blocks = whole - STATES[RUN_OF[Stage.TRAINING]]["TimeoutSeconds"] + sum(part["TimeoutSeconds"] for part in PARTS)
    assert PIPELINE["TimeoutSeconds"] > max(whole, in_blocks)


@pytest.mark.parametrize("name", CALLBACKS)
def test_what_is_worth_the_same_again_is_retried_and_nothing_else_that_has_a_code(name: str) -> None:
    retried = [e for retry in CALLBACKS[name]["Retry"] if retry["MaxAttempts"] for e in retry["ErrorEquals"]]
    smaller = [ErrorCode.OUT_OF_MEMORY] if CALLBACKS[name]["Parameters"]["Payload"]["stage"] == Stage.TRAINING else []
    again = [] if name in WHOLE else [ErrorCode.INTERNAL, ErrorCode.TRAINING_DIVERGED]
    assert sorted(retried) == sorted([*RETRYABLE, *smaller, *again, REFUSED, "States.ALL"])


@pytest.mark.parametrize("name", CALLBACKS)
def test_what_settles_a_stage_is_final_and_every_fault_on_the_way_is_tried_again(name: str) -> None:
    """Retry is read in order: when States.ALL comes, at the end, no code must be left that a stage can end with."""
    *named, last = CALLBACKS[name]["Retry"]
    (final,) = [set(retry["ErrorEquals"]) for retry in named if retry["MaxAttempts"] == 0]
    by_us = {ErrorCode.BUDGET_SPENT, ErrorCode.STALLED, ErrorCode.INTERNAL}
    by_sagemaker = {ErrorCode.STAGE_TIMEOUT, ErrorCode.DISK_FULL, ErrorCode.OUT_OF_MEMORY, *by_us}
    by_a_container = set(failures_then(Then.FINAL, Then.HALVE))
    assert final >= {"States.Timeout", "States.HeartbeatTimeout", *((by_sagemaker | by_a_container) - RETRYABLE)}
    assert final <= {"States.Timeout", "States.HeartbeatTimeout", *ErrorCode} - RETRYABLE
    assert last["ErrorEquals"] == ["States.ALL"]
    assert last["MaxAttempts"] > 0


@pytest.mark.parametrize("name", sorted(TASKS.keys() - ANNOUNCEMENTS.keys()))
def test_a_function_that_lambda_has_no_room_for_is_waited_for(name: str) -> None:
    """A young account runs ten functions at once, and a burst of uploads takes minutes to pass."""
    retry = next(retry for retry in TASKS[name]["Retry"] if {REFUSED, "States.ALL"} & set(retry["ErrorEquals"]))
    delays = [
        min(retry["IntervalSeconds"] * retry["BackoffRate"] ** number, retry["MaxDelaySeconds"])
        for number in range(retry["MaxAttempts"])
    ]
    assert retry["ErrorEquals"] == [REFUSED]
    assert sum(delays) / 2 > 2 * 3600  # with jitter, half of each on average


def test_training_is_tried_once_with_fewer_gaussians() -> None:
    retries = STATES[RUN_OF[Stage.TRAINING]]["Retry"]
    first = next(retry for retry in retries if "OUT_OF_MEMORY" in retry["ErrorEquals"])
    assert (first["ErrorEquals"], first["MaxAttempts"]) == (["OUT_OF_MEMORY"], 1)


@pytest.mark.parametrize("name", TASKS)
def test_retries_are_spread_in_time(name: str) -> None:
    for retry in TASKS[name]["Retry"]:
        assert retry["JitterStrategy"] == "FULL"
        assert retry["BackoffRate"] > 1
        assert retry["IntervalSeconds"] < retry["MaxDelaySeconds"]


@pytest.mark.parametrize("name", TASKS)
def test_every_task_is_retried(name: str) -> None:
    assert TASKS[name]["Retry"]


@pytest.mark.parametrize("name", sorted(TASKS.keys() - ANNOUNCEMENTS.keys()))
def test_every_function_call_catches_all_errors_and_keeps_the_data(name: str) -> None:
    assert [caught["ErrorEquals"] for caught in TASKS[name]["Catch"]] == [["States.ALL"]]
    assert all(caught["ResultPath"].startswith("$.") for caught in TASKS[name]["Catch"])


@pytest.mark.parametrize("stage", Stage)
def test_a_failed_stage_is_settled_before_it_is_believed(stage: Stage) -> None:
    (caught,) = STATES[RUN_OF[stage]]["Catch"]
    settle = STATES[caught["Next"]]
    assert settle["Resource"] == "${SettleStageFunctionArn}"
    assert settle["Parameters"] == {"jobId.$": "$.jobId", "stage": stage.value, "failure.$": caught["ResultPath"]}


def test_every_next_state_exists() -> None:
    named = {target for state in STATES.values() for target in targets(state)} | {PIPELINE["StartAt"]}
    assert named <= STATES.keys()


def test_every_state_can_be_reached() -> None:
    assert reachable(PIPELINE, PIPELINE["StartAt"]) == STATES.keys()


def test_there_is_one_end_for_success_and_one_for_failure() -> None:
    ends = {name: state["Type"] for name, state in STATES.items() if not targets(state)}
    assert sorted(ends.values()) == ["Fail", "Succeed"]


def failed_branches() -> list[str]:
    """The branches in which a failure is certain: after a settled failure, and after a fault of our own."""
    settled = [state["Default"] for state in STATES.values() if state["Type"] == "Choice" and _asks_settlement(state)]
    return [*settled, "UnforeseenFailure", "JobFailed"]


def _asks_settlement(state: dict[str, Any]) -> bool:
    return any(choice.get("Variable") == "$.settlement.succeeded" for choice in state["Choices"])


@pytest.mark.parametrize("name", failed_branches())
def test_a_failed_branch_publishes_its_failure_and_ends_in_fail(name: str) -> None:
    after = reachable(PIPELINE, name)
    assert "JobFailed" in after
    assert [STATES[end]["Type"] for end in after if not targets(STATES[end])] == ["Fail"]


def test_the_fail_state_ends_the_execution_with_the_settled_code() -> None:
    (fail,) = [state for state in STATES.values() if state["Type"] == "Fail"]
    assert fail["ErrorPath"] == "$.settlement.error.code"
    assert fail["CausePath"] == "$.settlement.error.message"


def test_an_unforeseen_failure_says_what_the_catalogue_says() -> None:
    kind = FAILURES[ErrorCode.INTERNAL]
    assert STATES["UnforeseenFailure"]["Result"] == {
        "error": {"code": "INTERNAL", "message": kind.sentence, "hint": kind.hint}
    }


@pytest.mark.parametrize("stage", Stage)
def test_the_output_of_a_stage_stands_at_its_state_key(stage: Stage) -> None:
    at = f"$.stages.{stage.state_key}"
    writers = {name: state for name, state in STATES.items() if state.get("ResultPath") == at}
    adopt = next(state for name, state in writers.items() if name != RUN_OF[stage])
    assert STATES[RUN_OF[stage]]["ResultPath"] == at
    assert adopt["InputPath"] == "$.settlement.output"
    assert len(writers) == 2


@pytest.mark.parametrize("first", Stage)
def test_a_job_runs_its_stages_in_order_from_the_first(first: Stage) -> None:
    choice = STATES["FirstStage"]
    chosen = {rule["StringEquals"]: rule["Next"] for rule in choice["Choices"]}
    assert all(rule["Variable"] == "$.firstStage" for rule in choice["Choices"])
    state, order = chosen.get(first.value, choice["Default"]), []
    while state != "Done":
        if state in CALLBACKS:
            order.append(Stage(CALLBACKS[state]["Parameters"]["Payload"]["stage"]))
        state = STATES[state].get("Next") or STATES[state]["Default"]
    assert order == list(Stage)[list(Stage).index(first) :]


@pytest.mark.parametrize("step", PipelineStep)
def test_every_step_runs_to_the_last_stage(step: PipelineStep) -> None:
    """So the first stage is all that the state machine must know about a step."""
    assert step.stages == tuple(Stage)[-len(step.stages) :]


def test_the_choice_of_stages_names_only_stages_that_exist() -> None:
    assert {rule["StringEquals"] for rule in STATES["FirstStage"]["Choices"]} < {stage.value for stage in Stage}


def expected_sequence(entry: dict[str, Any]) -> int:
    """docs/contracts.md, "Status events"."""
    if entry["DetailType"] == StatusType.JOB_STARTED:
        return 0
    failed = entry["DetailType"] in (StatusType.JOB_FAILED, StatusType.STAGE_FAILED)
    last = LAST_SEQUENCE if entry["DetailType"].startswith("Job ") else 999_999
    ordinal = Stage(entry["Detail"]["stage"]).ordinal if "stage" in entry["Detail"] else 0
    return ordinal * 1_000_000 + last - failed


@pytest.mark.parametrize("name", ANNOUNCEMENTS)
def test_an_announcement_has_its_place_in_the_sequence(name: str) -> None:
    assert ANNOUNCEMENTS[name]["Detail"]["sequence"] == expected_sequence(ANNOUNCEMENTS[name])


@pytest.mark.parametrize("name", ANNOUNCEMENTS)
def test_an_announcement_leaves_the_data_as_it_is(name: str) -> None:
    assert STATES[name]["ResultPath"] is None


@pytest.mark.parametrize("stage", Stage)
def test_both_ends_of_a_stage_are_announced_once(stage: Stage) -> None:
    announced = [e["DetailType"] for e in ANNOUNCEMENTS.values() if e["Detail"].get("stage") == stage.value]
    assert sorted(announced) == [StatusType.STAGE_FAILED, StatusType.STAGE_SUCCEEDED]


def test_every_state_name_is_one_that_the_console_and_metrics_take() -> None:
    assert all(re.fullmatch(r"[A-Za-z][A-Za-z0-9]{0,79}", name) for name in STATES)


@pytest.mark.parametrize("name", ANNOUNCEMENTS)
def test_whatever_the_state_machine_publishes_belongs_to_the_jobs_trace(name: str) -> None:
    assert ANNOUNCEMENTS[name]["TraceHeader.$"] == "$.traceHeader"


# ── large flights ──


def test_a_flight_is_trained_in_blocks_only_where_structure_from_motion_counts_several() -> None:
    (rule,) = STATES["Large"]["Choices"]
    assert rule["And"] == [
        {"Variable": "$.stages.sfm.counts.blocks", "IsPresent": True},
        {"Variable": "$.stages.sfm.counts.blocks", "NumericGreaterThan": 1},
    ]
    assert (rule["Next"], STATES["Large"]["Default"]) == ("RunCoarse", "RunTraining")


def test_blocks_are_trained_side_by_side_in_this_execution() -> None:
    each = STATES["EachBlock"]
    assert each["ItemProcessor"]["ProcessorConfig"] == {"Mode": "INLINE"}
    assert each["MaxConcurrency"] == MAX_BLOCKS
    assert each["ItemSelector"] == {"block.$": "$$.Map.Item.Value", "jobId.$": "$.jobId", "job.$": "$"}


def test_no_block_can_fail_the_map() -> None:
    """AWS fails a Map at its first failed item: the other items' tokens expire while their machines keep running."""
    assert {state["Type"] for state in ITEM.values()} <= {"Task", "Choice", "Pass"}
    for state in ITEM.values():
        if state["Type"] == "Task":
            assert [caught["ErrorEquals"] for caught in state["Catch"]] == [["States.ALL"]]
    ends = {name for name, state in ITEM.items() if state.get("End")}
    assert ends == {"BlockKept", "BlockLost", "BlockUnsettled"}
    assert all("succeeded" in ITEM[name]["Parameters"] for name in ends)


def test_every_state_of_a_block_can_be_reached_and_leads_on() -> None:
    named = {target for state in ITEM.values() for target in targets(state)}
    assert named | {STATES["EachBlock"]["ItemProcessor"]["StartAt"]} == ITEM.keys()


@pytest.mark.parametrize("state", [*PARTS, ITEM["SettleBlock"]])
def test_retries_of_a_block_are_spread_in_time(state: dict[str, Any]) -> None:
    for retry in state["Retry"]:
        assert (retry["JitterStrategy"], retry["MaxDelaySeconds"]) == ("FULL", 900)


def test_a_block_is_tried_as_the_whole_and_once_more_for_a_reason_of_its_own() -> None:
    whole = STATES[RUN_OF[Stage.TRAINING]]["Retry"]
    added = [retry for retry in BLOCK["Retry"] if retry not in whole]
    assert [(retry["ErrorEquals"], retry["MaxAttempts"]) for retry in added] == [(["INTERNAL", "TRAINING_DIVERGED"], 1)]
    assert [retry for retry in BLOCK["Retry"] if retry in whole] == whole
    assert STATES["RunCoarse"]["Retry"] == BLOCK["Retry"]


def test_a_block_is_run_and_settled_as_the_block_that_it_is() -> None:
    payload = BLOCK["Parameters"]["Payload"]
    assert payload == {"taskToken.$": "$$.Task.Token", "stage": "3dgs", "block.$": "$.block", "job.$": "$.job"}
    assert ITEM["SettleBlock"]["Parameters"] == {
        "jobId.$": "$.jobId",
        "stage": "3dgs",
        "block.$": "$.block",
        "failure.$": "$.failure",
    }
    assert STATES["RunCoarse"]["Parameters"]["Payload"]["block"] == "coarse"
    assert STATES["SettleCoarse"]["Parameters"]["block"] == "coarse"


def test_blocks_are_weighed_before_the_stage_is_believed() -> None:
    assert STATES["EachBlock"]["Next"] == "WeighBlocks"
    assert STATES["WeighBlocks"]["ResultPath"] == "$.settlement"
    assert STATES["WeighBlocks"]["Next"] == "TrainingSettled"
