"""The committed state machine, run by moto's interpreter with the real functions behind its Lambda ARNs.

Each scenario is one job on its way to one outcome. At the end of the file, all scenarios together must have taken
every transition of the state machine, and every status event that any of them published must be valid.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import pytest

from contract.codes import FAILURES, ErrorCode
from contract.stages import PipelineStep, Stage
from tests.support.asl import Transition, load_pipeline, transitions
from tests.support.pipeline_cloud import pipeline_cloud
from tests.support.pipeline_scenarios import NAMES, REASONS, SCENARIOS, STEP_OF, Played
from tests.support.status_events import faults

# most events add nothing to the metrics, and Powertools warns about that
pytestmark = pytest.mark.filterwarnings("ignore:No application metrics")

FAIL = ["JobFailed", "Failed"]


@pytest.fixture(scope="module")
def played() -> Iterator[Played]:
    with pipeline_cloud() as cloud:
        yield Played(cloud)


def run_states(stage: Stage) -> list[str]:
    """The first states of a stage, for a flight that is trained as a whole."""
    return ["Large"] * (stage is Stage.TRAINING) + [f"Run{NAMES[stage]}"]


def succeeded_states(*stages: Stage) -> list[str]:
    return [state for stage in stages for state in (*run_states(stage), f"{NAMES[stage]}Succeeded")]


def failed_states(stage: Stage) -> list[str]:
    name = NAMES[stage]
    return [*run_states(stage), f"Settle{name}", f"{name}Settled", f"{name}Failed", *FAIL]


# ── success ──


@pytest.mark.parametrize("step", PipelineStep)
def test_a_job_runs_its_stages_in_order_and_is_delivered(played: Played, step: PipelineStep) -> None:
    ended = played(f"succeeding {step}")
    end = ["Deliver", "JobSucceeded", "Done"]
    assert list(ended.states) == ["JobStarted", "FirstStage", *succeeded_states(*step.stages), *end]
    assert ended.status == "SUCCEEDED"


@pytest.mark.parametrize("step", PipelineStep)
def test_a_job_publishes_events_of_every_stage(played: Played, step: PipelineStep) -> None:
    stages = ["Stage Started", "Stage Succeeded"] * len(step.stages)
    assert played(f"succeeding {step}").types() == ["Job Started", *stages, "Job Succeeded"]


def test_each_stage_reads_what_the_stage_before_left(played: Played) -> None:
    job_id = played("succeeding full").job_id
    jobs = played.cloud.sagemaker.jobs
    training = jobs[f"{job_id}-3dgs-1"].request["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"]
    compressor = jobs[f"{job_id}-compressor-1"].request["ProcessingInputs"][0]["S3Input"]["S3Uri"]
    assert training == f"s3://test-results/intermediates/{job_id}/sfm/1/"
    assert compressor == f"s3://test-results/intermediates/{job_id}/3dgs/{job_id}-3dgs-1/output/model/"


def test_the_customer_gets_the_figures_of_all_stages(played: Played) -> None:
    published = played("succeeding full").published[-1]["detail"]
    assert (published["metrics"]["photos"], published["metrics"]["gaussians"], published["metrics"]["psnr"]) == (
        5,
        1000,
        23.9,
    )
    assert published["cost"]["seconds"] == 180.0
    assert {"scene.sog", "viewer/index.html", "report.json", "3dgs/result.json"} <= published["outputs"].keys()


def test_events_that_come_twice_or_late_change_nothing(played: Played) -> None:
    ended = played("repeated")
    assert ended.status == "SUCCEEDED"
    assert played.jobs("repeated") == ["3dgs-1", "compressor-1"]
    assert played.cloud.told_since(ended.job_id) == []


def test_progress_keeps_a_task_alive(played: Played) -> None:
    ended = played("progressing")
    assert ended.status == "SUCCEEDED"
    assert "SettleCompressor" not in ended.states


# ── what the customer can correct ──


@pytest.mark.parametrize("stage", Stage)
def test_a_failed_stage_fails_the_job_with_its_own_code(played: Played, stage: Stage) -> None:
    ended = played(f"failing {stage}")
    assert list(ended.states) == ["JobStarted", "FirstStage", *failed_states(stage)]
    assert (ended.status, ended.error) == ("FAILED", REASONS[stage][0])


@pytest.mark.parametrize("stage", Stage)
def test_the_customer_reads_what_the_container_found(played: Played, stage: Stage) -> None:
    code, facts = REASONS[stage]
    kind = FAILURES[ErrorCode(code)]
    expected = {"code": code, "message": f"{kind.sentence} ({facts})", "hint": kind.hint}
    stage_failed, job_failed = played(f"failing {stage}").published[-2:]
    assert (stage_failed["detail-type"], job_failed["detail-type"]) == ("Stage Failed", "Job Failed")
    assert stage_failed["detail"]["error"] == job_failed["detail"]["error"] == expected


@pytest.mark.parametrize("stage", Stage)
def test_what_the_customer_must_mend_is_not_tried_again(played: Played, stage: Stage) -> None:
    assert played.jobs(f"failing {stage}") == [f"{stage}-1"]


# ── what a retry solves ──


@pytest.mark.parametrize("name", ["queueing", "throttled"])
def test_a_refusal_that_time_mends_costs_no_attempt(played: Played, name: str) -> None:
    assert played(name).status == "SUCCEEDED"
    assert played.jobs(name) == ["compressor-1"]


def test_a_job_that_waits_for_capacity_fails_no_task(played: Played) -> None:
    assert list(played("queueing").states) == list(played("succeeding compression").states)
    assert "waiting for capacity" in [event["detail"]["message"] for event in played("queueing").published]


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
    started = [
        e["detail"]["attempt"] for e in played("out of memory once").published if e["detail-type"] == "Stage Started"
    ]
    assert started == [1, 2, 1]


def test_an_interrupted_training_goes_on_from_its_checkpoint(played: Played) -> None:
    ended = played("interrupted")
    attempts = [f"{ended.job_id}-3dgs-{attempt}" for attempt in (1, 2, 3)]
    checkpoints = {played.cloud.sagemaker.jobs[job].request["CheckpointConfig"]["S3Uri"] for job in attempts}
    assert ended.status == "SUCCEEDED"
    assert checkpoints == {f"s3://test-results/intermediates/{ended.job_id}/checkpoints/1/"}


def test_the_output_of_the_attempt_that_succeeded_is_taken(played: Played) -> None:
    ended = played("interrupted")
    published = next(event["detail"] for event in ended.published if event["detail-type"] == "Stage Succeeded")
    assert published["attempt"] == 3
    assert published["outputs"]["output"].endswith(f"/3dgs/{ended.job_id}-3dgs-3/output/model")


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


# ── large flights ──


def test_a_large_flight_is_trained_in_blocks_which_are_joined(played: Played) -> None:
    ended = played("large")
    way = ["Large", "RunCoarse", "PlanBlocks", "EachBlock", "WeighBlocks", "TrainingSettled", "AdoptTraining"]
    assert list(ended.states[4:11]) == way
    assert ended.status == "SUCCEEDED"
    jobs = set(played.jobs("large"))
    assert jobs == {"sfm-1", "3dgs-coarse-1", "3dgs-b01-1", "3dgs-b02-1", "3dgs-b02-2", "3dgs-b03-1", "compressor-1"}


def test_a_block_reads_the_scene_and_the_coarse_model_and_keeps_its_own_checkpoints(played: Played) -> None:
    job_id = played("large").job_id
    request = played.cloud.sagemaker.jobs[f"{job_id}-3dgs-b02-2"].request
    sources = {one["ChannelName"]: one["DataSource"]["S3DataSource"] for one in request["InputDataConfig"]}
    assert {source["S3DataType"] for source in sources.values()} == {"ManifestFile"}
    coarse = f"intermediates/{job_id}/3dgs/{job_id}-3dgs-coarse-1/output/model/"
    assert {channel: source["S3Uri"] for channel, source in sources.items()} == {
        "scene": f"s3://test-results/intermediates/{job_id}/sfm/1/b02.manifest",
        "coarse": f"s3://test-results/{coarse}behind.manifest",
    }
    prefix, *names = json.loads(played.cloud.read(f"{coarse}behind.manifest"))
    assert prefix == {"prefix": f"s3://test-results/{coarse}"}
    assert "scene.ply" in names
    assert request["Environment"]["BLOCK"] == "2"
    assert request["CheckpointConfig"]["S3Uri"].endswith("/checkpoints/b02/1/")


def test_the_join_finds_every_model_where_the_contract_says(played: Played) -> None:
    job_id = played("large").job_id
    inputs = played.cloud.sagemaker.jobs[f"{job_id}-compressor-1"].request["ProcessingInputs"]
    folder = f"intermediates/{job_id}/3dgs/joined/"
    assert inputs[0]["S3Input"]["S3Uri"] == f"s3://test-results/{folder}"
    found = {name: played.cloud.read(folder + name) for name in ("coarse/scene.ply", "blocks/02/scene.ply")}
    assert found == {"coarse/scene.ply": b"coarse", "blocks/02/scene.ply": b"2"}
    assert b'"version": 1' in played.cloud.read(folder + "coarse/blocks.json")
    counts = json.loads(played.cloud.read(folder + "result.json"))["counts"]
    assert counts == {"gaussians": 3000, "steps": 900, "denseSeeds": 0, "densePoints": 0, "virtualViews": 0}


def test_a_large_flights_cost_is_that_of_every_attempt_at_every_block(played: Played) -> None:
    published = next(e["detail"] for e in played("large").published if e["detail"].get("stage") == "3dgs"
                     and e["detail-type"] == "Stage Succeeded")  # fmt: skip
    assert published["cost"]["seconds"] == 60.0 * 5


def test_a_flight_with_one_block_of_ten_lost_is_joined_without_it(played: Played) -> None:
    ended = played("large, one lost")
    assert ended.status == "SUCCEEDED"
    assert "3dgs-b10-2" in played.jobs("large, one lost")
    result = json.loads(played.cloud.read(f"intermediates/{ended.job_id}/3dgs/joined/result.json"))
    folders = {file["path"].rpartition("/")[0] for file in result["files"]}
    assert folders == {"coarse", *(f"blocks/{block:02d}" for block in range(1, 10))}


def test_a_flight_with_too_few_blocks_fails_with_their_reason(played: Played) -> None:
    ended = played("large, too many lost")
    assert (ended.status, ended.error) == ("FAILED", "DISK_FULL")
    assert "1 of 2 blocks: 2" in str(ended.cause)
    assert "compressor-1" not in played.jobs("large, too many lost")


# ── lost heartbeats ──


@pytest.mark.parametrize("stage", Stage)
def test_a_job_without_heartbeats_fails_as_stalled(played: Played, stage: Stage) -> None:
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
    settled = [*run_states(stage), f"Settle{name}", f"{name}Settled", f"Adopt{name}", f"{name}Succeeded"]
    rest = succeeded_states(*STEP_OF[stage].stages[1:])
    assert list(ended.states[2:]) == [*settled, *rest, "Deliver", "JobSucceeded", "Done"]
    assert ended.status == "SUCCEEDED"


# ── faults of our own ──


@pytest.mark.parametrize("stage", Stage)
def test_a_stage_that_cannot_be_settled_fails_the_job_as_internal(played: Played, stage: Stage) -> None:
    ended = played(f"unsettled {stage}")
    assert list(ended.states[2:]) == [*run_states(stage), f"Settle{NAMES[stage]}", "UnforeseenFailure", *FAIL]
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
    assert [faults(event) for event in played(name).published if faults(event)] == []


@pytest.mark.parametrize("name", SCENARIOS)
def test_status_events_rise_in_sequence(played: Played, name: str) -> None:
    """The start of a stage may be published again if starting its job is repeated."""
    sequence = [event["detail"]["sequence"] for event in played(name).published]
    assert sequence == sorted(sequence)


@pytest.mark.parametrize("name", SCENARIOS)
def test_an_execution_fails_exactly_when_its_job_failed(played: Played, name: str) -> None:
    ended = played(name)
    assert (ended.status, ended.states[-1], ended.types()[-1]) in {
        ("SUCCEEDED", "Done", "Job Succeeded"),
        ("FAILED", "Failed", "Job Failed"),
    }


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_failed_execution_has_the_error_of_its_final_event(played: Played, name: str) -> None:
    ended = played(name)
    error = ended.published[-1]["detail"].get("error", {})
    assert (ended.error, ended.cause) == (error.get("code"), error.get("message"))
    assert ended.error is None or ended.error in ErrorCode.__members__


@pytest.mark.parametrize("name", SCENARIOS)
def test_after_the_end_nothing_runs_and_nothing_more_is_published(played: Played, name: str) -> None:
    """stop_job, which is invoked for every failed execution, finds nothing to stop and publishes no second final
    event."""
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
    events = [*ended.published, *ended.published]
    random.Random(seed).shuffle(events)
    played.cloud.drop_item(ended.job_id)
    played.cloud.track(events)
    item = played.cloud.item(ended.job_id)
    assert (item["status"], (item["error"] or {}).get("code")) == (ended.status, ended.error)
    assert item["sequence"] == ended.published[-1]["detail"]["sequence"]


def test_every_transition_of_the_state_machine_was_taken(played: Played) -> None:
    taken: set[Transition] = set().union(*(ended.transitions for ended in played.all().values()))
    assert taken == transitions(load_pipeline())


def test_every_state_was_visited(played: Played) -> None:
    assert {state for ended in played.all().values() for state in ended.states} == load_pipeline()["States"].keys()
