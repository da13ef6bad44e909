"""What the command line accepts as photos, a scene or a splat, and what it refuses with which code."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from contract.stages import PipelineStep, Stage
from domain.errors import RejectedUpload
from local.folders import pack
from spaceport.source import read_source
from tests.support.films import small_film
from tests.support.plys import NO_SPLATS, ply_of
from tests.unit.spaceport.photos import photos_in


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
    assert read_source(scene, Stage.SFM).step is PipelineStep.FULL  # on request, only its photos count


def test_a_large_scene_is_cut_into_blocks_unless_one_stage_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "sparse").mkdir()
    for name in ("cameras.bin", "images.bin", "points3D.bin"):
        (tmp_path / "sparse" / name).write_bytes(b"model")
    for number in range(600):
        (tmp_path / "images" / f"{number}.jpg").write_bytes(b"photo")
    assert read_source(tmp_path).step is PipelineStep.SCENE
    assert read_source(tmp_path, Stage.TRAINING).step is PipelineStep.TRAINING
    (tmp_path / "images" / "7.jpg").unlink()
    assert read_source(tmp_path).step is PipelineStep.TRAINING


def test_what_cannot_work_is_refused_with_the_codes_of_an_upload(tmp_path: Path) -> None:
    text, empty, rar = tmp_path / "renamed.zip", tmp_path / "empty.zip", tmp_path / "photos.rar"
    text.write_text("a text")
    empty.write_bytes(b"")
    rar.write_bytes(b"Rar!\x1a\x07\x01\x00")
    assert {code_of(path) for path in (text, rar)} == {"NOT_A_ZIP"}
    assert code_of(empty) == "EMPTY_ARCHIVE"
    assert code_of(photos_in(tmp_path / "loose") / "DJI_0.JPG") == "LOOSE_PHOTOS"
    assert code_of(photos_in(tmp_path / "few", 2)) == "TOO_FEW_PHOTOS"
    films = tmp_path / "films"
    films.mkdir()
    (films / "a.avi").write_bytes(b"film")
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


def archive(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as made:
        for name in names:
            made.writestr(name, b"content")
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("scene.ply", ply_of()),
        ("scene.spz", b"anything"),
        ("scene.sog", b"anything"),
        ("scene.splat", b"anything"),
        ("no_suffix", ply_of()),
        ("no_suffix", b"NGSP"),
    ],
)
def test_a_splat_in_any_format_is_compressed(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    source = read_source(tmp_path / name)
    assert (source.step, source.photos, source.bytes) == (PipelineStep.COMPRESSION, 0, len(content))
    assert read_source(tmp_path / name, Stage.COMPRESSOR).step is PipelineStep.COMPRESSION
    with pytest.raises(RejectedUpload, match="is a splat"):
        read_source(tmp_path / name, Stage.TRAINING)
    (tmp_path / "empty.spz").write_bytes(b"")
    assert code_of(tmp_path / "empty.spz") == "INVALID_SPLAT"
    (tmp_path / "mesh.ply").write_bytes(NO_SPLATS["a mesh"])
    assert code_of(tmp_path / "mesh.ply") == "INVALID_SPLAT"
    (tmp_path / "a.ksplat").write_bytes(b"anything")
    assert code_of(tmp_path / "a.ksplat") == "INVALID_SPLAT"


def test_a_splat_alone_in_a_zip_or_a_folder_is_compressed(tmp_path: Path) -> None:
    alone = archive(tmp_path / "alone.zip", "export/scene.ply", "export/readme.txt")
    assert read_source(alone).step is PipelineStep.COMPRESSION
    iterations = [f"point_cloud/iteration_{n}/point_cloud.ply" for n in (7000, 30_000)]
    assert read_source(archive(tmp_path / "trained.zip", "input.ply", *iterations)).step is PipelineStep.COMPRESSION
    for name in ("input.ply", *iterations):
        file = tmp_path / "trained" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"ply")
    assert read_source(tmp_path / "trained").step is PipelineStep.COMPRESSION
    assert read_source(tmp_path / "trained", Stage.COMPRESSOR).step is PipelineStep.COMPRESSION
    beside = archive(tmp_path / "beside.zip", "scene.ply", *(f"{n}.jpg" for n in range(6)))
    assert (read_source(beside).step, read_source(beside).photos) == (PipelineStep.FULL, 6)
    assert code_of(archive(tmp_path / "two.zip", "a.ply", "b.ply"), Stage.COMPRESSOR) == "INVALID_SPLAT"


def test_a_film_is_an_input_like_photos(tmp_path: Path) -> None:
    small_film(tmp_path / "DJI_0001.MP4")
    source = read_source(tmp_path / "DJI_0001.MP4")
    assert (source.step, source.photos, source.is_photo_folder) == (PipelineStep.FULL, 0, False)
    assert read_source(tmp_path).step is PipelineStep.FULL
    pack(tmp_path, tmp_path / "upload.zip")
    with zipfile.ZipFile(tmp_path / "upload.zip") as archive:
        assert archive.namelist() == ["DJI_0001.MP4"]
    (tmp_path / "bad.mp4").write_bytes(b"film")
    assert code_of(tmp_path / "bad.mp4") == "UNREADABLE_FILM"


def test_a_folder_is_packed_as_it_lies_without_what_no_stage_reads(tmp_path: Path) -> None:
    folder = photos_in(tmp_path / "flight" / "deep").parent
    (folder / "gcp_list.txt").write_text("EPSG:4326")
    (folder / "film.mp4").write_bytes(b"film")
    pack(folder, tmp_path / "upload.zip")
    with zipfile.ZipFile(tmp_path / "upload.zip") as archive:
        assert archive.namelist() == ["gcp_list.txt", *[f"deep/DJI_{number}.JPG" for number in range(6)]]
        assert archive.read("deep/DJI_3.JPG") == b"photo"


def test_names_that_are_not_utf_8_are_packed_as_latin_1(tmp_path: Path) -> None:
    folder = photos_in(tmp_path / "flight")
    (folder / os.fsdecode("Dachfl\u00e4che.jpg".encode("latin-1"))).write_bytes(b"photo")
    assert read_source(folder).photos == 7
    pack(folder, tmp_path / "upload.zip")
    with zipfile.ZipFile(tmp_path / "upload.zip") as archive:
        assert "Dachfl\u00e4che.jpg" in archive.namelist()
