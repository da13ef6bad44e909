"""The SageMaker request of a stage run: its inputs and outputs, its machine, its time limit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.codes import ErrorCode
from contract.options import Quality
from contract.stages import PipelineStep, Stage
from domain.layout import output_uri, upload_uri
from domain.sagemaker_requests import (
    create_request,
    environment,
    quota_of,
    source_of,
)
from domain.stage_settings import StageSettings
from domain.stages import RetryState, StageOutput, next_retry_state
from tests.support.cloud import ENVIRONMENT, RESULTS
from tests.support.fakes import FakeSageMaker
from tests.support.runs import JOB_ID, output_of, run_of
from tests.support.sam_template import Template
from tests.support.stage_requests import FINISHED, job, machine, platform, request


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("spot", ["true", "false"])
def test_a_request_has_the_shape_that_sagemaker_takes(stage: Stage, spot: str) -> None:
    sagemaker = FakeSageMaker()
    getattr(sagemaker, f"create_{stage.kind.lower()}_job")(**request(stage, spot=spot))
    assert sagemaker.created == [run_of(stage).job_name]


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("attempt", [1, 3])
def test_the_output_lies_where_the_contract_says(stage: Stage, attempt: int) -> None:
    assert output_uri(run_of(stage, attempt), RESULTS) == output_of(stage, attempt)


@pytest.mark.parametrize("stage", [Stage.SFM, Stage.COMPRESSOR])
def test_a_processing_job_uploads_its_output_there_at_its_end(stage: Stage) -> None:
    output, *_ = request(stage, 2)["ProcessingOutputConfig"]["Outputs"]
    assert output["S3Output"] == {
        "S3Uri": output_of(stage, 2),
        "LocalPath": "/opt/ml/processing/output",
        "S3UploadMode": "EndOfJob",
    }


def test_what_an_upload_was_refused_for_is_uploaded_while_the_container_runs() -> None:
    """A container that refuses its input ends with an error, and AWS does not document what happens to outputs then."""
    _, evidence = request(Stage.SFM, 2)["ProcessingOutputConfig"]["Outputs"]
    assert evidence["S3Output"] == {
        "S3Uri": output_of(Stage.SFM, 2).rpartition("/")[0] + "/evidence",
        "LocalPath": "/opt/ml/processing/evidence",
        "S3UploadMode": "Continuous",
    }
    assert len(request(Stage.COMPRESSOR)["ProcessingOutputConfig"]["Outputs"]) == 1


def test_the_compressor_reads_the_photos_as_well_unless_no_survey_products_are_wanted() -> None:
    _, cameras = request(Stage.COMPRESSOR)["ProcessingInputs"]
    assert cameras["InputName"] == "cameras"
    assert cameras["S3Input"] == {
        "S3DataType": "S3Prefix",
        "S3Uri": output_of(Stage.SFM) + "/",
        "LocalPath": "/opt/ml/processing/input/cameras",
        "S3InputMode": "File",
    }
    assert len(request(Stage.COMPRESSOR, products=0)["ProcessingInputs"]) == 1
    assert len(request(Stage.SFM)["ProcessingInputs"]) == 1
    without_photos: dict[Stage, StageOutput] = {
        stage: output for stage, output in FINISHED.items() if stage is not Stage.SFM
    }
    run, state = run_of(Stage.COMPRESSOR), RetryState()
    made = create_request(run, job(), without_photos, platform(), state, machine(Stage.COMPRESSOR))
    assert len(made["ProcessingInputs"]) == 1


def test_a_training_jobs_model_lands_there_uncompressed() -> None:
    config = request(Stage.TRAINING, 2)["OutputDataConfig"]
    assert f"{config['S3OutputPath']}/{run_of(Stage.TRAINING, 2).job_name}/output/model" == output_of(Stage.TRAINING, 2)
    assert config["CompressionType"] == "NONE"


@pytest.mark.parametrize("stage", Stage)
def test_what_a_job_leaves_is_encrypted_with_the_key_of_the_bucket(stage: Stage) -> None:
    sent = request(stage)
    config = sent["OutputDataConfig" if stage is Stage.TRAINING else "ProcessingOutputConfig"]
    assert config["KmsKeyId"] == ENVIRONMENT["RESULTS_KEY_ARN"]
    assert Template.load().global_variables["RESULTS_KEY_ARN"] == {"Fn::GetAtt": "DataKey.Arn"}


@pytest.mark.parametrize(
    ("step", "stage", "source"),
    [
        ("full", Stage.TRAINING, output_of(Stage.SFM) + "/"),
        ("full", Stage.COMPRESSOR, output_of(Stage.TRAINING) + "/"),
        ("3dgs", Stage.COMPRESSOR, output_of(Stage.TRAINING) + "/"),
    ],
)
def test_a_later_stage_reads_all_that_the_stage_before_it_left(step: str, stage: Stage, source: str) -> None:
    assert source_of(run_of(stage), job(step), FINISHED, RESULTS) == {"S3DataType": "S3Prefix", "S3Uri": source}


@pytest.mark.parametrize("step", PipelineStep)
def test_the_first_stage_reads_the_copy_of_its_own_upload_and_no_key_of_a_customer(step: PipelineStep) -> None:
    """By then, another upload may be at the customer's key."""
    source = source_of(run_of(step.stages[0]), job(step), FINISHED, RESULTS)
    folder = f"s3://{RESULTS}/intermediates/{run_of(step.stages[0]).job_id}/upload/"
    assert source == {"S3DataType": "S3Prefix", "S3Uri": folder}


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("a/../\nb.zip", "upload.zip"),
        ("SCENE.PLY", "upload.ply"),
        ("a.SOG", "upload.sog"),
        ("A.MOV", "upload.mov"),
        ("x", "upload.zip"),
    ],
)
def test_of_the_uploads_name_only_the_suffix_reaches_a_container(key: str, name: str) -> None:
    assert upload_uri("meadow-0123456789ab", key, RESULTS).rpartition("/")[2] == name


