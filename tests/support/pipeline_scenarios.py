"""Scenarios of what may happen to a job: one job each, on its way to one outcome."""

from __future__ import annotations

import time
from collections.abc import Callable

from contract.blocks import COARSE, BlockName
from contract.stages import PipelineStep, Stage
from domain.stages import StageRun
from tests.support.events import sample_event
from tests.support.moto_states import LambdaFault
from tests.support.pipeline_cloud import Ended, PipelineCloud, failing_with

NAMES = {stage: stage.state_key.capitalize() for stage in Stage}
# the step that begins with a stage, so that a scenario about that stage runs no other stage before it
STEP_OF = {stage: PipelineStep.for_stage(stage) for stage in Stage}
REASONS = {
    Stage.SFM: ("NO_OVERLAP", "12 of 12 photos match no other photo"),
    Stage.TRAINING: ("TRAINING_DIVERGED", "the loss is not a number after step 120"),
    Stage.COMPRESSOR: ("INVALID_SPLAT", "the header ends nowhere"),
}

Scenario = Callable[[PipelineCloud], Ended]


def succeeding(step: PipelineStep, name: str) -> Scenario:
    def play(cloud: PipelineCloud) -> Ended:
        job_id = cloud.upload(name, step)
        complete_rest(cloud, job_id, step.stages)
        return cloud.end(job_id)

    return play


def failing(stage: Stage) -> Scenario:
    """The stage reports what is wrong with the customer's photos."""

    def play(cloud: PipelineCloud) -> Ended:
        job_id = cloud.upload(f"failing-{stage}", STEP_OF[stage])
        code, facts = REASONS[stage]
        cloud.fail(first_run(job_id, stage), f"{code}: {facts}")
        return cloud.end(job_id)

    return play


def stalling(stage: Stage) -> Scenario:
    """The job runs, but sends no more progress events."""

    def play(cloud: PipelineCloud) -> Ended:
        job_id = cloud.upload(f"stalling-{stage}", STEP_OF[stage], hurry(stage))
        run = first_run(job_id, stage)
        cloud.await_job(run)
        cloud.sagemaker.start(run.job_name)
        ended = cloud.end(job_id)
        cloud.sagemaker.end_stopped(run.job_name)
        cloud.tell_of_change(run)
        return ended

    return play


def unheard(stage: Stage) -> Scenario:
    """The job completes, but its event is lost."""

    def play(cloud: PipelineCloud) -> Ended:
        cloud.after["run_stage"] = [cloud.complete_newest_in_silence]
        job_id = cloud.upload(f"unheard-{stage}", STEP_OF[stage], hurry(stage))
        complete_rest(cloud, job_id, STEP_OF[stage].stages[1:])
        return cloud.end(job_id)

    return play


def unsettled(stage: Stage) -> Scenario:
    """The stage fails, and settle_stage fails, too, at every attempt."""

    def play(cloud: PipelineCloud) -> Ended:
        cloud.before["settle_stage"] = [failing_with(RuntimeError("no table"))] * 6
        job_id = cloud.upload(f"unsettled-{stage}", STEP_OF[stage])
        cloud.fail(first_run(job_id, stage), "DISK_FULL: 100 GiB were not enough")
        ended = cloud.end(job_id)
        assert cloud.before["settle_stage"] == []
        return ended

    return play


def undelivered(cloud: PipelineCloud) -> Ended:
    """A result is missing when it is to be delivered."""
    job_id = cloud.upload("undelivered", PipelineStep.TRAINING)
    training, compressor = (first_run(job_id, stage) for stage in (Stage.TRAINING, Stage.COMPRESSOR))
    cloud.complete(training)
    cloud.lose_result(training)
    cloud.complete(compressor)
    return cloud.end(job_id)


def queueing(cloud: PipelineCloud) -> Ended:
    """At first, the quota has no room for another machine."""
    cloud.sagemaker.refuse_next("ResourceLimitExceeded")
    job_id = cloud.upload("queueing", PipelineStep.COMPRESSION)
    cloud.await_queue(Stage.COMPRESSOR)
    cloud.call("dispatch", sample_event("dispatch/scheduled"))
    cloud.complete(first_run(job_id, Stage.COMPRESSOR))
    return cloud.end(job_id)


def throttled(cloud: PipelineCloud) -> Ended:
    """Too many jobs were started at once."""
    cloud.sagemaker.refuse_next("ThrottlingException")
    job_id = cloud.upload("throttled", PipelineStep.COMPRESSION)
    cloud.complete(first_run(job_id, Stage.COMPRESSOR))
    return cloud.end(job_id)


def out_of_memory(times: int) -> Scenario:
    """The GPU's memory is too small."""

    def play(cloud: PipelineCloud) -> Ended:
        job_id = cloud.upload(f"out-of-memory-{times}", PipelineStep.TRAINING)
        for attempt in range(1, times + 1):
            cloud.fail(StageRun(job_id=job_id, stage=Stage.TRAINING, attempt=attempt), "OUT_OF_MEMORY: 16 GiB")
        if times == 1:
            cloud.complete(StageRun(job_id=job_id, stage=Stage.TRAINING, attempt=2))
            cloud.complete(first_run(job_id, Stage.COMPRESSOR))
        return cloud.end(job_id)

    return play


