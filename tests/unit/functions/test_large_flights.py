"""A large flight's blocks through the handlers: what each may cost, what a rerun keeps, what becomes of all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.blocks import COARSE, MAX_BLOCKS, BlockName
from contract.codes import ErrorCode
from contract.stages import Stage
from domain.blocks import allowance_of, money_share, work_share
from domain.cost import Prices
from domain.errors import JobError
from settle_stage.settle import Settlement
from settle_stage.weigh import ENOUGH, WeighRequest, cost_of_all, failure_of
from tests.support.blocks import strip_of
from tests.support.cloud import ENVIRONMENT, RESULTS, Cloud, invoke
from tests.support.events import sample_event
from tests.support.fakes import FakeExecution
from tests.support.large_flights import (
    SCENE,
    ask_for_block,
    has_plan,
    leave_model,
    model_of,
    output_of,
    photo_of,
    run_block,
    training_of,
)
from tests.support.runs import JOB_ID, ask_for

BUDGET = float(ENVIRONMENT["JOB_BUDGET_DOLLARS"])
RERUN = f"{JOB_ID}-r2"
JOINED = f"intermediates/{JOB_ID}/3dgs/joined/"


# ── money ──


@given(st.integers(2, MAX_BLOCKS), st.floats(1, 500), st.floats(0, 400), st.floats(0, 50), st.lists(st.floats(0, 1)))
def test_blocks_that_spend_all_they_may_stay_within_the_budget(
    blocks: int, budget: float, before: float, reserved: float, attempts: list[float]
) -> None:
    plan = strip_of(blocks)
    coarse = allowance_of(budget, before, reserved, money_share(COARSE, plan), 0.0)
    after = before + max(0.0, coarse.left)
    limits = [allowance_of(budget, after, reserved, money_share(block.id, plan), 0.0).limit for block in plan.blocks]
    kept = min(reserved, 0.1 * budget)
    assert after + sum(limits) <= max(before, budget - kept) + 1e-6
    own = sum(attempts)
    assert allowance_of(budget, after, reserved, 0.5, own).left == pytest.approx(
        allowance_of(budget, after, reserved, 0.5, 0.0).left - own
    )


@given(st.integers(2, MAX_BLOCKS))
def test_the_shares_of_the_work_add_up_to_the_stage(blocks: int) -> None:
    plan = strip_of(blocks)
    names: list[BlockName] = [COARSE, *(block.id for block in plan.blocks)]
    assert sum(work_share(name, plan) for name in names) == pytest.approx(1)


def seconds_of(cloud: Cloud, name: str) -> int:
    seconds: int = cloud.sagemaker.jobs[name].request["StoppingCondition"]["MaxRuntimeInSeconds"]
    return seconds


def test_a_block_gets_time_for_its_share_of_what_is_left_however_many_run_beside_it(cloud: Cloud) -> None:
    has_plan(cloud, 40)
    names = [run_block(cloud, block, token=f"token-{block}") for block in range(1, 41)]
    spent = [Prices().dollars("ml.g4dn.xlarge", seconds_of(cloud, name)) or 0.0 for name in names]
    reserve = Prices().dollars("ml.c6i.4xlarge", 1) or 0.0
    assert 0.85 * BUDGET < sum(spent) <= BUDGET - reserve
    assert seconds_of(cloud, names[0]) == pytest.approx(2 * seconds_of(cloud, names[1]), abs=2)  # of twice the weight


def test_the_next_attempt_at_a_block_gets_what_its_own_left(cloud: Cloud) -> None:
    has_plan(cloud, 40)
    name = run_block(cloud, 3)
    cloud.sagemaker.start(name)
    cloud.sagemaker.fail(name, 600, FailureReason="InternalServerError: Spot instance was taken")
    again = run_block(cloud, 3, token="token-2")
    assert again == f"{JOB_ID}-3dgs-b03-2"
    assert seconds_of(cloud, again) == pytest.approx(seconds_of(cloud, name) - 600, abs=2)


def test_a_block_whose_share_is_spent_ends_so_and_the_others_go_on(cloud: Cloud) -> None:
    has_plan(cloud, 40)
    name = run_block(cloud, 3)
    cloud.sagemaker.start(name)
    cloud.sagemaker.fail(name, seconds_of(cloud, name), FailureReason="InternalServerError: Spot instance was taken")
    run_block(cloud, 3, token="token-2")
    run_block(cloud, 4, token="token-3")
    assert cloud.stepfunctions.failures("token-2") == ["BUDGET_SPENT"]
    assert cloud.sagemaker.created == [name, f"{JOB_ID}-3dgs-b04-1"]


def test_a_block_without_a_plan_is_refused(cloud: Cloud) -> None:
    run_block(cloud, 1)
    assert cloud.stepfunctions.failures("token-1") == ["RESULT_DAMAGED"]
    assert cloud.sagemaker.created == []


# ── what is read ──

LEFT = (
    *(f"images/{photo_of(number)}" for number in range(1, 5)),
    *(f"masks/{photo_of(number)}.png" for number in range(1, 5)),
    *("blocks.json", "photos.json", "georeference.json", "survey.json", "overlap.png", "coarse/photos.json"),
    *(f"{folder}sparse/0/{name}.bin" for folder in ("", "blocks/01/", "blocks/02/") for name in ("images", "points3D")),
    *("blocks/01/photos.json", "blocks/02/photos.json"),
)


def sources(cloud: Cloud, name: str) -> dict[str, dict[str, str]]:
    channels = cloud.sagemaker.jobs[name].request["InputDataConfig"]
    return {each["ChannelName"]: each["DataSource"]["S3DataSource"] for each in channels}


def listed(cloud: Cloud, source: dict[str, str]) -> tuple[str, set[str]]:
    """The common prefix of what a channel is filled with, and the rest of the names."""
    assert source["S3DataType"] == "ManifestFile"
    common, *names = json.loads(read(cloud, source["S3Uri"]))
    assert len(set(names)) == len(names)
    return common["prefix"], set(names)


def test_a_block_reads_its_own_photos_points_and_plan_and_of_the_coarse_model_what_it_draws(cloud: Cloud) -> None:
    has_plan(cloud, 3, LEFT)
    channels = sources(cloud, run_block(cloud, 2))
    prefix, names = listed(cloud, channels["scene"])
    assert prefix == f"{SCENE}/"
    photos = ("000002.jpg", "000003.jpg")
    assert names == {
        *(f"images/{name}" for name in photos),
        *(f"masks/{name}.png" for name in photos),
        *("blocks.json", "photos.json", "georeference.json", "blocks/02/photos.json"),
        *("blocks/02/sparse/0/images.bin", "blocks/02/sparse/0/points3D.bin"),
    }
    prefix, names = listed(cloud, channels["coarse"])
    assert prefix == f"{model_of(training_of(COARSE))}/"
    assert names == {"scene.ply", "surroundings.json", "result.json"}


def test_the_coarse_model_reads_all_photos_and_the_flights_own_model(cloud: Cloud) -> None:
    has_plan(cloud, 3, LEFT)
    (source,) = sources(cloud, run_block(cloud, COARSE)).values()
    _, names = listed(cloud, source)
    assert {name for name in names if name.startswith("images/")} == {
        name for name in LEFT if name.startswith("images")
    }
    assert {name for name in names if "sparse" in name} == {"sparse/0/images.bin", "sparse/0/points3D.bin"}
    assert not any(name.startswith("blocks/") for name in names)


def test_the_join_reads_the_photos_and_what_page_and_products_are_made_from(cloud: Cloud) -> None:
    has_plan(cloud, 3, LEFT)
    event = ask_for(Stage.COMPRESSOR, "token-1")
    event["job"]["stages"]["sfm"] |= {"outputUri": SCENE, "counts": {"blocks": 3}}
    name = invoke("run_stage", event)["jobName"]
    _, cameras = cloud.sagemaker.jobs[name].request["ProcessingInputs"]
    _, names = listed(cloud, {**cameras["S3Input"]})
    top = {"result.json", "blocks.json", "photos.json", "georeference.json", "survey.json", "overlap.png"}
    assert names == top | {name for name in LEFT if name.startswith("images/")}


def test_a_scene_that_does_not_say_what_it_holds_is_damaged(cloud: Cloud) -> None:
    has_plan(cloud, 3)
    bucket, key = SCENE.removeprefix("s3://").split("/", 1)
    cloud.s3.delete_object(Bucket=bucket, Key=f"{key}/result.json")
    run_block(cloud, 1)
    assert cloud.stepfunctions.failures("token-1") == ["RESULT_DAMAGED"]
    assert cloud.sagemaker.created == []


# ── what is stopped ──


def test_a_stopped_job_stops_every_block_that_runs_and_empties_the_queue(cloud: Cloud) -> None:
    has_plan(cloud, 5)
    cloud.sagemaker.quota = 3
    running = [run_block(cloud, block, token=f"token-{block}") for block in range(1, 6)][:3]
    cloud.stepfunctions.executions[JOB_ID] = FakeExecution({}, "ABORTED", states=["EachBlock", "RunBlock"])
    assert sorted(invoke("stop_job", sample_event("stop_job/execution-aborted"))["stopped"]) == running
    assert sorted(cloud.sagemaker.stopped) == running
    assert all("queuedFor" not in item for item in cloud.table("stage-runs").scan()["Items"])


# ── what a rerun keeps ──


def finish(cloud: Cloud, block: BlockName, **asked: Any) -> None:
    name = run_block(cloud, block, token=f"token-{block}", **asked)
    leave_model(cloud, training_of(block))
    cloud.sagemaker.complete(name, 60)


@pytest.mark.parametrize("block", [COARSE, 2])
def test_a_rerun_takes_a_finished_block_as_it_is(cloud: Cloud, block: BlockName) -> None:
    has_plan(cloud, 3)
    finish(cloud, block)
    run_block(cloud, block, token="again", job_id=RERUN)
    (output,) = cloud.stepfunctions.successes("again")
    assert output["outputUri"] == model_of(training_of(block))
    assert (output["seconds"], output["cost"]) == (0.0, {"seconds": 0.0, "dollars": 0.0})
    assert len(cloud.sagemaker.created) == 1
    last = cloud.heard()[-1]["detail"]
    assert (last["jobId"], last["block"], last["progress"]) == (RERUN, block, 1)


def test_a_rerun_of_a_rerun_finds_what_the_first_run_has_finished(cloud: Cloud) -> None:
    has_plan(cloud, 3)
    finish(cloud, 2)
    run_block(cloud, 2, token="again", job_id=RERUN)
    run_block(cloud, 2, token="once more", job_id=f"{JOB_ID}-r3")
    assert cloud.stepfunctions.successes("once more")[0]["outputUri"] == model_of(training_of(2))


def test_a_taken_over_block_is_looked_at_no_more(cloud: Cloud) -> None:
    has_plan(cloud, 3)
    finish(cloud, 2)
    run_block(cloud, 2, token="again", job_id=RERUN)
    (item,) = [item for item in cloud.table("stage-runs").scan()["Items"] if item["jobId"] == RERUN]
    assert "watchedFor" not in item


@pytest.mark.parametrize(
    "spoilt", ["failed", "another quality", "another scene", "no result", "damaged", "another block", "first run"]
)
def test_what_is_not_the_same_finished_work_is_trained_again(cloud: Cloud, spoilt: str) -> None:
    has_plan(cloud, 3)
    name = run_block(cloud, 1 if spoilt == "another block" else 2, token="first")
    leave_model(cloud, training_of(2), **({"jobId": "somebody-elses-job"} if spoilt == "damaged" else {}))
    cloud.sagemaker.complete(name, 60)
    event = ask_for_block(2, "again", JOB_ID if spoilt == "first run" else RERUN)
    if spoilt == "failed":
        cloud.sagemaker.jobs[name].status = "Failed"
    elif spoilt == "another quality":
        event["job"]["options"]["quality"] = "high"
    elif spoilt == "another scene":
        event["job"]["stages"]["sfm"]["outputUri"] = f"s3://{RESULTS}/intermediates/{JOB_ID}/sfm/2"
        other = f"s3://{RESULTS}/intermediates/{JOB_ID}/sfm/2"
        cloud.put(f"{other}/blocks.json", read(cloud, SCENE + "/blocks.json"))
        cloud.put(f"{other}/result.json", read(cloud, SCENE + "/result.json"))
    elif spoilt == "no result":
        bucket, key = model_of(training_of(2)).removeprefix("s3://").split("/", 1)
        cloud.s3.delete_object(Bucket=bucket, Key=f"{key}/result.json")
    created = len(cloud.sagemaker.created)
    invoke("run_stage", event)
    new = 0 if spoilt == "first run" else 1  # of the first run itself the task simply gets the outcome
    assert len(cloud.sagemaker.created) == created + new


def read(cloud: Cloud, uri: str) -> bytes:
    bucket, key = uri.removeprefix("s3://").split("/", 1)
    body: bytes = cloud.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    return body


# ── what becomes of all ──


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
    assert read(cloud, f"s3://{RESULTS}/{JOINED}blocks/07/scene.ply") == b"splat of 7"
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
    own = {f"blocks/01/{name}" for name in ("scene.ply", "dense.ply", "result.json")}
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
    bucket, key = model_of(training_of(2)).removeprefix("s3://").split("/", 1)
    cloud.s3.delete_object(Bucket=bucket, Key=f"{key}/{gone}")
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