@pytest.mark.parametrize(("stage", "channel"), [(Stage.SFM, "upload"), (Stage.COMPRESSOR, "model")])
def test_a_processing_job_finds_its_input_in_the_channel_of_the_contract(stage: Stage, channel: str) -> None:
    given = request(stage)["ProcessingInputs"][0]
    assert given["S3Input"]["LocalPath"] == f"/opt/ml/processing/input/{channel}"
    assert given["S3Input"]["S3Uri"] == source_of(run_of(stage), job(), FINISHED, RESULTS)["S3Uri"]


def test_a_training_job_finds_its_input_in_the_channel_scene() -> None:
    (given,) = request(Stage.TRAINING)["InputDataConfig"]
    assert given["ChannelName"] == "scene"
    assert given["DataSource"]["S3DataSource"]["S3Uri"] == output_of(Stage.SFM) + "/"


def test_attempts_at_training_share_their_checkpoints() -> None:
    first, second = (request(Stage.TRAINING, attempt)["CheckpointConfig"] for attempt in (1, 2))
    expected = {"S3Uri": f"s3://{RESULTS}/intermediates/{JOB_ID}/checkpoints/1/", "LocalPath": "/opt/ml/checkpoints"}
    assert first == second == expected


def test_after_memory_ran_out_training_begins_anew_with_half_of_the_gaussians() -> None:
    retry_state = next_retry_state(RetryState(), 3, ErrorCode.OUT_OF_MEMORY)
    made = create_request(run_of(Stage.TRAINING, 3), job(), FINISHED, platform(), retry_state, machine(Stage.TRAINING))
    assert made["Environment"]["GAUSSIANS_DIVISOR"] == "2"
    assert made["CheckpointConfig"]["S3Uri"] == f"s3://{RESULTS}/intermediates/{JOB_ID}/checkpoints/3/"


def test_an_interruption_keeps_the_retry_state() -> None:
    retry_state = next_retry_state(RetryState(), 3, ErrorCode.OUT_OF_MEMORY)
    assert next_retry_state(retry_state, 4, ErrorCode.INTERRUPTED) == retry_state
    assert next_retry_state(retry_state, 5, ErrorCode.OUT_OF_MEMORY) == RetryState(
        gaussian_divisor=4, checkpoint_attempt=5
    )


def test_a_machine_that_was_not_found_leads_to_the_next_and_keeps_the_rest_of_the_state() -> None:
    halved = next_retry_state(RetryState(), 3, ErrorCode.OUT_OF_MEMORY)
    elsewhere = next_retry_state(halved, 4, ErrorCode.CAPACITY)
    assert elsewhere == RetryState(gaussian_divisor=2, checkpoint_attempt=3, machine=1)
    assert next_retry_state(elsewhere, 5, ErrorCode.INTERRUPTED) == elsewhere
    assert next_retry_state(elsewhere, 5, ErrorCode.OUT_OF_MEMORY).machine == 1


