"""What the command line takes for photos, a scene or a splat, and what it refuses with which code."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from contract.stages import PipelineStep, Stage
from domain.errors import RejectedUpload
from local.folders import pack
from spaceport.source import read_source


def photos_in(folder: Path, count: int = 6) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"DJI_{number}.JPG").write_bytes(b"photo")
    return folder


def code_of(path: Path, only: Stage | None = None) -> str:
    with pytest.raises(RejectedUpload) as refused:
        read_source(path, only)
    return refused.value.error.code


def test_the_content_says_where_a_job_starts(tmp_path: Path) -> None:
    photos = photos_in(tmp_path / "flight" / "100MEDIA").parent
    scene = photos_in(tmp_path / "scene" / "images").parent
    (scene / "sparse" / "0").mkdir(parents=True)
    for name in ("cameras.bin", "images.bin", "points3D.bin"):
        (scene / "sparse" / "0" / name).write_bytes(b"model")
    trained = tmp_path / "trained"
    trained.mkdir()
    (trained / "scene.ply").write_text("ply")
    (trained / "result.json").write_text("{}")
    splat = tmp_path / "splat.ply"
    splat.write_text("ply")
    assert [read_source(path).step for path in (photos, scene, trained, splat)] == [
        PipelineStep.FULL,
        PipelineStep.TRAINING,
        PipelineStep.COMPRESSION,
        PipelineStep.COMPRESSION,
    ]
    assert (read_source(photos).photos, read_source(scene).photos, read_source(splat).photos) == (6, 6, 0)
    assert read_source(scene, Stage.SFM).step is PipelineStep.FULL  # when asked to, its photos alone count


def test_what_cannot_work_is_refused_with_the_codes_of_an_upload(tmp_path: Path) -> None:
    text, empty, rar = tmp_path / "renamed.zip", tmp_path / "empty.zip", tmp_path / "photos.rar"
    text.write_text("a text")
    empty.write_bytes(b"")
    rar.write_bytes(b"Rar!\x1a\x07\x01\x00")
    assert {code_of(path) for path in (text, empty, rar)} == {"NOT_A_ZIP"}
    assert code_of(photos_in(tmp_path / "few", 2)) == "TOO_FEW_PHOTOS"
    films = tmp_path / "films"
    films.mkdir()
    (films / "a.mp4").write_bytes(b"film")
    assert code_of(films) == "UNSUPPORTED_PHOTOS"
    (tmp_path / "nothing").mkdir()
    assert code_of(tmp_path / "nothing") == "EMPTY_ARCHIVE"
    assert code_of(photos_in(tmp_path / "photos"), Stage.TRAINING) == "INVALID_SCENE"
    assert code_of(tmp_path / "photos", Stage.COMPRESSOR) == "INVALID_SPLAT"
    splat = tmp_path / "splat.ply"
    splat.write_text("ply")
    assert code_of(splat, Stage.SFM) == "NOT_A_ZIP"
    with pytest.raises(FileNotFoundError):
        read_source(tmp_path / "nowhere")


def test_a_folder_is_packed_as_it_lies_without_what_no_stage_reads(tmp_path: Path) -> None:
    folder = photos_in(tmp_path / "flight" / "deep").parent
    (folder / "gcp_list.txt").write_text("EPSG:4326")
    (folder / "film.mp4").write_bytes(b"film")
    pack(folder, tmp_path / "upload.zip")
    with zipfile.ZipFile(tmp_path / "upload.zip") as archive:
        assert archive.namelist() == ["gcp_list.txt", *[f"deep/DJI_{number}.JPG" for number in range(6)]]
        assert archive.read("deep/DJI_3.JPG") == b"photo"
