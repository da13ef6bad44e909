"""The three images in the SageMaker SDK's local mode: AWS's own code mounts the inputs and collects the outputs.

This needs a container engine with compose (the SDK starts one compose file per job).
"""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from contract.stages import Stage
from local.sagemaker.engine import build_images
from splat.ply import write_ply
from tests.integration.test_images import ball, engine_answers
from tests.support.stage_requests import request

ROOT = Path(__file__).parents[2]
PYTHON = Path(os.environ.get("SPACEPORT_BUILD_PYTHON", ROOT / ".venv-build" / "bin" / "python"))


def compose_answers() -> bool:
    for command in (["docker", "compose", "version"], ["docker-compose", "version"]):
        try:
            if subprocess.run(command, capture_output=True, timeout=60).returncode == 0:
                return True
        except (FileNotFoundError, subprocess.TimeoutExpired):
            continue
    return False


pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(not engine_answers(), reason="no container engine answers here"),
    pytest.mark.skipif(not compose_answers(), reason="the container engine has no compose"),
    pytest.mark.skipif(not PYTHON.is_file(), reason="no build environment, which has the SageMaker SDK"),
]


@pytest.fixture(scope="module")
def images() -> dict[str, str]:
    return build_images(ROOT, tag="test")


def local(stage: Stage, image: str, given: Path, taken: Path) -> dict[str, Any]:
    """Our Create request of the stage, with folders of this machine instead of S3's. Fields that local mode does not
    support are removed: uploads while a job runs, several inputs of which one is missing."""
    sent = request(stage, quality="preview")
    if stage.kind == "Training":
        sent["AlgorithmSpecification"]["TrainingImage"] = image
        sent["ResourceConfig"]["InstanceType"] = "local"
        sent["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"] = given.as_uri()
        sent["OutputDataConfig"]["S3OutputPath"] = taken.as_uri()
    else:
        sent["AppSpecification"]["ImageUri"] = image
        sent["ProcessingResources"]["ClusterConfig"]["InstanceType"] = "local"
        sent["ProcessingInputs"] = sent["ProcessingInputs"][:1]
        sent["ProcessingInputs"][0]["S3Input"]["S3Uri"] = given.as_uri()
        outputs = sent["ProcessingOutputConfig"]["Outputs"][:1]
        outputs[0]["S3Output"]["S3Uri"] = taken.as_uri()
        sent["ProcessingOutputConfig"]["Outputs"] = outputs
    return sent


def run(stage: Stage, image: str, folder: Path, name: str, content: bytes) -> tuple[int, str, Path]:
    """The exit code, what the container printed, and the output that SageMaker collected."""
    given, taken, scratch = (folder / part for part in ("given", "taken", "scratch"))
    for each in (given, taken, scratch):
        each.mkdir()
    (given / name).write_bytes(content)
    asked = {
        "kind": stage.kind.lower(),
        "request": local(stage, image, given, taken),
        "scratch": str(scratch),
    }
    done = subprocess.run(
        [str(PYTHON), str(ROOT / "tests" / "support" / "local_mode.py")],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr, taken


@pytest.mark.parametrize("stage", Stage)
def test_an_image_finds_its_input_where_sagemaker_mounts_it(
    images: dict[str, str], tmp_path: Path, stage: Stage
) -> None:
    _, log, taken = run(stage, images[stage], tmp_path, "upload.zip", b"no archive")  # compose 1 hides the exit code
    assert "NOT_A_ZIP: " in log
    assert list(taken.rglob("result.json")) == []
    if stage is Stage.TRAINING:  # local mode collects the output of a failed training, and mounts /opt/ml/output for it
        with tarfile.open(next(taken.rglob("output.tar.gz"))) as left:
            reason = left.extractfile("failure")
            assert reason is not None
            assert reason.read().startswith(b"NOT_A_ZIP: ")


def test_what_the_compressor_leaves_is_taken(images: dict[str, str], tmp_path: Path) -> None:
    write_ply(tmp_path / "made.ply", ball(300))
    splat = (tmp_path / "made.ply").read_bytes()
    code, log, taken = run(Stage.COMPRESSOR, images[Stage.COMPRESSOR], tmp_path, "scene.ply", splat)
    assert code == 0, log
    assert {"scene.sog", "index.html", "result.json"} <= {path.name for path in taken.rglob("*")}
