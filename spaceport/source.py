"""What the command line was given: a ZIP, a folder of photos, a film, a COLMAP scene, a splat, or what a stage left."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from contract.archive import Entry, is_scene_photo, is_splat, model_folders
from contract.codes import ErrorCode
from contract.stages import PipelineStep, Stage
from domain.errors import RejectedUpload
from domain.preflight import check_bare_film, check_entries, read_entries
from domain.upload_kind import START_BYTES, UploadKind, kind_of
from local.folders import walk

RESULT = "result.json"


@dataclass(frozen=True)
class Source:
    """An input that passed preflight. `step`: where its job starts; `photos`: 0 for a splat or a film;
    `bytes`: of its files.
    """

    path: Path
    step: PipelineStep
    photos: int
    bytes: int

    @property
    def name(self) -> str:
        return (self.path.resolve() if self.path.is_dir() else self.path.with_suffix("")).name

    @property
    def is_photo_folder(self) -> bool:
        return self.path.is_dir() and self.step is PipelineStep.FULL


def read_source(path: Path, only: Stage | None = None) -> Source:
    """Look at the input, as the preflight of an upload does: nothing is unpacked.

    `only` says for which stage the input is; otherwise its content does. Raises FileNotFoundError, and RejectedUpload
    with the code and the facts.
    """
    if path.is_file() and (only or Stage.SFM) is Stage.SFM:
        with path.open("rb") as stream:
            if kind_of(path.name, stream.read(START_BYTES)) is UploadKind.FILM:
                check_bare_film(stream)
                return Source(path, PipelineStep.FULL, 0, path.stat().st_size)
    entries, size = _entries(path)
    step = PipelineStep.for_stage(only) if only else _step_of(path, entries)
    if step is PipelineStep.COMPRESSION and path.is_dir():
        if not (path / "scene.ply").is_file():
            raise RejectedUpload(ErrorCode.INVALID_SPLAT, "there is no scene.ply in the folder")
        return Source(path, step, 0, size)
    if step is PipelineStep.COMPRESSION and is_splat(PurePosixPath(path.name)):
        return Source(path, step, 0, size)
    if is_splat(PurePosixPath(path.name)) and path.is_file():
        raise RejectedUpload(ErrorCode.NOT_A_ZIP, f"{path.name} is a .ply file")
    return Source(path, step, check_entries(entries, size, step), size)


def _entries(path: Path) -> tuple[list[Entry], int]:
    """The files of a ZIP or a folder, and the bytes that they take; none of a .ply."""
    if path.is_dir():
        found = [
            Entry(file.relative_to(path).as_posix(), size, size)
            for file in walk(path)
            if (size := file.stat().st_size) is not None
        ]
        return found, sum(entry.bytes for entry in found)
    size = path.stat().st_size
    if is_splat(PurePosixPath(path.name)):
        return [], size
    with path.open("rb") as stream:
        return read_entries(stream), size


def _step_of(path: Path, entries: list[Entry]) -> PipelineStep:
    paths = [entry.path for entry in entries]
    if not entries and path.is_file():
        return PipelineStep.COMPRESSION
    if {PurePosixPath("scene.ply"), PurePosixPath(RESULT)} <= set(paths):
        return PipelineStep.COMPRESSION
    if model_folders(paths) and any(map(is_scene_photo, paths)):
        return PipelineStep.TRAINING
    return PipelineStep.FULL
