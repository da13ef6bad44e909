"""RedriveExecution with the real handlers and the real state machine (tests/campaign): interrupted work continues, and
no name of a SageMaker job is used twice."""

from __future__ import annotations

import pytest

from contract.stages import Stage
from domain.cancel import Canceller
from domain.stages import StageRun
from tests.campaign.history import Customers
from tests.campaign.pipeline import Pipeline, running_pipeline
from tests.campaign.world import Faults
from tests.support.fakes import RUNNING

DAY = 86_400.0
SEED = 2  # of a history in which the customer does not touch the upload
STATES = {"RunSfm": Stage.SFM, "RunTraining": Stage.TRAINING, "RunCompressor": Stage.COMPRESSOR}


def stopped_in(pipeline: Pipeline, state: str, after: float = 200) -> str:
    """A job whose execution was stopped while its SageMaker job of this state ran, and was then cleaned up. `after`:
    seconds from the state's start to the stop."""
    customers = Customers(pipeline)
    stop_at: dict[str, float] = {}

    def cancel() -> None:
        Canceller(customers.executions()).cancel(customers.job_ids[0])

    def stop(execution: object) -> None:
        name = pipeline.machine.executions[customers.job_ids[0]].state
        if name == state and state not in stop_at:
            stop_at[state] = pipeline.world.now
            pipeline.world.after(after, cancel)

    pipeline.machine.entered = stop
    customers.upload("meadow.zip")
    pipeline.world.run(2 * DAY)
    return customers.job_ids[0]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("redrives", [1, 3])
def test_a_stopped_execution_goes_on_with_the_next_attempt(state: str, redrives: int) -> None:
    with running_pipeline(SEED, Faults()) as pipeline:
        pipeline.world.large = 0.0
        job_id = stopped_in(pipeline, state)
        stage = STATES[state]
        assert pipeline.machine.executions[job_id].status == "ABORTED"
        for number in range(redrives):
            assert pipeline.machine.redrive(job_id)
            if number < redrives - 1:  # stopped again, except before the last
                pipeline.world.run(pipeline.world.now + 200)
                pipeline.machine.stop_execution(f"x:{job_id}", "STOPPED", "again")
            pipeline.world.run(pipeline.world.now + 2 * DAY)
        created = [name for name in pipeline.machines.created if f"-{stage}-" in name]
        assert pipeline.machine.executions[job_id].status == "SUCCEEDED"
        assert created == [f"{job_id}-{stage}-{attempt}" for attempt in range(1, redrives + 2)]
        assert len(set(pipeline.machines.created)) == len(pipeline.machines.created)
        assert [type_ for _, type_ in pipeline.mail.sent] == ["Job Stopped", "Job Succeeded"]


def test_an_execution_that_succeeded_is_not_redriven() -> None:
    with running_pipeline(SEED, Faults()) as pipeline:
        customers = Customers(pipeline)
        customers.upload("meadow.zip")
        pipeline.world.run(2 * DAY)
        assert not pipeline.machine.redrive(customers.job_ids[0])


@pytest.mark.parametrize("finished", [False, True])
def test_a_stopped_map_leaves_nothing_at_work_and_goes_on_where_its_items_were(finished: bool) -> None:
    with running_pipeline(SEED, Faults()) as pipeline:
        pipeline.world.large, pipeline.world.blocks = 1.0, (3, 3)
        if finished:  # the first block ends before the stop
            enter = pipeline.machines._begin

            def begin(run: StageRun) -> None:
                enter(run)
                if run.block == 1:
                    pipeline.machines._finish(run, "completes")

            pipeline.machines._begin = begin  # type: ignore[method-assign]
        job_id = stopped_in(pipeline, "EachBlock", after=700)
        execution = pipeline.machine.executions[job_id]
        assert execution.status == "ABORTED"
        assert [item for item in execution.items if item.token or item.status in ("RUNNING", "PENDING")] == []
        assert [job.name for job in pipeline.machines.jobs.values() if job.status in RUNNING] == []
        assert pipeline.machine.redrive(job_id)
        pipeline.world.run(pipeline.world.now + 2 * DAY)
        blocks = [name for name in pipeline.machines.created if "-3dgs-b" in name]
        again = [f"{job_id}-3dgs-b{block:02d}-2" for block in ((2, 3) if finished else (1, 2, 3))]
        assert pipeline.machine.executions[job_id].status == "SUCCEEDED"
        assert sorted(blocks) == sorted([f"{job_id}-3dgs-b{block:02d}-1" for block in (1, 2, 3)] + again)