CHAIN = "ml.g4dn.xlarge+ml.g5.xlarge+ml.g6.xlarge,ml.g4dn.xlarge,ml.g4dn.xlarge"
SFM_CHAIN = "ml.c6i.4xlarge+ml.c6i.8xlarge,ml.c6i.4xlarge,ml.c6i.4xlarge"


@pytest.mark.parametrize(
    ("stage", "spot", "quality", "expected"),
    [
        (
            Stage.TRAINING,
            "true",
            Quality.PREVIEW,
            [("ml.g4dn.xlarge", True), ("ml.g4dn.xlarge", False), ("ml.g5.xlarge", False), ("ml.g6.xlarge", False)],
        ),
        (Stage.TRAINING, "true", Quality.STANDARD, [("ml.g4dn.xlarge", True), ("ml.g4dn.xlarge", False)]),
        (Stage.TRAINING, "false", Quality.STANDARD, [("ml.g4dn.xlarge", False)]),
        (Stage.SFM, "true", Quality.PREVIEW, [("ml.c6i.4xlarge", False), ("ml.c6i.8xlarge", False)]),
        (Stage.SFM, "true", Quality.HIGH, [("ml.c6i.4xlarge", False)]),
    ],
)
def test_machines_are_tried_on_spot_then_on_demand_then_by_the_list(
    stage: Stage, spot: str, quality: Quality, expected: list[tuple[str, bool]]
) -> None:
    lists = {"TRAINING_INSTANCE_TYPES": CHAIN, "SFM_INSTANCE_TYPES": SFM_CHAIN, "SPOT_TRAINING": spot}
    own = StageSettings.read({**ENVIRONMENT, **lists}).platform
    assert [(choice.instance_type, choice.spot) for choice in own.machines(stage, quality)] == expected


@pytest.mark.parametrize(
    ("stage", "spot", "types", "expected"),
    [
        (Stage.TRAINING, "true", "ml.g4dn.xlarge", True),
        (Stage.TRAINING, "false", "ml.g4dn.xlarge", False),
        (Stage.TRAINING, "false", "ml.g4dn.xlarge+ml.g5.xlarge", True),
        (Stage.SFM, "true", "ml.g4dn.xlarge", False),
    ],
)
def test_a_machine_has_an_alternative_where_the_list_goes_on(
    stage: Stage, spot: str, types: str, expected: bool
) -> None:
    lists = {"TRAINING_INSTANCE_TYPES": ",".join([types] * 3), "SPOT_TRAINING": spot}
    own = StageSettings.read({**ENVIRONMENT, **lists}).platform
    first = own.machines(stage, Quality.STANDARD)[0].instance_type
    assert own.has_alternative(stage, first) is expected


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("spot", [True, False])
def test_a_request_names_the_quota_that_aws_counts_it_in(stage: Stage, spot: bool) -> None:
    made = request(stage, spot=str(spot).lower())
    usage = "processing job" if stage.kind == "Processing" else "spot training job" if spot else "training job"
    type_ = "ml.c6i.4xlarge" if stage.kind == "Processing" else "ml.g4dn.xlarge"
    assert quota_of(made) == f"{type_} for {usage} usage"


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize(("quality", "place"), [("preview", 0), ("standard", 1), ("high", 2)])
def test_a_stage_runs_its_own_image_on_its_own_machine(stage: Stage, quality: str, place: int) -> None:
    made = request(stage, quality=quality)
    name = stage.state_key.upper()
    image = made.get("AppSpecification", {}).get("ImageUri") or made["AlgorithmSpecification"]["TrainingImage"]
    cluster = made["ResourceConfig"] if stage.kind == "Training" else made["ProcessingResources"]["ClusterConfig"]
    assert image == ENVIRONMENT[f"{name}_IMAGE"]
    assert cluster["InstanceType"] == ENVIRONMENT[f"{name}_INSTANCE_TYPES"].split(",")[place]
    assert made["RoleArn"] == ENVIRONMENT["SAGEMAKER_ROLE_ARN"]


@pytest.mark.parametrize("stage", Stage)
def test_a_job_is_ended_by_sagemaker_when_its_time_is_up(stage: Stage) -> None:
    assert request(stage)["StoppingCondition"]["MaxRuntimeInSeconds"] == stage.spec.max_runtime


@given(st.sampled_from(Stage), st.integers(60, 10**6))
def test_no_run_gets_more_time_than_its_stage_allows_or_its_job_can_pay(stage: Stage, affordable: int) -> None:
    assert machine(stage, affordable).seconds == min(affordable, stage.spec.max_runtime)


