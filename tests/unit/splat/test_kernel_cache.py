"""The location of compiled kernels."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


def index(folder: Path, source: str = "now") -> Any:
    return kernels.caching.IndexDataCacheFile(str(folder), "kernel-1.py311", source)


def while_writing(cache: Any, monkeypatch: pytest.MonkeyPatch, work: Callable[[], None]) -> None:
    """Let `work` happen just before `cache` writes a compiled kernel."""
    write = cache._save_data

    def late(name: str, data: object) -> None:
        work()
        write(name, data)

    monkeypatch.setattr(cache, "_save_data", late)


def test_processes_that_compile_at_once_do_not_write_to_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = index(tmp_path), index(tmp_path)
    monkeypatch.setattr(other, "_load_index", lambda: {})  # it looked before
    while_writing(one, monkeypatch, lambda: other.save("float32", "compiled for float32"))
    one.save("float64", "compiled for float64")
    found = {key: index(tmp_path).load(key) for key in ("float32", "float64")}
    assert found == {key: f"compiled for {key}" for key in found}


def test_nobody_loads_what_an_older_source_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index(tmp_path, "before").save("key", "old")
    cache, found = index(tmp_path), []
    while_writing(cache, monkeypatch, lambda: found.append(index(tmp_path).load("key")))
    cache.save("key", "new")
    assert found == [None]
    assert index(tmp_path).load("key") == "new"
