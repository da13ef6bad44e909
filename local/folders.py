"""Folders of photos that come in and folders of results that go out: nothing that was there before is lost."""

from __future__ import annotations

import errno
import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from contract.codes import ErrorCode
from contract.stages import PipelineStep
from contract.wanted import wanted_of

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


# what a result holds for people to open, and what it is called in a terminal
SHOWN = {
    "viewer/index.html": "viewer",
    "scene.sog": "splat",
    "report.html": "report",
    "preview.png": "picture",
    "orbit.webp": "orbit",
}


def code_of(fault: OSError) -> ErrorCode:
    """DISK_FULL if there is no space left; INTERNAL for any other fault of the disk."""
    return ErrorCode.DISK_FULL if fault.errno in _NO_ROOM else ErrorCode.INTERNAL


def walk(folder: Path) -> Iterator[Path]:
    """The files below a folder, in order of their names; links to folders are not followed."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            if (path := Path(parent, name)).is_file():
                yield path


def pack(folder: Path, archive: Path) -> None:
    """Write what sfm reads of a folder into a ZIP, stored: neither photos nor films shrink. Raises OSError."""
    files = {path: PurePosixPath(path.relative_to(folder).as_posix()) for path in walk(folder)}
    wanted = wanted_of(PipelineStep.FULL, list(files.values()))
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED, strict_timestamps=False) as sink:
        for path, name in files.items():
            if wanted(name):
                sink.write(path, readable(str(name)))


def readable(name: str) -> str:
    """The name of a file or folder as text: one that is not UTF-8 was most likely written in Latin-1."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return os.fsencode(name).decode("latin-1")
    return name


def free_folder(wanted: Path) -> Path:
    """`wanted`, or the first of `wanted-2`, `-3`, … that holds nothing: earlier results stay."""
    number, folder = 1, wanted
    while folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        number += 1
        folder = wanted.with_name(f"{wanted.name}-{number}")
    return folder


def move(finished: Path, folder: Path) -> None:
    """Put a finished folder in its place, where there is nothing or an empty folder. Raises OSError.

    An empty folder stays and is filled: it may be a shell's working directory, or a link to another disk.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    if not folder.is_dir():
        shutil.move(finished, folder)
        return
    if any(folder.iterdir()):
        raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(folder))
    for path in list(finished.iterdir()):
        shutil.move(path, folder)
    finished.rmdir()
