"""A large flight's blocks through the handlers: what each may cost, what is stopped, what a rerun keeps."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.blocks import COARSE, MAX_BLOCKS, BlockName
from domain.blocks import allowance_of, money_share, work_share
from domain.cost import Prices
from tests.support.blocks import strip_of
from tests.support.cloud import ENVIRONMENT, RESULTS, Cloud, invoke
from tests.support.events import sample_event
from tests.support.fakes import FakeExecution
from tests.support.large_flights import SCENE, ask_for_block, has_plan, leave_model, model_of, run_block, training_of
from tests.support.runs import JOB_ID

BUDGET = float(ENVIRONMENT["JOB_BUDGET_DOLLARS"])
RERUN = f"{JOB_ID}-r2"


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
    assert seconds_of(cloud, names[0]) == pytest.approx(2 * seconds_of(cloud, names[1]), abs=2)  # twice the weight


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
        cloud.put(f"{other}/blocks.json", cloud.get(SCENE + "/blocks.json"))
        cloud.put(f"{other}/result.json", cloud.get(SCENE + "/result.json"))
    elif spoilt == "no result":
        cloud.delete(f"{model_of(training_of(2))}/result.json")
    created = len(cloud.sagemaker.created)
    invoke("run_stage", event)
    new = 0 if spoilt == "first run" else 1  # a repeated task of the first run simply gets the outcome
    assert len(cloud.sagemaker.created) == created + new
