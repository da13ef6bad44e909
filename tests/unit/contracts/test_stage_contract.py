"""The interface between the functions and the containers: environment, reasons, results, names (docs/contracts.md)."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.codes import ErrorCode
from contract.options import MAX_NAME, TEXTS, Quality
from contract.stages import Stage
from domain.compute import Compute
from domain.errors import JobError
from domain.job import JobOptions, UploadedObject, job_id_of, job_of
from domain.layout import output_uri
from domain.outcome import RunOutcome, RunStatus, outcome_of
from domain.reporting import StageReporter
from domain.sagemaker_requests import ML, Machine, Platform, create_request, environment
from domain.stages import RetryState, StageOutput, StageRun
from stage.contract import Folders
from stage.environment import StageEnvironment
from stage.errors import StageError
from stage.result import Resources, StageOutcome, Warning, write_result
from tests.support.cloud import STACK
from tests.support.fakes import FakeSageMaker, FakeStepFunctions

PLATFORM = Platform(
    stack="spaceport-dev",
    images={stage: f"image-{stage}" for stage in Stage},
    instance_types={stage: dict.fromkeys(Quality, ("ml.g4dn.xlarge",)) for stage in Stage},
    role_arn="arn:aws:iam::123456789012:role/stages",
    results_bucket="results",
    results_key_arn="arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    status_bus="bus",
    spot_training=True,
)
MACHINE = Machine(instance_type="ml.g4dn.xlarge", spot=True, seconds=3600)
UPLOADED = UploadedObject(bucket="uploads", key="meadow.zip", etag="e")
AT = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)

TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=MAX_NAME)
options = st.fixed_dictionaries(
    {"quality": st.sampled_from(Quality)},
    optional={
        "trainingSteps": st.integers(1, 100_000),
        "maxGaussians": st.integers(1_000, 20_000_000),
        "shDegree": st.integers(0, 3),
        "products": st.integers(0, 1),
        "gsdMillimetres": st.integers(2, 5_000),
        "epsg": st.integers(1_024, 32_767),
        **dict.fromkeys(TEXTS, TEXT),
    },
).map(JobOptions.model_validate)
runs = st.fixed_dictionaries(
    {"jobId": st.just("meadow-0123456789ab"), "stage": st.sampled_from(Stage), "attempt": st.integers(1, 99)}
).map(StageRun.model_validate)


@given(runs, options, st.builds(RetryState, gaussian_divisor=st.sampled_from([1, 2, 4])))
def test_a_container_reads_what_the_functions_set(run: StageRun, asked: JobOptions, retry_state: RetryState) -> None:
    job = job_of(UPLOADED, job_id_of(UPLOADED, STACK), asked, AT)
    read = StageEnvironment.read(environment(run, job, PLATFORM.status_bus, retry_state))
    assert (read.job_id, read.attempt, read.status_bus) == (run.job_id, run.attempt, "bus")
    assert (read.options.quality, read.options.scene_name) == (asked.quality, job.name)
    assert (read.options.training_steps, read.options.max_gaussians) == (asked.training_steps, asked.max_gaussians)
    assert (read.options.products, read.options.gsd_millimetres) == (asked.products, asked.gsd_millimetres)
    assert read.options.epsg == asked.epsg
    texts = [(options.project, options.customer, options.site) for options in (read.options, asked)]
    assert texts[0] == texts[1]
    assert (read.options.sh_degree, read.options.gaussians_divisor) == (asked.sh_degree, retry_state.gaussian_divisor)


@pytest.mark.parametrize("code", ErrorCode)
@pytest.mark.parametrize("stage", Stage)
def test_the_reason_that_a_container_leaves_is_the_outcome(stage: Stage, code: ErrorCode) -> None:
    reason = str(StageError(code, "12 of 12 photos match no other photo"))
    said = {"ExitMessage": reason} if stage.kind == "Processing" else {"FailureReason": f"AlgorithmError: {reason}"}
    outcome = outcome_of(
        StageRun(job_id="a", stage=stage, attempt=1),
        {f"{stage.kind}JobStatus": "Failed", "FailureReason": "AlgorithmError: see logs", **said},
    )
    assert outcome.status is RunStatus.FAILED
    assert outcome.error is not None
    assert outcome.error.code == code.value


@pytest.mark.parametrize("code", [code for code in ErrorCode if code is not ErrorCode.INTERNAL])
def test_the_facts_of_a_reason_reach_the_customer(code: ErrorCode) -> None:
    outcome = outcome_of(
        StageRun(job_id="a", stage=Stage.SFM, attempt=1),
        {"ProcessingJobStatus": "Failed", "ExitMessage": str(StageError(code, "photo 7 of 12"))},
    )
    assert outcome.error == JobError.of(ErrorCode(code.value), "photo 7 of 12")


class OneObject:
    """An S3 client that holds one object."""

    def __init__(self, uri: str, body: bytes) -> None:
        self._uri, self._body = uri, body

    def get_object(self, **where: str) -> dict[str, Any]:
        assert f"s3://{where['Bucket']}/{where['Key']}" == self._uri
        return {"Body": io.BytesIO(self._body)}


@pytest.mark.parametrize("stage", Stage)
def test_the_result_that_a_container_writes_is_read_by_the_functions(stage: Stage, tmp_path: Path) -> None:
    run = StageRun(job_id="meadow-0123456789ab", stage=stage, attempt=2)
    (tmp_path / "scene.ply").write_bytes(b"ply")
    outcome = StageOutcome(
        counts={"gaussians": 3},
        metrics={"psnr": 24.5, "gpsRms": None},
        timings={"training": 1.25},
        warnings=[Warning("PHOTOS_SKIPPED", "1 photo could not be read", ["a.jpg"])],
    )
    write_result(tmp_path, stage.value, run.job_id, run.attempt, outcome, Resources(2.0, 3.0, 4))
    uri = output_uri(run, PLATFORM.results_bucket)
    s3 = OneObject(f"{uri}/result.json", (tmp_path / "result.json").read_bytes())
    reporter = StageReporter(PLATFORM, _no_runs(), Compute(FakeSageMaker()), s3, FakeStepFunctions())
    assert reporter.output_of(
        run, RunOutcome(status=RunStatus.COMPLETED, seconds=3600, instance_type="ml.g4dn.xlarge")
    ) == StageOutput(
        stage=stage,
        attempt=2,
        output_uri=uri,
        counts={"gaussians": 3},
        metrics={"gaussians": 3, "psnr": 24.5, "gpsRms": None},
        warnings=[{"code": "PHOTOS_SKIPPED", "message": "1 photo could not be read"}],
        seconds=3600,
        cost={"seconds": 3600.0, "dollars": 0.7364},
    )


def _no_runs() -> Any:
    return None


def test_inputs_and_outputs_are_mounted_where_a_container_looks() -> None:
    folders = Folders(Path("/opt/ml"))
    assert folders.processing_input("upload") == Path(ML / Stage.SFM.channel_folder("upload"))
    assert folders.processing_output == Path(ML / Stage.SFM.output_folder)
    training = create_request(StageRun(job_id="a", stage=Stage.TRAINING, attempt=1), *_scene(), RetryState(), MACHINE)
    assert folders.checkpoints == Path(training["CheckpointConfig"]["LocalPath"])
    assert folders.channel(training["InputDataConfig"][0]["ChannelName"]) == Path("/opt/ml/input/data/scene")


def _scene() -> tuple[Any, dict[Stage, StageOutput], Platform]:
    job = job_of(UPLOADED, job_id_of(UPLOADED, STACK), JobOptions.model_validate({"pipelineStep": "3dgs"}), AT)
    return job, {}, PLATFORM
