"""The location of compiled kernels."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from splat import kernels
from splat.kernels import cache_folder

PACKAGE = Path(kernels.__file__).parent


def test_a_change_of_any_source_changes_the_folder(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1")
    (tmp_path / "b.py").write_text("y = 1")
    before = cache_folder(tmp_path, "", Path("/tmp"))
    assert before == cache_folder(tmp_path, "", Path("/tmp"))
    assert before.parent == tmp_path / "__pycache__"
    (tmp_path / "b.py").write_text("y = 2")
    assert cache_folder(tmp_path, "", Path("/tmp")) != before


def test_the_configured_folder_comes_first(tmp_path: Path) -> None:
    assert cache_folder(tmp_path, "/var/cache/numba", Path("/tmp")).parent == Path("/var/cache/numba")


def test_a_package_that_cannot_be_written_is_cached_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert cache_folder(PACKAGE, "", tmp_path).is_relative_to(tmp_path)


def test_kernels_compile_into_the_configured_folder(tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(PACKAGE.parent)}
    code = "import numpy as np; from splat.loss import _blur_row; _blur_row(np.ones(14, 'f4'), np.empty(4, 'f4'))"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=120)
    assert list(tmp_path.rglob("loss._blur_row-*.nbi"))
