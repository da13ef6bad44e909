"""The committed state machine, run by moto's interpreter with the real functions behind its Lambda ARNs.

Each scenario is one job on its way to one end. At the end of the file all of them together must have taken every
transition of the state machine, and every status event that any of them put on the bus must be valid.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator

import pytest

from spaceport.errors import CATALOGUE, ErrorCode
from spaceport.job import PipelineStep
from spaceport.stages import STAGES_OF, Stage, StageRun
from tests.support.asl import Transition, load_pipeline, transitions
from tests.support.events import sample_event
from tests.support.moto_states import LambdaFault
from tests.support.pipeline_cloud import Ended, PipelineCloud, failing_with, pipeline_cloud
from tests.support.status_events import faults

# most events cost nothing to count, which Powertools remarks upon
pytestmark = pytest.mark.filterwarnings("ignore:No application metrics")

NAMES = {Stage.SFM: "Sfm", Stage.TRAINING: "Training", Stage.COMPRESSOR: "Compressor"}
# the step that begins with a stage, so that a scenario about that stage runs no other before it
STEP_OF = {
    Stage.SFM: PipelineStep.FULL,
    Stage.TRAINING: PipelineStep.TRAINING,
    Stage.COMPRESSOR: PipelineStep.COMPRESSION,
}
REASONS = {
    Stage.SFM: ("NO_OVERLAP", "12 of 12 photos match no other photo"),
    Stage.TRAINING: ("TRAINING_DIVERGED", "the loss is not a number after step 120"),
    Stage.COMPRESSOR: ("INVALID_SPLAT", "the header ends nowhere"),
}
FAIL = ["JobFailed", "Failed"]

Scenario = Callable[[PipelineCloud], Ended]


# ── scenarios ──


def succeeding(step: PipelineStep, name: str) -> Scenario:
    def play(cloud: PipelineCloud) -> Ended:
        job_id = cloud.upload(name, step)
        complete_rest(cloud, job_id, STAGES_OF[step])
        return cloud.end(job_id)

    return play


def failing(stage: Stage) -> Scenario:
    """The stage names what is wrong with the customer's photos."""

    def play(cloud: PipelineCloud) -> Ended:
        job_id = cloud.upload(f"failing-{stage}", STEP_OF[stage])
        code, facts = REASONS[stage]
        cloud.fail(first_run(job_id, stage), f"{code}: {facts}")
        return cloud.end(job_id)

    return play


def stalling(stage: Stage) -> Scenario:
    """The job runs, but says nothing any more."""

    def play(cloud: PipelineCloud) -> Ended:
        job_id = cloud.upload(f"stalling-{stage}", STEP_OF[stage], hurry(stage))
        run = first_run(job_id, stage)
        cloud.await_job(run)
        ended = cloud.end(job_id)
        cloud.sagemaker.end_stopped(run.job_name)
        cloud.tell_of_change(run)
        return ended

    return play


def unheard(stage: Stage) -> Scenario:
    """The job completes, but no event says so."""

    def play(cloud: PipelineCloud) -> Ended:
        cloud.after["run_stage"] = [cloud.complete_newest_in_silence]
        job_id = cloud.upload(f"unheard-{stage}", STEP_OF[stage], hurry(stage))
        complete_rest(cloud, job_id, STAGES_OF[STEP_OF[stage]][1:])
        return cloud.end(job_id)

    return play


def unsettled(stage: Stage) -> Scenario:
    """The stage fails, and the function that should settle it fails too, as often as it is asked."""

    def play(cloud: PipelineCloud) -> Ended:
        cloud.before["settle_stage"] = [failing_with(RuntimeError("no table"))] * 6
        job_id = cloud.upload(f"unsettled-{stage}", STEP_OF[stage])
        cloud.fail(first_run(job_id, stage), "DISK_FULL: 100 GiB were not enough")
        ended = cloud.end(job_id)
        assert cloud.before["settle_stage"] == []
        return ended

    return play


def undelivered(cloud: PipelineCloud) -> Ended:
    """A result is gone when it is to be delivered."""
    job_id = cloud.upload("undelivered", PipelineStep.TRAINING)
    training, compressor = (first_run(job_id, stage) for stage in (Stage.TRAINING, Stage.COMPRESSOR))
    cloud.complete(training)
    cloud.lose_result(training)
    cloud.complete(compressor)
    return cloud.end(job_id)