@pytest.mark.parametrize("stage", Stage)
def test_a_stage_runs_in_the_network_that_the_template_made(stage: Stage) -> None:
    own = StageSettings.read({**ENVIRONMENT, "STAGE_SUBNETS": "subnet-1,subnet-2", "STAGE_SECURITY_GROUPS": "sg-1"})
    made = create_request(run_of(stage), job(), FINISHED, own.platform, RetryState(), machine(stage))
    network = made if stage.kind == "Training" else made["NetworkConfig"]
    assert network["VpcConfig"] == {"Subnets": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"]}
    assert network["EnableInterContainerTrafficEncryption"] is True
    getattr(FakeSageMaker(), f"create_{stage.kind.lower()}_job")(**made)


@pytest.mark.parametrize("stage", Stage)
def test_without_a_network_of_its_own_a_stage_asks_for_none(stage: Stage) -> None:
    made = request(stage)
    assert "VpcConfig" not in (made if stage.kind == "Training" else made["NetworkConfig"])


def test_spot_training_may_wait_an_hour_longer_than_it_runs() -> None:
    made = request(Stage.TRAINING, spot="true")
    assert made["EnableManagedSpotTraining"] is True
    assert made["StoppingCondition"]["MaxWaitTimeInSeconds"] == Stage.TRAINING.spec.max_runtime + 3600


def test_training_on_demand_names_no_wait() -> None:
    made = request(Stage.TRAINING, spot="false")
    assert made["EnableManagedSpotTraining"] is False
    assert "MaxWaitTimeInSeconds" not in made["StoppingCondition"]


def test_a_container_receives_the_variables_that_the_contract_lists() -> None:
    assert environment(run_of(Stage.TRAINING, 2), job(), platform().status_bus, RetryState()) == {
        "JOB_ID": JOB_ID,
        "ATTEMPT": "2",
        "STATUS_BUS": "spaceport-dev-status",
        "QUALITY": "standard",
        "SCENE_NAME": "meadow",
    }


def test_a_customers_options_reach_the_container_zero_included() -> None:
    customers = job(trainingSteps=500, maxGaussians=9000, shDegree=0, quality="high")
    variables = environment(run_of(), customers, platform().status_bus, RetryState())
    options = {name: variables[name] for name in ("TRAINING_STEPS", "MAX_GAUSSIANS", "SH_DEGREE", "QUALITY")}
    assert options == {"TRAINING_STEPS": "500", "MAX_GAUSSIANS": "9000", "SH_DEGREE": "0", "QUALITY": "high"}


@pytest.mark.parametrize("stage", Stage)
def test_the_environment_never_holds_a_task_token(stage: Stage) -> None:
    assert not any("TOKEN" in name for name in request(stage)["Environment"])


@pytest.mark.parametrize("stage", Stage)
def test_a_job_is_tagged_with_its_job_and_stage(stage: Stage) -> None:
    tags = {tag["Key"]: tag["Value"] for tag in request(stage)["Tags"]}
    assert tags == {"spaceport:stack": "spaceport-dev", "spaceport:job": JOB_ID, "spaceport:stage": stage.value}


def test_structure_from_motion_is_told_where_a_scene_has_its_cameras() -> None:
    assert request(Stage.SFM, step="scene")["Environment"]["PIPELINE_STEP"] == "scene"
    assert "PIPELINE_STEP" not in request(Stage.SFM)["Environment"]
    assert "PIPELINE_STEP" not in request(Stage.TRAINING, step="scene")["Environment"]
    assert source_of(run_of(Stage.TRAINING), job("scene"), FINISHED, RESULTS)["S3Uri"] == output_of(Stage.SFM) + "/"
    assert len(request(Stage.COMPRESSOR, step="scene")["ProcessingInputs"]) == 1  # it has no survey


@pytest.mark.parametrize("step", PipelineStep)
def test_every_way_through_the_pipeline_ends_with_the_compressor(step: PipelineStep) -> None:
    stages = step.stages
    assert stages == tuple(Stage)[-len(stages) :]


def test_the_outputs_in_the_state_machines_data_are_read_back_by_stage() -> None:
    assert {Stage.SFM, Stage.TRAINING, Stage.COMPRESSOR} == FINISHED.keys()
    assert {stage: output.output_uri for stage, output in FINISHED.items()} == {
        stage: output_of(stage) for stage in FINISHED
    }
    assert all(isinstance(output, StageOutput) for output in FINISHED.values())
