"""Bundle a Lambda function's code as `sam build` does, for this machine's Python."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

_EPOCH = (1980, 1, 1, 0, 0, 0)  # a fixed date: the same code gives the same bundle


class BundleError(Exception):
    """The requirements could not be installed."""


def build_bundle(code: Path, cache: Path) -> bytes:
    """A ZIP of the folder's files and the packages of its requirements.txt, without dependencies, as in the Makefile.

    The installed requirements are kept below `cache` by their file's hash. Raises BundleError.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for root, paths in _parts(code, cache):
            for path in paths:
                info = zipfile.ZipInfo(path.relative_to(root).as_posix(), _EPOCH)
                info.external_attr = 0o100644 << 16
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, path.read_bytes(), compresslevel=1)
    return buffer.getvalue()


def _parts(code: Path, cache: Path) -> Iterator[tuple[Path, list[Path]]]:
    requirements = code / "requirements.txt"
    if requirements.exists():
        installed = _installed(requirements, cache)
        yield installed, _files(installed)
    left_out = {"Makefile", "requirements.txt", "requirements.in"}
    yield code, [path for path in _files(code) if path.relative_to(code).as_posix() not in left_out]


def _files(root: Path) -> list[Path]:
    """The folder's files, including those of linked folders (the contract)."""
    walked = os.walk(root, followlinks=True)
    return sorted(Path(folder, name) for folder, _, names in walked for name in names if "__pycache__" not in folder)


def _installed(requirements: Path, cache: Path) -> Path:
    key = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:16]
    folder = cache / f"requirements-{key}"
    if folder.exists():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix="requirements-", dir=cache))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check"]
    command += ["--no-deps", "--requirement", str(requirements), "--target", str(partial)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        shutil.rmtree(partial)
        raise BundleError(f"pip could not install {requirements}:\n{result.stderr.strip()}")
    try:
        partial.rename(folder)
    except OSError:  # another process was first
        shutil.rmtree(partial)
    return folder
