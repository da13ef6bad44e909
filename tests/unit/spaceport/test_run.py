"""A run of the command line: what it writes, what it never touches, and how it ends when something goes wrong."""

from __future__ import annotations

import errno
import io
import itertools
import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contract.branding import Company
from contract.codes import ErrorCode
from contract.options import Quality
from contract.stages import Stage
from domain.job import JobOptions
from domain.stages import StageRun
from local.sagemaker.container import Image
from spaceport import delivery
from spaceport import run as run_module
from spaceport.estimate import PaceFile
from spaceport.run import Outcome, Plan, Run
from spaceport.source import read_source
from spaceport.stages import FinishedStage
from tests.unit.spaceport.photos import photos_in
from tests.unit.spaceport.played import TRAINING, played

PLENTY = 10**12
NOBODY = Company()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Six files that preflight accepts as photos."""
    folder = photos_in(tmp_path / "meadow")
    (folder / "notes.txt").write_text("not a photo")
    return folder


def go(
    given: Path,
    out: Path,
    images: dict[str, Image] | None = None,
    only: Stage | None = None,
    free: int = PLENTY,
    said: io.StringIO | None = None,
    clock: Callable[[], float] = time.monotonic,
    company: Company = NOBODY,
    logo: Path | None = None,
) -> Outcome:
    source = read_source(given, only)
    options = JobOptions(quality=Quality.PREVIEW, pipeline_step=source.step)
    plan = Plan(source, (only,) if only else source.step.stages, options, out, company=company, logo=logo)
    paces = PaceFile(given.parent / "cache" / "paces.json")
    runner = Run(images or played(), paces, said or io.StringIO(), clock, free=lambda _: free)
    return runner.go(plan)


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_of_photos_becomes_a_delivery(photos: Path, tmp_path: Path) -> None:
    said = io.StringIO()
    outcome = go(photos, tmp_path / "out" / "meadow", said=said)
    assert outcome.status == "succeeded", outcome.error
    assert outcome.folder == tmp_path / "out" / "meadow"
    assert {"scene.sog", "viewer/index.html", "report.html", "sfm/photos.json"} <= names(outcome.folder)
    assert (outcome.folder / "scene.sog").read_text() == "preview"  # the option reached training
    line = outcome.summary
    assert (line["photos"], line["registered"], line["bytes"], line["status"]) == (6, 6, 7, "succeeded")
    assert list(line["seconds"]) == ["sfm", "3dgs", "compressor"]
    assert "compressor 100%  done" in said.getvalue()
    assert list((tmp_path / "out").iterdir()) == [outcome.folder]  # nothing is left beside the result


def test_a_zip_and_its_folder_are_the_same_to_the_first_stage(photos: Path, tmp_path: Path) -> None:
    archive = tmp_path / "meadow.zip"
    with zipfile.ZipFile(archive, "w") as sink:
        for path in sorted(photos.glob("*.JPG")):
            sink.write(path, path.name)
    assert go(archive, tmp_path / "a").summary["photos"] == go(photos, tmp_path / "b").summary["photos"] == 6


def test_an_earlier_result_is_never_touched(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first, second = go(photos, out), go(photos, out)
    assert (first.folder, second.folder) == (out, tmp_path / "out-2")
    failed = go(photos, out, played(sfm="fail('NO_OVERLAP', '3 groups')"))
    assert failed.summary["error"] == "NO_OVERLAP"
    assert "scene.sog" in names(out)
    assert "scene.sog" in names(tmp_path / "out-2")


def test_a_failure_keeps_what_was_finished_and_the_logs(photos: Path, tmp_path: Path) -> None:
    outcome = go(photos, tmp_path / "out", played(compressor="fail('INVALID_SPLAT', 'no rows')"))
    assert outcome.error is not None
    assert "no rows" in outcome.error.message
    assert outcome.folder == tmp_path / "out.failed"
    assert {"sfm/photos.json", "3dgs/scene.ply", "compressor-1.log"} <= names(outcome.folder)
    assert list(outcome.summary["seconds"]) == ["sfm", "3dgs"]
    assert not (tmp_path / "out").exists()


def test_out_of_memory_is_tried_again_with_half_of_the_gaussians(photos: Path, tmp_path: Path) -> None:
    hungry = "if os.environ.get('GAUSSIANS_DIVISOR') != '2': fail('OUT_OF_MEMORY', 'too many')\n" + TRAINING
    assert go(photos, tmp_path / "out", played(training=hungry)).status == "succeeded"
    always = go(photos, tmp_path / "again", played(training="fail('OUT_OF_MEMORY', 'too many')"))
    assert always.summary["error"] == "OUT_OF_MEMORY"


def test_an_attempt_that_ran_out_of_memory_is_not_learnt_as_time_that_the_stage_takes(
    photos: Path, tmp_path: Path
) -> None:
    """The attempts advance the clock, and so does each reading of it, by a trifle."""
    looks = itertools.count()
    now = tmp_path / "now"
    now.write_text("0")
    hungry = f"""
