"""What the command line was given: a ZIP, a folder of photos, a film, a COLMAP scene, a splat, or what a stage left."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from contract.archive import Entry
from contract.codes import ErrorCode
from contract.stages import PipelineStep, Stage
from contract.wanted import scene_of, wanted_of
from domain.errors import RejectedUpload
from domain.preflight import (
    check_bare_film,
    check_bare_splat,
    check_contents,
    check_entries,
    divided_from,
    read_entries,
    step_of,
)
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

    `only` says for which stage the input is; otherwise its content does. Raises FileNotFoundError, another OSError for
    what cannot be read, and RejectedUpload with the code and the facts.
    """
    if path.is_dir():
        return _folder(path, only)
    size = path.stat().st_size
    with path.open("rb") as stream:
        match kind_of(path.name, stream.read(START_BYTES)):
            case UploadKind.PHOTO:
                raise RejectedUpload(ErrorCode.LOOSE_PHOTOS)
            case UploadKind.FILM if only in (None, Stage.SFM):
                check_bare_film(stream)
                return Source(path, PipelineStep.FULL, 0, size)
            case UploadKind.KSPLAT:
                raise RejectedUpload(ErrorCode.INVALID_SPLAT, "it is a .ksplat")
            case UploadKind.SPLAT if only in (None, Stage.COMPRESSOR):
                check_bare_splat(stream, path.name, size)
                return Source(path, PipelineStep.COMPRESSION, 0, size)
            case UploadKind.SPLAT:
                raise RejectedUpload(ErrorCode.NOT_A_ZIP, f"{path.name} is a splat")
        if size == 0:
            raise RejectedUpload(ErrorCode.EMPTY_ARCHIVE, "0 bytes")
        entries = read_entries(stream)
        step = PipelineStep.for_stage(only) if only else _step_of(entries)
        photos = check_entries(entries, size, step)
        check_contents(stream, entries, step)
    return Source(path, step if only else divided_from(step, photos), photos, size)


def _folder(path: Path, only: Stage | None) -> Source:
    files = [(file, file.stat().st_size) for file in walk(path)]
    entries = [Entry(file.relative_to(path).as_posix(), size, size) for file, size in files]
    size = sum(size for _, size in files)
    step = PipelineStep.for_stage(only) if only else _step_of(entries)
    wanted = wanted_of(step, [entry.path for entry in entries])
    for (file, _), entry in zip(files, entries, strict=True):
        if wanted(entry.path) and not os.access(file, os.R_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))
    if step is PipelineStep.COMPRESSION and (path / "scene.ply").is_file():  # other splats beside it do not count
        return Source(path, step, 0, size)
    photos = check_entries(entries, size, step)
    return Source(path, step if only else divided_from(step, photos), photos, size)


def _step_of(entries: list[Entry]) -> PipelineStep:
    """Where files enter the pipeline: what a stage left, and a COLMAP scene, behind the stage that makes such."""
    paths = [entry.path for entry in entries]
    if {PurePosixPath("scene.ply"), PurePosixPath(RESULT)} <= set(paths):
        return PipelineStep.COMPRESSION
    scene = scene_of(paths)
    if scene is not None and any(map(scene.is_photo, paths)):
        return PipelineStep.TRAINING
    return step_of(entries, PipelineStep.FULL)
