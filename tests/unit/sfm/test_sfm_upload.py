"""Reading an upload: what is damaged, not opened or of no use in it is named."""

from __future__ import annotations

import math
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sfm import stage
from sfm.budget import TimeBudget
from sfm.film.frames import Frames
from sfm.stage import Upload, _Work
from stage.contract import Folders, StageContext
from stage.environment import Options
from stage.progress import ProgressReporter
from tests.support.corpus import encoded
from tests.unit.sfm.test_sfm_ingest import picture

LIST = b"EPSG:32632\n500000 5316300 520 1 2 0.jpg A\n"
PHOTOS = {f"{number}.jpg": encoded(picture(seed=number)) for number in range(3)}


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Upload]:
    """Read an upload of these files, the one named `damaged` with a bit flipped, without child processes or decoders of
    films."""

    def run(task: Callable[..., Any], arguments: tuple[Any, ...], progress: Callable[[float], None]) -> Any:
        return task(*arguments, progress)

    monkeypatch.setattr(stage, "run_native", run)
    monkeypatch.setattr(stage, "frames_of", lambda *_arguments: Frames([]))

    def read(files: dict[str, bytes], damaged: str | None = None) -> Upload:
        folders = Folders(tmp_path)
        archive = folders.processing_input("upload") / "upload.zip"
        archive.parent.mkdir(parents=True)
        with zipfile.ZipFile(archive, "w") as written:
            for name, body in files.items():
                written.writestr(name, body)
        if damaged is not None:
            whole = bytearray(archive.read_bytes())
            whole[whole.index(files[damaged]) + 5] ^= 1
            archive.write_bytes(whole)
        progress = ProgressReporter("sfm", "job-1", 1, lambda _detail: None)
        context = StageContext("job-1", 1, Options(), folders, tmp_path / "scratch", progress, threading.Event())
        return _Work(context, TimeBudget(math.inf), 1).read_upload()

    return read


def warned(upload: Upload) -> list[tuple[str, list[str]]]:
    return [(warning.code, warning.names) for warning in upload.warnings]


def test_a_damaged_list_of_control_points_is_named(read: Callable[..., Upload]) -> None:
    upload = read({**PHOTOS, "survey/gcp_list.txt": LIST}, damaged="survey/gcp_list.txt")
    assert len(upload.photos) == 3
    assert upload.gcp_files == []
    assert warned(upload) == [("CONTROL_POINTS_UNUSED", ["survey/gcp_list.txt"])]


def test_what_is_of_no_use_beside_a_film_is_named(read: Callable[..., Upload]) -> None:
    files = {"flight.mp4": bytes(1000), "flight.SRT": b"1\n00:00:00,000", "photos.zip": b"PK", "gcp_list.txt": LIST}
    upload = read(files, damaged="flight.SRT")
    assert upload.nested == ["photos.zip"]
    assert warned(upload) == [("TELEMETRY_DAMAGED", ["flight.SRT"]), ("CONTROL_POINTS_UNUSED", ["gcp_list.txt"])]