first = os.environ["ATTEMPT"] == "1"
Path({str(now)!r} + ".new").write_text("1000" if first else "1050")
os.replace({str(now)!r} + ".new", {str(now)!r})
if first: fail("OUT_OF_MEMORY", "too many")
"""
    outcome = go(
        photos,
        tmp_path / "out",
        played(training=hungry + TRAINING),
        clock=lambda: float(now.read_text()) + 1e-6 * next(looks),
    )
    assert outcome.error is None
    pace = PaceFile(tmp_path / "cache" / "paces.json").read(Stage.TRAINING, Quality.PREVIEW)
    assert outcome.seconds["3dgs"] == pytest.approx(50, abs=0.01)
    assert pace.per_unit * pace.usual == pytest.approx(50, abs=0.01)
    assert pace.runs == 1


def test_a_stage_that_the_system_killed_was_out_of_memory(photos: Path, tmp_path: Path) -> None:
    outcome = go(photos, tmp_path / "out", played(sfm="os.kill(os.getpid(), 9)"))
    assert outcome.summary["error"] == "OUT_OF_MEMORY"


def test_a_disk_without_room_is_said_before_anything_is_written(photos: Path, tmp_path: Path) -> None:
    outcome = go(photos, tmp_path / "out", free=10**6)
    assert outcome.error is not None
    assert outcome.error.code is ErrorCode.DISK_FULL
    assert "1.0 GB are needed" in outcome.error.message
    assert outcome.folder is None
    assert list(tmp_path.iterdir()) == [photos]


def test_a_disk_that_fills_up_on_the_way_is_a_coded_error(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "report.html"))

    monkeypatch.setattr(run_module, "deliver", full)
    outcome = go(photos, tmp_path / "out")
    assert outcome.summary["error"] == "DISK_FULL"
    assert outcome.folder is not None
    assert {"sfm/photos.json", "3dgs/scene.ply", "compressor/scene.sog"} <= names(outcome.folder)


def test_a_delivery_that_finds_no_room_for_the_result_keeps_the_scene(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "out"))

    monkeypatch.setattr(delivery, "move", full)  # the last step: the stages' files have been renamed already
    outcome = go(photos, tmp_path / "out")
    assert outcome.summary["error"] == "DISK_FULL"
    assert outcome.folder is not None
    kept = names(outcome.folder)
    assert {"delivered/scene.sog", "delivered/viewer/index.html", "delivered/report.html"} <= kept
    assert "upload.zip" not in kept


def test_a_stage_that_refuses_its_input_leaves_its_evidence(photos: Path, tmp_path: Path) -> None:
    refuse = """