def interrupted(cloud: PipelineCloud) -> Ended:
    """Spot capacity is taken away twice; later events of the ended jobs are ignored."""
    job_id = cloud.upload("interrupted", PipelineStep.TRAINING)
    runs = [StageRun(job_id=job_id, stage=Stage.TRAINING, attempt=attempt) for attempt in (1, 2, 3)]
    cloud.interrupt(runs[0])
    cloud.interrupt(runs[1])
    cloud.await_job(runs[2])
    cloud.tell_of_change(runs[0])
    cloud.complete(runs[2])
    cloud.complete(first_run(job_id, Stage.COMPRESSOR))
    return cloud.end(job_id)


def interrupted_to_the_end(cloud: PipelineCloud) -> Ended:
    job_id = cloud.upload("interrupted-to-the-end", PipelineStep.TRAINING)
    for attempt in (1, 2, 3, 4):
        cloud.interrupt(StageRun(job_id=job_id, stage=Stage.TRAINING, attempt=attempt))
    return cloud.end(job_id)


def invoked_twice(cloud: PipelineCloud) -> Ended:
    """Lambda fails after the function has created the job: the retry waits for that job."""
    cloud.after["run_stage"] = [failing_with(LambdaFault("ServiceException"))]
    job_id = cloud.upload("invoked-twice", PipelineStep.COMPRESSION)
    cloud.await_calls("run_stage", 2)
    cloud.complete(first_run(job_id, Stage.COMPRESSOR))
    return cloud.end(job_id)


def invoked_too_late(cloud: PipelineCloud) -> Ended:
    """As above, but the job ends before the retry: no further event arrives."""

    def complete_and_fail() -> None:
        cloud.complete_newest_in_silence()
        raise LambdaFault("ServiceException")

    cloud.after["run_stage"] = [complete_and_fail]
    return cloud.end(cloud.upload("invoked-too-late", PipelineStep.COMPRESSION))


def invoked_in_vain(cloud: PipelineCloud) -> Ended:
    """Lambda fails before the function has run."""
    faults = [LambdaFault("TooManyRequestsException"), LambdaFault("ServiceException")]
    cloud.before["run_stage"] = [failing_with(fault) for fault in faults]
    return succeeding(PipelineStep.COMPRESSION, "invoked-in-vain")(cloud)


def broken(cloud: PipelineCloud) -> Ended:
    """A bug of our own in the function that starts the stage."""
    cloud.before["run_stage"] = [failing_with(KeyError("results_bucket"))] * 7
    return cloud.end(cloud.upload("broken", PipelineStep.COMPRESSION))


def progressing(cloud: PipelineCloud) -> Ended:
    """Progress keeps the task alive for longer than its heartbeat."""
    job_id = cloud.upload("progressing", PipelineStep.COMPRESSION, {"RunCompressor": 2})
    run = first_run(job_id, Stage.COMPRESSOR)
    cloud.await_job(run)
    until = time.monotonic() + 3
    while time.monotonic() < until:
        cloud.tell_of_progress(run)
        time.sleep(0.2)
    cloud.complete(run)
    return cloud.end(job_id)


def repeated(cloud: PipelineCloud) -> Ended:
    """EventBridge delivers each end twice, and once more long after the execution has ended."""
    job_id = cloud.upload("repeated", PipelineStep.TRAINING)
    runs = [first_run(job_id, stage) for stage in PipelineStep.TRAINING.stages]
    for run in runs:
        cloud.complete(run)
        cloud.tell_of_change(run)
    ended = cloud.end(job_id)
    for run in runs:
        cloud.tell_of_change(run)
        cloud.tell_of_progress(run)
    return ended


def training_of(job_id: str, block: BlockName, attempt: int = 1) -> StageRun:
    return StageRun(job_id=job_id, stage=Stage.TRAINING, attempt=attempt, block=block)


def large(name: str, blocks: int, train: Callable[[PipelineCloud, str], bool], coarse: bool = True) -> Scenario:
    """A large flight up to its coarse model (`coarse`: which is trained, too); `train` continues from there and
    returns whether compression follows."""

    def play(cloud: PipelineCloud) -> Ended:
        cloud.blocks = blocks
        try:
            job_id = cloud.upload(name, PipelineStep.FULL, {"RunCoarse": 1} if "coarse-unheard" in name else None)
            cloud.complete(first_run(job_id, Stage.SFM))
            if coarse:
                cloud.complete(training_of(job_id, COARSE))
            if train(cloud, job_id):
                cloud.complete(first_run(job_id, Stage.COMPRESSOR))
            return cloud.end(job_id)
        finally:
            cloud.blocks = 1

    return play


