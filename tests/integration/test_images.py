"""The three images, built from their Dockerfiles and run by a container engine, if this machine has one."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from local.sagemaker.container import RunFolders
from local.sagemaker.engine import EngineImage, build_images, engine_images
from splat.gaussians import Gaussians
from splat.ply import write_ply

ROOT = Path(__file__).parents[2]
MINUTE = 60.0


def engine_answers() -> bool:
    docker = shutil.which("docker")
    if docker is None:
        return False
    try:
        return subprocess.run([docker, "version"], capture_output=True, timeout=20).returncode == 0
    except subprocess.TimeoutExpired:
        return False


pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(not engine_answers(), reason="no container engine answers here"),
]


@pytest.fixture(scope="module")
def images() -> dict[str, EngineImage]:
    built = engine_images(build_images(ROOT, tag="test"), os.environ.get("DOCKER_HOST", ""))
    return {name: image for name, image in built.items() if isinstance(image, EngineImage)}


def output(image: EngineImage, *command: str) -> str:
    """What a command in the image prints; the image's entry point is not used."""
    engine = ["docker", "run", "--rm", "--entrypoint", command[0], image.reference, *command[1:]]
    return subprocess.run(engine, capture_output=True, text=True, check=True).stdout.strip()


def ball(count: int) -> Gaussians:
    """Coloured Gaussians about the origin."""
    rng = np.random.default_rng(0)
    return Gaussians(
        means=rng.normal(size=(count, 3)).astype(np.float32),
        quats=rng.normal(size=(count, 4)).astype(np.float32),
        scales=np.full((count, 3), -2.0),
        opacities=np.full(count, 3.0),
        sh0=rng.normal(size=(count, 3)).astype(np.float32),
        shN=np.zeros((count, 0, 3), np.float32),
    )


@pytest.fixture
def folders(tmp_path: Path) -> RunFolders:
    made = RunFolders(tmp_path / "ml", tmp_path / "work", tmp_path / "tmp")
    for folder in (made.ml / "output", made.work, made.scratch):
        folder.mkdir(parents=True)
    return made


@pytest.mark.parametrize("stage", ["sfm", "3dgs", "compressor"])
def test_an_image_says_its_version_runs_as_root_and_holds_no_compiler(
    images: dict[str, EngineImage], stage: str
) -> None:
    image = images[stage]
    said = subprocess.run(["docker", "run", "--rm", image.reference, "--version"], capture_output=True, text=True)
    assert said.stdout.strip() == f"spaceport {stage} 0.1.0"
    assert output(image, "id", "-u") == "0"
    found = output(image, "sh", "-c", "command -v gcc g++ cc make nvcc; python -m pip --version 2>/dev/null; true")
    assert found == ""


@pytest.mark.parametrize(
    ("stage", "inputs"),
    [("sfm", "processing/input/upload"), ("3dgs", "input/data/scene"), ("compressor", "processing/input/model")],
)
def test_an_image_names_what_is_wrong_with_its_input(
    images: dict[str, EngineImage], folders: RunFolders, stage: str, inputs: str
) -> None:
    given = folders.ml / inputs
    given.mkdir(parents=True)
    (given / "upload.zip").write_bytes(b"no archive")
    container = images[stage].start((), {"JOB_ID": "tiny"}, folders, folders.work / "log")
    assert container.wait(3 * MINUTE) == 1, (folders.work / "log").read_text()
    container.kill()
    assert (folders.ml / "output" / "failure").read_text().startswith("NOT_A_ZIP: ")


def test_the_compressors_image_does_a_tiny_job(images: dict[str, EngineImage], folders: RunFolders) -> None:
    model = folders.ml / "processing/input/model"
    model.mkdir(parents=True)
    (folders.ml / "processing/output").mkdir()
    write_ply(model / "scene.ply", ball(300))
    container = images["compressor"].start((), {"JOB_ID": "tiny", "QUALITY": "preview"}, folders, folders.work / "log")
    assert container.wait(5 * MINUTE) == 0, (folders.work / "log").read_text()
    container.kill()
    made = {path.name for path in (folders.ml / "processing/output").rglob("*")}
    assert {"scene.sog", "index.html", "preview.png", "result.json"} <= made


def test_a_container_that_is_killed_is_gone(images: dict[str, EngineImage], folders: RunFolders) -> None:
    (folders.ml / "input/data/scene").mkdir(parents=True)
    container = images["3dgs"].start((), {"JOB_ID": "tiny"}, folders, folders.work / "log")
    container.kill()
    assert container.wait(MINUTE) is not None
    running = subprocess.run(["docker", "ps", "--quiet", "--filter", "name=spaceport-"], capture_output=True, text=True)
    assert running.stdout.strip() == ""