(ml / "processing/evidence").mkdir(parents=True)
(ml / "processing/evidence/photos.json").write_text("[]")
fail("LOW_REGISTRATION", "3 of 6 photos placed")
"""
    outcome = go(photos, tmp_path / "out", played(sfm=refuse))
    assert outcome.summary["error"] == "LOW_REGISTRATION"
    assert outcome.folder is not None
    assert {"sfm/photos.json", "sfm-1.log"} <= names(outcome.folder)


def test_ctrl_c_stops_the_stage_and_keeps_what_was_finished(photos: Path, tmp_path: Path, interruptible: None) -> None:
    interrupt = "os.kill(os.getppid(), 2); import time; time.sleep(60)"
    outcome = go(photos, tmp_path / "out", played(training=interrupt))
    assert (outcome.status, outcome.summary["error"]) == ("stopped", "STOPPED")
    assert outcome.folder is not None
    assert "sfm/photos.json" in names(outcome.folder)


def test_each_stage_runs_alone_on_what_the_one_before_left(photos: Path, tmp_path: Path) -> None:
    sfm = go(photos, tmp_path / "sfm", only=Stage.SFM)
    assert sfm.folder is not None
    assert {"result.json", "photos.json"} <= names(sfm.folder)
    counts = json.loads((sfm.folder / "result.json").read_text())["counts"]
    assert counts["registered"] > 0
    assert (sfm.summary["photos"], sfm.summary["registered"]) == (counts["photos"], counts["registered"])
    splat = tmp_path / "House.PLY"
    splat.write_text("splat")
    compressed = go(splat, tmp_path / "splat", only=Stage.COMPRESSOR)
    assert compressed.folder is not None
    assert (compressed.folder / "scene.sog").read_text() == "splat"


def test_a_splat_alone_is_compressed_and_delivered(tmp_path: Path) -> None:
    splat = tmp_path / "House.PLY"
    splat.write_text("splat")
    outcome = go(splat, tmp_path / "out")
    assert outcome.folder is not None
    assert {"scene.sog", "report.html"} <= names(outcome.folder)
    assert list(outcome.summary["seconds"]) == ["compressor"]


def test_the_compressor_gets_the_cameras_for_survey_products_unless_none_are_wanted(
    photos: Path, tmp_path: Path
) -> None:
    looks = "\nseen = (ml / 'processing/input/cameras/photos.json').is_file()\n"
    looks += "result(ml / 'processing/output', 'compressor', {'scene.sog': str(seen)}, bytes=7)\n"
    outcome = go(photos, tmp_path / "out", played(compressor=looks))
    assert outcome.folder is not None
    assert (outcome.folder / "scene.sog").read_text() == "True"
    options = JobOptions.model_validate({"products": 0})
    plan = Plan(read_source(photos, None), tuple(Stage), options, tmp_path, logo=photos / "notes.txt")
    cameras = FinishedStage(StageRun(job_id="a", stage=Stage.SFM, attempt=1), tmp_path, 1.0)
    assert run_module.beside(Stage.COMPRESSOR, plan, [cameras]) == {}


def test_the_compressor_gets_the_company_and_its_logo(photos: Path, tmp_path: Path) -> None:
    looks = "\nlogo = ''.join(path.read_text() for path in (ml / 'processing/input/branding').iterdir())\n"
    looks += "seen = [logo, *(os.environ[f'COMPANY_{name}'] for name in ('NAME', 'ADDRESS', 'LOGO'))]\n"
    looks += "result(ml / 'processing/output', 'compressor', {'scene.sog': '|'.join(seen)}, bytes=7)\n"
    company = Company("Söhne & Co", "Ulm")
    outcome = go(photos, tmp_path / "out", played(compressor=looks), company=company, logo=photos / "notes.txt")
    assert outcome.folder is not None, outcome.error
    assert (outcome.folder / "scene.sog").read_text() == "not a photo|Söhne & Co|Ulm|notes.txt"


def test_a_fault_of_ours_costs_nothing_that_was_finished(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise KeyError("verdict")

    monkeypatch.setattr(run_module, "deliver", broken)
    outcome = go(photos, tmp_path / "out")
    assert outcome.summary["error"] == "INTERNAL"
    assert outcome.folder is not None
    assert {"sfm/photos.json", "compressor/scene.sog", "spaceport.log"} <= names(outcome.folder)