def all_blocks(cloud: PipelineCloud, job_id: str) -> bool:
    """All blocks succeed; one is interrupted first and retried."""
    cloud.interrupt(training_of(job_id, 2))
    for run in (training_of(job_id, 1), training_of(job_id, 3), training_of(job_id, 2, 2)):
        cloud.complete(run)
    return True


def one_lost(cloud: PipelineCloud, job_id: str) -> bool:
    """The last of ten blocks fails, and its retry fails, too."""
    for block in range(1, 10):
        cloud.complete(training_of(job_id, block))
    for attempt in (1, 2):
        cloud.fail(training_of(job_id, 10, attempt), "TRAINING_DIVERGED: the loss is not a number")
    return True


def too_many_lost(cloud: PipelineCloud, job_id: str) -> bool:
    """One of two blocks fails; the other continues to its end."""
    cloud.fail(training_of(job_id, 2), "DISK_FULL: 100 GiB were not enough")
    cloud.complete(training_of(job_id, 1))
    return False


def cannot_weigh(cloud: PipelineCloud, job_id: str) -> bool:
    """The function that weighs the blocks fails at every attempt."""
    cloud.before["settle_stage"] = [failing_with(RuntimeError("no table"))] * 6
    for block in (1, 2):
        cloud.complete(training_of(job_id, block))
    return False


def coarse_fails(cloud: PipelineCloud, job_id: str) -> bool:
    cloud.fail(training_of(job_id, COARSE), "DISK_FULL: 100 GiB were not enough")
    return False


def coarse_unsettled(cloud: PipelineCloud, job_id: str) -> bool:
    cloud.before["settle_stage"] = [failing_with(RuntimeError("no table"))] * 6
    return coarse_fails(cloud, job_id)


def coarse_unheard(cloud: PipelineCloud, job_id: str) -> bool:
    """The event of the coarse model's end is lost."""
    run = training_of(job_id, COARSE)
    cloud.await_job(run)
    cloud.leave_result(run)
    cloud.sagemaker.complete(run.job_name)
    for block in (1, 2):
        cloud.complete(training_of(job_id, block))
    return True


SCENARIOS: dict[str, Scenario] = {
    "large": large("large", 3, all_blocks),
    "large, one lost": large("large-one-lost", 10, one_lost),
    "large, too many lost": large("large-too-many-lost", 2, too_many_lost),
    "large, not weighed": large("large-not-weighed", 2, cannot_weigh),
    "large, coarse fails": large("large-coarse-fails", 2, coarse_fails, coarse=False),
    "large, coarse unsettled": large("large-coarse-unsettled", 2, coarse_unsettled, coarse=False),
    "large, coarse unheard": large("large-coarse-unheard", 2, coarse_unheard, coarse=False),
    **{f"succeeding {step}": succeeding(step, f"good-{step}") for step in PipelineStep},
    **{f"failing {stage}": failing(stage) for stage in Stage},
    **{f"stalling {stage}": stalling(stage) for stage in Stage},
    **{f"unheard {stage}": unheard(stage) for stage in Stage},
    **{f"unsettled {stage}": unsettled(stage) for stage in Stage},
    "undelivered": undelivered,
    "queueing": queueing,
    "throttled": throttled,
    "out of memory once": out_of_memory(1),
    "out of memory twice": out_of_memory(2),
    "interrupted": interrupted,
    "interrupted to the end": interrupted_to_the_end,
    "invoked twice": invoked_twice,
    "invoked too late": invoked_too_late,
    "invoked in vain": invoked_in_vain,
    "broken": broken,
    "progressing": progressing,
    "repeated": repeated,
}


def first_run(job_id: str, stage: Stage) -> StageRun:
    return StageRun(job_id=job_id, stage=stage, attempt=1)


def hurry(stage: Stage) -> dict[str, int]:
    return {f"Run{NAMES[stage]}": 1}


def complete_rest(cloud: PipelineCloud, job_id: str, stages: tuple[Stage, ...]) -> None:
    for stage in stages:
        cloud.complete(first_run(job_id, stage))


class Played:
    """Runs every scenario that a test asks for, once."""

    def __init__(self, cloud: PipelineCloud) -> None:
        self.cloud = cloud
        self._ended: dict[str, Ended] = {}

    def __call__(self, name: str) -> Ended:
        if name not in self._ended:
            self._ended[name] = SCENARIOS[name](self.cloud)
        return self._ended[name]

    def all(self) -> dict[str, Ended]:
        return {name: self(name) for name in SCENARIOS}

    def run(self, name: str, stage: Stage, attempt: int = 1) -> StageRun:
        return StageRun(job_id=self(name).job_id, stage=stage, attempt=attempt)

    def jobs(self, name: str) -> list[str]:
        """The SageMaker jobs that were created for a scenario's job, without its id."""
        prefix = f"{self(name).job_id}-"
        return [job.removeprefix(prefix) for job in self.cloud.sagemaker.created if job.startswith(prefix)]
