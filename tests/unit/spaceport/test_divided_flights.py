"""A large flight on one machine: the coarse model first, each block over it, and one result for the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from contract.blocks import Box
from contract.options import Quality
from contract.stages import Stage
from domain.job import JobOptions
from local.customer import StatusEvent
from spaceport import run as run_module
from spaceport.cli import parser
from spaceport.estimate import PaceFile
from spaceport.run import Outcome, Plan, Run
from spaceport.source import read_source
from spaceport.stages import Stages
from tests.support.blocks import plan_of
from tests.unit.spaceport.photos import photos_in
from tests.unit.spaceport.played import SFM, played

BLOCKS = json.dumps(plan_of([Box((None, None), (0.0, None)), Box((0.0, None), (None, None))]).as_json())
ROWS = json.dumps([{"name": "000004.jpg", "split": "test", "rect": [0, 0, 100, 100], "points": 30}])
DIVIDED = SFM.replace(
    'files = {"photos.json"',
    f"""assert os.environ["BLOCKS"] == "2"
blocks = {{"blocks.json": {BLOCKS!r}, "coarse/photos.json": {ROWS!r}, "blocks/01/photos.json": {ROWS!r},
          "blocks/02/photos.json": {ROWS!r}}}
files = {{**blocks, "photos.json\"""",
)
TRAINING = """
block = os.environ["BLOCK"]
behind = ml / "input/data/coarse/scene.ply"
assert (ml / "input/data/scene/blocks.json").is_file()
assert block == "coarse" or behind.read_text() == "splat of coarse"
progress(0.5, "half")
score = {"name": "000004.jpg", "psnr": 20.0 if block == "1" else 30.0, "ssim": 0.8, "seen": 1.0}
result(ml / "model", "3dgs", {"scene.ply": f"splat of {block}"}, gaussians=1000, steps=10, trainViews=7)
path = ml / "model" / "result.json"
manifest = json.loads(path.read_text())
manifest["metrics"] = {"views": [score], "ended": "steps", "psnrOffPath": 25.0}
manifest["resources"] = {"wallSeconds": 1, "cpuSeconds": 2, "peakMemoryBytes": 3}
path.write_text(json.dumps(manifest))
"""
LOST = TRAINING.replace('progress(0.5, "half")', 'if block == "2": fail("TRAINING_DIVERGED", "the loss is nan")')
COMPRESSOR = """
given = ml / "processing/input/model"
splats = [(given / name / "scene.ply").read_text() for name in ("coarse", "blocks/01", "blocks/02")]
files = {"scene.sog": ", ".join(splats), "viewer/index.html": "<html>"}
result(ml / "processing/output", "compressor", files, bytes=7)
"""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return photos_in(tmp_path / "meadow")


def go(given: Path, out: Path, training: str = TRAINING) -> Outcome:
    source = read_source(given)
    options = JobOptions(quality=Quality.PREVIEW, pipeline_step=source.step)
    images = played(sfm=DIVIDED, training=training, compressor=COMPRESSOR)
    runner = Run(images, PaceFile(given.parent / "paces.json"), (given.parent / "log").open("w"), free=lambda _: 10**12)
    return runner.go(Plan(source, source.step.stages, options, out, blocks=2))


def test_a_flight_in_blocks_is_delivered_as_one_scene(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[StatusEvent] = []

    class Watched(Stages):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            show = self.show

            def watched(event: StatusEvent) -> None:
                seen.append(event)
                show(event)

            self.show = watched

    monkeypatch.setattr(run_module, "Stages", Watched)
    outcome = go(photos, tmp_path / "out")
    assert outcome.error is None
    assert outcome.folder is not None
    assert (outcome.folder / "scene.sog").read_text() == "splat of coarse, splat of 1, splat of 2"
    # squared errors of 0.01 and 0.001 over equal numbers of pixels
    assert outcome.metrics["psnr"] == pytest.approx(22.596, abs=0.01)
    training = [event for event in seen if event.stage == Stage.TRAINING]
    shares = [event.progress for event in training]
    assert shares == sorted(shares)
    assert [event.type for event in training].count("Stage Started") == 1
    assert [event.type for event in training].count("Stage Succeeded") == 1
    assert [event.message for event in training if "half" in event.message] == [
        "coarse model: half", "block 1: half", "block 2: half",
    ]  # fmt: skip


def test_a_block_that_fails_keeps_what_was_finished(photos: Path, tmp_path: Path) -> None:
    outcome = go(photos, tmp_path / "out", LOST)
    assert outcome.error is not None
    assert outcome.error.code == "TRAINING_DIVERGED"
    assert outcome.folder is not None
    assert (outcome.folder / "3dgs" / "coarse" / "scene.ply").is_file()
    assert (outcome.folder / "3dgs" / "blocks" / "01" / "scene.ply").is_file()
    assert (outcome.folder / "3dgs-b02-1.log").is_file()


def test_the_number_of_blocks_is_an_option() -> None:
    assert parser().parse_args(["a.zip", "--blocks", "4"]).blocks == 4
    assert parser().parse_args(["a.zip"]).blocks is None
    with pytest.raises(SystemExit):
        parser().parse_args(["a.zip", "--blocks", "41"])