def queueing(cloud: PipelineCloud) -> Ended:
    """No quota for one more machine at first."""
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
    """The GPU's memory does not do."""

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
    """Spot capacity is taken away twice; what the ended jobs say afterwards is old news."""
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
    """The same, but the job is over before the retry: nobody will tell of it any more."""

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
    """A fault of our own in the function that starts the stage."""
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
    """EventBridge delivers each end twice, and once more when the execution is long over."""
    job_id = cloud.upload("repeated", PipelineStep.TRAINING)
    runs = [first_run(job_id, stage) for stage in STAGES_OF[PipelineStep.TRAINING]]
    for run in runs:
        cloud.complete(run)
        cloud.tell_of_change(run)
    ended = cloud.end(job_id)
    for run in runs:
        cloud.tell_of_change(run)
        cloud.tell_of_progress(run)
    return ended


SCENARIOS: dict[str, Scenario] = {
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
    """Every scenario that a test asks for, played once."""

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


@pytest.fixture(scope="module")
def played() -> Iterator[Played]:
    with pipeline_cloud() as cloud:
        yield Played(cloud)


def succeeded_states(*stages: Stage) -> list[str]:
    return [state for stage in stages for state in (f"Run{NAMES[stage]}", f"{NAMES[stage]}Succeeded")]


def failed_states(stage: Stage) -> list[str]:
    name = NAMES[stage]
    return [f"Run{name}", f"Settle{name}", f"{name}Settled", f"{name}Failed", *FAIL]


# ── success ──


@pytest.mark.parametrize("step", PipelineStep)
def test_a_job_runs_its_stages_in_order_and_is_delivered(played: Played, step: PipelineStep) -> None:
    ended = played(f"succeeding {step}")
    end = ["Deliver", "JobSucceeded", "Done"]
    assert list(ended.states) == ["JobStarted", "FirstStage", *succeeded_states(*STAGES_OF[step]), *end]
    assert ended.status == "SUCCEEDED"


@pytest.mark.parametrize("step", PipelineStep)
def test_a_job_tells_of_every_stage(played: Played, step: PipelineStep) -> None:
    stages = ["Stage Started", "Stage Succeeded"] * len(STAGES_OF[step])
    assert played(f"succeeding {step}").types() == ["Job Started", *stages, "Job Succeeded"]


def test_each_stage_reads_what_the_stage_before_left(played: Played) -> None:
    job_id = played("succeeding full").job_id
    jobs = played.cloud.sagemaker.jobs
    training = jobs[f"{job_id}-3dgs-1"].request["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"]
    compressor = jobs[f"{job_id}-compressor-1"].request["ProcessingInputs"][0]["S3Input"]["S3Uri"]
    assert training == f"s3://test-results/intermediates/{job_id}/sfm/1/"
    assert compressor == f"s3://test-results/intermediates/{job_id}/3dgs/{job_id}-3dgs-1/output/model/"


def test_the_customer_gets_the_figures_of_all_stages(played: Played) -> None:
    told = played("succeeding full").told[-1]["detail"]
    assert (told["metrics"]["photos"], told["metrics"]["gaussians"], told["metrics"]["psnr"]) == (5, 1000, 23.9)
    assert told["cost"]["seconds"] == 180.0
    assert {"scene.sog", "viewer/index.html", "report.json", "3dgs/result.json"} <= told["outputs"].keys()


def test_events_that_come_twice_or_late_change_nothing(played: Played) -> None:
    ended = played("repeated")
    assert ended.status == "SUCCEEDED"
    assert played.jobs("repeated") == ["3dgs-1", "compressor-1"]
    assert played.cloud.told_since(ended.job_id) == []


def test_progress_keeps_a_task_alive(played: Played) -> None:
    ended = played("progressing")
    assert ended.status == "SUCCEEDED"
    assert "SettleCompressor" not in ended.states


# ── what the customer can mend ──


@pytest.mark.parametrize("stage", Stage)
def test_a_failed_stage_fails_the_job_with_its_own_code(played: Played, stage: Stage) -> None:
    ended = played(f"failing {stage}")
    assert list(ended.states) == ["JobStarted", "FirstStage", *failed_states(stage)]
    assert (ended.status, ended.error) == ("FAILED", REASONS[stage][0])


@pytest.mark.parametrize("stage", Stage)
def test_the_customer_reads_what_the_container_found(played: Played, stage: Stage) -> None:
    code, facts = REASONS[stage]
    kind = CATALOGUE[ErrorCode(code)]
    expected = {"code": code, "message": f"{kind.sentence} ({facts})", "hint": kind.hint}
    stage_failed, job_failed = played(f"failing {stage}").told[-2:]
    assert (stage_failed["detail-type"], job_failed["detail-type"]) == ("Stage Failed", "Job Failed")
    assert stage_failed["detail"]["error"] == job_failed["detail"]["error"] == expected


@pytest.mark.parametrize("stage", Stage)
def test_what_the_customer_must_mend_is_not_tried_again(played: Played, stage: Stage) -> None:
    assert played.jobs(f"failing {stage}") == [f"{stage}-1"]


# ── what time mends ──


@pytest.mark.parametrize("name", ["queueing", "throttled"])
def test_a_refusal_that_time_mends_costs_no_attempt(played: Played, name: str) -> None:
    assert played(name).status == "SUCCEEDED"
    assert played.jobs(name) == ["compressor-1"]


def test_a_job_that_waits_for_capacity_fails_no_task(played: Played) -> None:
    assert list(played("queueing").states) == list(played("succeeding compression").states)
    assert "waiting for capacity" in [event["detail"]["message"] for event in played("queueing").told]


def test_training_that_ran_out_of_memory_is_tried_once_with_half_of_the_gaussians(played: Played) -> None:
    ended = played("out of memory once")
    request = played.cloud.sagemaker.jobs[f"{ended.job_id}-3dgs-2"].request
    assert ended.status == "SUCCEEDED"
    assert request["Environment"]["GAUSSIANS_DIVISOR"] == "2"


def test_training_that_runs_out_of_memory_again_fails_the_job(played: Played) -> None:
    ended = played("out of memory twice")
    assert (ended.status, ended.error) == ("FAILED", "OUT_OF_MEMORY")
    assert played.jobs("out of memory twice") == ["3dgs-1", "3dgs-2"]


def test_each_attempt_is_announced(played: Played) -> None:
    started = [e["detail"]["attempt"] for e in played("out of memory once").told if e["detail-type"] == "Stage Started"]
    assert started == [1, 2, 1]


def test_an_interrupted_training_goes_on_from_its_checkpoint(played: Played) -> None:
    ended = played("interrupted")
    attempts = [f"{ended.job_id}-3dgs-{attempt}" for attempt in (1, 2, 3)]
    checkpoints = {played.cloud.sagemaker.jobs[job].request["CheckpointConfig"]["S3Uri"] for job in attempts}
    assert ended.status == "SUCCEEDED"
    assert checkpoints == {f"s3://test-results/intermediates/{ended.job_id}/checkpoints/1/"}


def test_the_output_of_the_attempt_that_succeeded_is_taken(played: Played) -> None:
    ended = played("interrupted")
    told = next(event["detail"] for event in ended.told if event["detail-type"] == "Stage Succeeded")
    assert told["attempt"] == 3
    assert told["outputs"]["output"].endswith(f"/3dgs/{ended.job_id}-3dgs-3/output/model")


def test_interruptions_without_end_fail_the_job(played: Played) -> None:
    ended = played("interrupted to the end")
    assert (ended.status, ended.error) == ("FAILED", "INTERRUPTED")
    assert played.jobs("interrupted to the end") == ["3dgs-1", "3dgs-2", "3dgs-3", "3dgs-4"]


def test_a_fault_of_lambda_before_the_function_ran_is_tried_again(played: Played) -> None:
    assert played("invoked in vain").status == "SUCCEEDED"


@pytest.mark.parametrize("name", ["invoked twice", "invoked too late"])
def test_a_fault_of_lambda_after_the_function_ran_starts_no_second_job(played: Played, name: str) -> None:
    assert played(name).status == "SUCCEEDED"
    assert played.jobs(name) == ["compressor-1"]


# ── lost heartbeats ──


@pytest.mark.parametrize("stage", Stage)
def test_a_job_that_says_nothing_any_more_fails_as_stalled(played: Played, stage: Stage) -> None:
    ended = played(f"stalling {stage}")
    assert list(ended.states) == ["JobStarted", "FirstStage", *failed_states(stage)]
    assert (ended.status, ended.error) == ("FAILED", "STALLED")


@pytest.mark.parametrize("stage", Stage)
def test_a_stalled_job_is_stopped(played: Played, stage: Stage) -> None:
    assert played.run(f"stalling {stage}", stage).job_name in played.cloud.sagemaker.stopped


@pytest.mark.parametrize("stage", Stage)
def test_a_completed_job_whose_event_got_lost_is_a_success(played: Played, stage: Stage) -> None:
    ended = played(f"unheard {stage}")
    name = NAMES[stage]
    settled = [f"Run{name}", f"Settle{name}", f"{name}Settled", f"Adopt{name}", f"{name}Succeeded"]
    rest = succeeded_states(*STAGES_OF[STEP_OF[stage]][1:])
    assert list(ended.states[2:]) == [*settled, *rest, "Deliver", "JobSucceeded", "Done"]
    assert ended.status == "SUCCEEDED"


# ── faults of our own ──


@pytest.mark.parametrize("stage", Stage)
def test_a_stage_that_cannot_be_settled_fails_the_job_as_internal(played: Played, stage: Stage) -> None:
    ended = played(f"unsettled {stage}")
    assert list(ended.states[2:]) == [f"Run{NAMES[stage]}", f"Settle{NAMES[stage]}", "UnforeseenFailure", *FAIL]
    assert (ended.status, ended.error) == ("FAILED", "INTERNAL")


def test_a_delivery_that_fails_fails_the_job_as_internal(played: Played) -> None:
    ended = played("undelivered")
    assert list(ended.states[-4:]) == ["Deliver", "UnforeseenFailure", *FAIL]
    assert (ended.status, ended.error) == ("FAILED", "INTERNAL")


def test_a_stage_that_cannot_be_started_fails_the_job_as_internal(played: Played) -> None:
    ended = played("broken")
    assert list(ended.states[2:]) == failed_states(Stage.COMPRESSOR)
    assert (ended.status, ended.error) == ("FAILED", "INTERNAL")


# ── all of them together ──


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_status_event_is_valid(played: Played, name: str) -> None:
    assert [faults(event) for event in played(name).told if faults(event)] == []


@pytest.mark.parametrize("name", SCENARIOS)
def test_status_events_rise_in_sequence(played: Played, name: str) -> None:
    """A stage's start may be told again when the start of its job is repeated."""
    sequence = [event["detail"]["sequence"] for event in played(name).told]
    assert sequence == sorted(sequence)


@pytest.mark.parametrize("name", SCENARIOS)
def test_an_execution_fails_exactly_when_its_job_failed(played: Played, name: str) -> None:
    ended = played(name)
    assert (ended.status, ended.states[-1], ended.types()[-1]) in {
        ("SUCCEEDED", "Done", "Job Succeeded"),
        ("FAILED", "Failed", "Job Failed"),
    }


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_failed_execution_says_what_the_customer_was_told(played: Played, name: str) -> None:
    ended = played(name)
    error = ended.told[-1]["detail"].get("error", {})
    assert (ended.error, ended.cause) == (error.get("code"), error.get("message"))
    assert ended.error is None or ended.error in ErrorCode.__members__


@pytest.mark.parametrize("name", SCENARIOS)
def test_after_the_end_nothing_runs_and_nothing_more_is_told(played: Played, name: str) -> None:
    """stop_job, which hears of every failed execution, finds nothing to stop and adds no second goodbye."""
    ended = played(name)
    if ended.status == "FAILED":
        assert played.cloud.tell_of_end(ended) == {"stopped": []}
    running = [job for job in played.cloud.sagemaker.jobs.values() if job.status == "InProgress"]
    assert [job.name for job in running if job.name.startswith(ended.job_id)] == []
    assert played.cloud.told_since(ended.job_id) == []


@pytest.mark.parametrize("name", ["succeeding full", "failing 3dgs", "interrupted", "undelivered"])
@pytest.mark.parametrize("seed", range(3))
def test_the_jobs_table_ends_the_same_in_whatever_order_events_come(played: Played, name: str, seed: int) -> None:
    ended = played(name)
    events = [*ended.told, *ended.told]
    random.Random(seed).shuffle(events)
    played.cloud.drop_item(ended.job_id)
    played.cloud.track(events)
    item = played.cloud.item(ended.job_id)
    assert (item["status"], (item["error"] or {}).get("code")) == (ended.status, ended.error)
    assert item["sequence"] == ended.told[-1]["detail"]["sequence"]


def test_every_transition_of_the_state_machine_was_taken(played: Played) -> None:
    taken: set[Transition] = set().union(*(ended.transitions for ended in played.all().values()))
    assert taken == transitions(load_pipeline())


def test_every_state_was_visited(played: Played) -> None:
    assert {state for ended in played.all().values() for state in ended.states} == load_pipeline()["States"].keys()
