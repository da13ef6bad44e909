"""What follows once all blocks of a large flight have ended: enough of them are gathered for the join, or the flight
fails."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.blocks import COARSE, MAX_BLOCKS, BlockName
from contract.codes import ErrorCode
from domain.errors import JobError
from settle_stage.settle import Settlement
from settle_stage.weigh import ENOUGH, WeighRequest, cost_of_all, failure_of
from tests.support.blocks import strip_of
from tests.support.cloud import RESULTS, Cloud, invoke
from tests.support.large_flights import SCENE, has_plan, leave_model, model_of, output_of, run_block, training_of
from tests.support.runs import JOB_ID

JOINED = f"intermediates/{JOB_ID}/3dgs/joined/"


def weighed(kept: list[int], lost: list[int], code: ErrorCode = ErrorCode.DISK_FULL) -> dict[str, Any]:
    """The payload of WeighBlocks."""
    ends: list[dict[str, Any]] = [
        {"block": block, "succeeded": True, "output": output_of(training_of(block))} for block in kept
    ]
    error = JobError.of(code).model_dump(mode="json")
    ends += [
        {"block": block, "succeeded": False, "error": error, "cost": {"seconds": 30.0, "dollars": 0.5}}
        for block in lost
    ]
    coarse = output_of(training_of(COARSE), 0.25)
    return {"jobId": JOB_ID, "scene": SCENE, "coarse": coarse, "blocks": ends}


@given(st.lists(st.sampled_from([True, True, True, False]), min_size=2, max_size=MAX_BLOCKS))
def test_nine_tenths_of_the_work_are_enough(trained: list[bool]) -> None:
    plan = strip_of(len(trained))
    kept = [block for block, done in enumerate(trained, start=1) if done]
    lost = [block for block, done in enumerate(trained, start=1) if not done]
    failure = failure_of(WeighRequest.model_validate(weighed(kept, lost)), plan)
    share = sum(plan.block(block).weight for block in kept)
    assert (failure is None) == (share >= ENOUGH)


def test_a_failure_names_what_most_blocks_were_lost_to() -> None:
    event = weighed([1], [2, 3, 4])
    event["blocks"][1]["error"] = JobError.of(ErrorCode.STALLED).model_dump(mode="json")
    failure = failure_of(WeighRequest.model_validate(event), strip_of(4))
    assert failure is not None
    assert failure.code is ErrorCode.DISK_FULL
    assert "3 of 4 blocks: 2, 3, 4" in failure.message


def test_a_block_that_left_no_output_is_lost_whatever_else_it_says() -> None:
    event = weighed([1, 2], [])
    del event["blocks"][1]["output"]
    request = WeighRequest.model_validate(event)
    failure = failure_of(request, strip_of(2))
    assert (request.lost, failure and failure.code) == ([2], ErrorCode.INTERNAL)


def test_lost_blocks_are_paid_for_too() -> None:
    request = WeighRequest.model_validate(weighed([*range(1, 10)], [10]))
    assert cost_of_all(request) == {"seconds": 630.0, "dollars": 9.75}


def test_a_cost_without_a_price_names_no_dollars() -> None:
    event = weighed([1, 2], [])
    del event["blocks"][0]["output"]["cost"]["dollars"]
    assert cost_of_all(WeighRequest.model_validate(event)) == {"seconds": 180.0}


def settle(event: dict[str, Any]) -> Settlement:
    return Settlement.model_validate(invoke("settle_stage", event))


def gathered(cloud: Cloud) -> set[str]:
    found = cloud.s3.list_objects_v2(Bucket=RESULTS, Prefix=JOINED).get("Contents", [])
    return {each["Key"].removeprefix(JOINED) for each in found}


def leave_all(cloud: Cloud, blocks: int, **result: Any) -> None:
    has_plan(cloud, blocks)
    names: list[BlockName] = [COARSE, *range(1, blocks + 1)]
    for block in names:
        leave_model(cloud, training_of(block), **result)


def test_the_join_finds_each_kept_block_and_the_coarse_model_where_it_looks(cloud: Cloud) -> None:
    leave_all(cloud, 20, counts={"gaussians": 100}, timings={"train": 2.0})
    settlement = settle(weighed([*range(1, 20)], [20]))
    assert settlement.succeeded
    assert settlement.output is not None
    assert settlement.output.output_uri == f"s3://{RESULTS}/{JOINED}".rstrip("/")
    folders = ["coarse", *(f"blocks/{block:02d}" for block in range(1, 20))]
    assert gathered(cloud) == {f"{folder}/{name}" for folder in folders for name in ("scene.ply", "result.json")} | {
        "result.json"
    }
    assert cloud.get(f"s3://{RESULTS}/{JOINED}blocks/07/scene.ply") == b"splat of 7"
    assert settlement.output.counts["gaussians"] == 1900
    assert settlement.output.cost == {"seconds": 1230.0, "dollars": 19.75}


def test_what_is_gathered_is_the_result_of_one_training(cloud: Cloud) -> None:
    leave_all(cloud, 2)
    settle(weighed([1, 2], []))
    document = cloud.get_json(f"s3://{RESULTS}/{JOINED}result.json")
    assert (document["stage"], document["jobId"], document["attempt"]) == ("3dgs", JOB_ID, 1)
    listed = {file["path"] for file in document["files"]}
    assert listed == {f"{folder}/scene.ply" for folder in ("coarse", "blocks/01", "blocks/02")}


def test_of_what_trainings_leave_the_join_is_given_what_it_reads(cloud: Cloud) -> None:
    names = ("scene.ply", "dense.ply", "views.json", "views/000001.png", "held_out.png", "blocks.json")
    has_plan(cloud, 1)
    for block in (COARSE, 1):
        leave_model(cloud, training_of(block), files=[{"path": name, "bytes": 1} for name in names])
        for name in names:
            cloud.put(f"{model_of(training_of(block))}/{name}", b"1")
    settlement = settle(weighed([1], []))
    own = {f"blocks/01/{name}" for name in ("scene.ply", "dense.ply", "views.json", "result.json")}
    coarse = {f"coarse/{name}" for name in (*names, "result.json") if name != "dense.ply"}
    assert gathered(cloud) == {*own, *coarse, "result.json"}
    assert settlement.succeeded
    document = cloud.get_json(f"s3://{RESULTS}/{JOINED}result.json")
    assert {file["path"] for file in document["files"]} == {*own, *coarse} - {
        f"{folder}/result.json" for folder in ("coarse", "blocks/01")
    }


def test_gathering_again_changes_nothing(cloud: Cloud) -> None:
    leave_all(cloud, 2)
    assert settle(weighed([1, 2], [])) == settle(weighed([1, 2], []))


def test_too_few_blocks_are_a_failure_and_nothing_is_gathered(cloud: Cloud) -> None:
    leave_all(cloud, 3)
    settlement = settle(weighed([1, 2], [3]))
    assert (settlement.succeeded, settlement.error and settlement.error.code) == (False, ErrorCode.DISK_FULL)
    assert gathered(cloud) == set()


@pytest.mark.parametrize("gone", ["result.json", "scene.ply"])
def test_a_model_that_is_gone_is_a_failure(cloud: Cloud, gone: str) -> None:
    leave_all(cloud, 2)
    cloud.delete(f"{model_of(training_of(2))}/{gone}")
    settlement = settle(weighed([1, 2], []))
    assert (settlement.succeeded, settlement.error and settlement.error.code) == (False, ErrorCode.RESULT_DAMAGED)


@pytest.mark.parametrize("name", ["blocks.json", "blocks/02/photos.json"])
def test_a_plan_that_is_none_is_a_failure(cloud: Cloud, name: str) -> None:
    leave_all(cloud, 2)
    cloud.put(f"{SCENE}/{name}", b'[{"no": "photo"}]')
    settlement = settle(weighed([1, 2], []))
    assert settlement.error is not None
    assert settlement.error.code is ErrorCode.RESULT_DAMAGED


def test_a_block_that_failed_is_settled_with_what_its_attempts_cost(cloud: Cloud) -> None:
    has_plan(cloud, 3)
    for attempt, token in enumerate(("token-1", "token-2"), start=1):
        name = run_block(cloud, 2, token=token)
        assert name == f"{JOB_ID}-3dgs-b02-{attempt}"
        cloud.sagemaker.fail(name, 60, FailureReason="AlgorithmError: DISK_FULL: 100 GiB were not enough")
    failure = {"Error": "DISK_FULL", "Cause": ""}
    answer = invoke("settle_stage", {"jobId": JOB_ID, "stage": "3dgs", "block": 2, "failure": failure})
    assert (answer["succeeded"], answer["error"]["code"]) == (False, "DISK_FULL")
    assert answer["cost"]["seconds"] == 120.0


def test_settling_one_block_leaves_the_others_alone(cloud: Cloud) -> None:
    has_plan(cloud, 3)
    names = [run_block(cloud, block, token=f"token-{block}") for block in (1, 2)]
    for name in names:
        cloud.sagemaker.start(name)
    failure = {"Error": "States.HeartbeatTimeout", "Cause": ""}
    answer = invoke("settle_stage", {"jobId": JOB_ID, "stage": "3dgs", "block": 2, "failure": failure})
    assert answer["error"]["code"] == "STALLED"
    assert cloud.sagemaker.stopped == [names[1]]
