"""RedriveExecution on the real handlers and the real state machine (tests/campaign): what was cut off goes on, and no
name of a SageMaker job is met twice."""

from __future__ import annotations

import pytest

from contract.stages import Stage
from domain.cancel import Canceller
from tests.campaign.history import Customers
from tests.campaign.pipeline import Pipeline, running_pipeline
from tests.campaign.world import Faults

DAY = 86_400.0
SEED = 2  # of a history whose customer leaves the upload alone
STATES = {"RunSfm": Stage.SFM, "RunTraining": Stage.TRAINING, "RunCompressor": Stage.COMPRESSOR}


def stopped_in(pipeline: Pipeline, state: str) -> str:
    """A job whose execution was stopped while its SageMaker job of this state ran, and was cleaned up after."""
    customers = Customers(pipeline)
    stop_at: dict[str, float] = {}

    def cancel() -> None:
        Canceller(customers.executions()).cancel(customers.job_ids[0])

    def stop(execution: object) -> None:
        name = pipeline.machine.executions[customers.job_ids[0]].state
        if name == state and state not in stop_at:
            stop_at[state] = pipeline.world.now
            pipeline.world.after(200, cancel)

    pipeline.machine.entered = stop
    customers.upload("meadow.zip")
    pipeline.world.run(2 * DAY)
    return customers.job_ids[0]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("redrives", [1, 3])
def test_a_stopped_execution_goes_on_with_the_next_attempt(state: str, redrives: int) -> None:
    with running_pipeline(SEED, Faults()) as pipeline:
        job_id = stopped_in(pipeline, state)
        stage = STATES[state]
        assert pipeline.machine.executions[job_id].status == "ABORTED"
        for number in range(redrives):
            assert pipeline.machine.redrive(job_id)
            if number < redrives - 1:  # stopped again before the last
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
