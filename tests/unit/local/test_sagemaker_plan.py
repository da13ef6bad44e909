"""The plan that is made from a request."""

import json
from pathlib import PurePosixPath
from typing import Any

import pytest

from local.sagemaker.plan import Transfer, plan_processing, plan_training
from local.sagemaker.validation import RequestError

TRAINING = {
    "TrainingJobName": "job-3dgs-1",
    "AlgorithmSpecification": {"TrainingImage": "x/spaceport/3dgs:1", "TrainingInputMode": "File"},
    "InputDataConfig": [
        {
            "ChannelName": "scene",
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/sfm/"}},
        }
    ],
    "OutputDataConfig": {"S3OutputPath": "s3://b/3dgs/", "CompressionType": "NONE"},
    "StoppingCondition": {"MaxRuntimeInSeconds": 60},
}


def processing(**s3_input: str) -> dict[str, Any]:
    source = {"S3Uri": "s3://b/k", "LocalPath": "/opt/ml/processing/input/upload", "S3DataType": "S3Prefix"}
    output = {"S3Uri": "s3://b/out", "LocalPath": "/opt/ml/processing/output", "S3UploadMode": "EndOfJob"}
    return {
        "AppSpecification": {"ImageUri": "x/spaceport/sfm:1", "ContainerArguments": ["--fast"]},
        "ProcessingInputs": [{"InputName": "upload", "S3Input": {**source, **s3_input}}],
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "output", "S3Output": output}]},
    }


def test_processing_moves_files_to_and_from_the_named_folders() -> None:
    plan = plan_processing(processing())
    assert plan.inputs == (Transfer(PurePosixPath("processing/input/upload"), "s3://b/k"),)
    assert plan.outputs == (Transfer(PurePosixPath("processing/output"), "s3://b/out"),)
    assert plan.arguments == ("--fast",)
    assert plan.max_runtime == 86_400


@pytest.mark.parametrize("path", ["/tmp/x", "/opt/ml/input", "/opt/ml/processing/../../etc", "/opt/ml/processingx"])
def test_processing_refuses_folders_outside_its_own(path: str) -> None:
    with pytest.raises(RequestError, match="LocalPath"):
        plan_processing(processing(LocalPath=path))


def test_training_writes_its_model_below_the_job_name() -> None:
    plan = plan_training(TRAINING)
    assert plan.outputs == (Transfer(PurePosixPath("model"), "s3://b/3dgs/job-3dgs-1/output/model/"),)
    assert plan.inputs == (Transfer(PurePosixPath("input/data/scene"), "s3://b/sfm/"),)
    assert not plan.compress
    assert plan.arguments == ("train",)
    assert plan.leaves_output_when_stopped
    assert list(json.loads(plan.files[PurePosixPath("input/config/inputdataconfig.json")])) == ["scene"]


def test_training_compresses_its_model_by_default() -> None:
    plan = plan_training({**TRAINING, "OutputDataConfig": {"S3OutputPath": "s3://b/3dgs"}})
    assert plan.compress
    assert plan.outputs[0].uri == "s3://b/3dgs/job-3dgs-1/output/model.tar.gz"


def test_spot_training_must_wait_at_least_as_long_as_it_may_run() -> None:
    spot = {**TRAINING, "EnableManagedSpotTraining": True}
    with pytest.raises(RequestError, match="MaxWaitTimeInSeconds"):
        plan_training(spot)
    plan_training({**spot, "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60}})


def test_checkpoints_have_a_folder_of_their_own() -> None:
    plan = plan_training({**TRAINING, "CheckpointConfig": {"S3Uri": "s3://b/checkpoints"}})
    assert plan.checkpoints == Transfer(PurePosixPath("checkpoints"), "s3://b/checkpoints")
    assert plan_training(TRAINING).checkpoints is None


def test_a_manifest_names_what_a_folder_is_filled_with() -> None:
    plan = plan_processing(processing(S3DataType="ManifestFile"))
    assert plan.inputs == (Transfer(PurePosixPath("processing/input/upload"), "s3://b/k", manifest=True),)
