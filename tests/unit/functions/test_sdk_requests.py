"""Our Create requests compared with those of the SageMaker SDK's Processor and Estimator for the same parameters."""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from contract.stages import Stage
from domain.stages import StageRun
from tests.support.runs import JOB_ID
from tests.support.stage_requests import request

ROOT = Path(__file__).parents[3]
PYTHON = Path(os.environ.get("SPACEPORT_BUILD_PYTHON", ROOT / ".venv-build" / "bin" / "python"))
NETWORK = {"VpcConfig": {"Subnets": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"]}}
# defaults of the API that the SDK writes out
DEFAULTS: dict[str, Any] = {
    "AppManaged": False,
    "S3CompressionType": "None",
    "S3DataDistributionType": "FullyReplicated",
    "EnableNetworkIsolation": False,
    "CompressionType": "None",
    # debugger and profiler are off, and there are no hyperparameters
    "ProfilerConfig": {"DisableProfiler": True},
    "HyperParameters": {},
}


def ours(block: int | None = None) -> dict[str, Any]:
    processing, training = request(Stage.SFM), request(Stage.TRAINING, block=block)
    processing["NetworkConfig"] |= NETWORK
    return {"processing": processing, "training": training | NETWORK}


@cache
def sdks(*arguments: str, block: int | None = None) -> dict[str, Any]:
    if not PYTHON.is_file():
        pytest.fail(f"There is no build environment at {PYTHON}: run `make setup`.", pytrace=False)
    script = str(ROOT / "tests" / "support" / "sdk_requests.py")
    command = [str(PYTHON), script, *([json.dumps(arguments)] if arguments else [])]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command,
        env=environment,
        input=json.dumps(ours(block)),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def told(value: Any) -> Any:
    """A request without fields that only repeat the API's defaults."""
    if isinstance(value, list):
        return [told(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: told(item) for key, item in value.items() if key not in DEFAULTS or item != DEFAULTS[key]}


@pytest.mark.parametrize("kind", ["processing", "training"])
def test_the_sdk_sends_the_same_request(kind: str) -> None:
    assert told(sdks()[kind]) == told(ours()[kind])


IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/spaceport-dev/any:try"


def test_a_processing_stage_is_tried_with_an_image_of_its_own_and_tells_the_pipeline_nothing() -> None:
    sent, earlier = sdks(JOB_ID, "sfm", "--image", IMAGE)["processing"], ours()["processing"]
    assert StageRun.parse(sent["ProcessingJobName"]) is None
    assert sent["AppSpecification"]["ImageUri"] == IMAGE
    assert "STATUS_BUS" not in sent["Environment"]
    assert sent["Tags"] == [{"Key": "spaceport:debug", "Value": "true"}]
    outputs, before = sent["ProcessingOutputConfig"]["Outputs"], earlier["ProcessingOutputConfig"]["Outputs"]
    for output, ours_of in zip(outputs, before, strict=True):
        assert output["S3Output"]["S3Uri"] == ours_of["S3Output"]["S3Uri"] + "-debug-0504100000"
        assert output["S3Output"]["S3UploadMode"] == ours_of["S3Output"]["S3UploadMode"]
    for same in ("RoleArn", "ProcessingResources", "StoppingCondition"):
        assert sent[same] == earlier[same]
    assert told(sent["ProcessingInputs"]) == told(earlier["ProcessingInputs"])


def test_training_is_tried_on_demand_on_the_instance_that_is_asked_for_with_checkpoints_of_its_own() -> None:
    sent = sdks(JOB_ID, "3dgs", "--image", IMAGE, "--instance-type", "ml.g5.2xlarge")["training"]
    earlier = ours()["training"]
    assert StageRun.parse(sent["TrainingJobName"]) is None
    assert len(sent["TrainingJobName"]) <= 63
    assert sent["AlgorithmSpecification"]["TrainingImage"] == IMAGE
    assert sent["ResourceConfig"]["InstanceType"] == "ml.g5.2xlarge"
    assert not sent.get("EnableManagedSpotTraining")
    assert sent["CheckpointConfig"]["S3Uri"] == earlier["CheckpointConfig"]["S3Uri"] + "debug-0504100000/"
    assert sent["VpcConfig"] == NETWORK["VpcConfig"]
    assert told(sent["InputDataConfig"]) == told(earlier["InputDataConfig"])


def test_a_block_is_trained_again_on_its_photos_and_the_coarse_model() -> None:
    sent = sdks(JOB_ID, "3dgs", "--block", "b07", "--image", IMAGE, block=7)["training"]
    earlier = ours(block=7)["training"]
    assert sent["TrainingJobName"].startswith(f"{JOB_ID}-3dgs-b07-1-debug")
    assert [channel["ChannelName"] for channel in sent["InputDataConfig"]] == ["scene", "coarse"]
    assert told(sent["InputDataConfig"]) == told(earlier["InputDataConfig"])
