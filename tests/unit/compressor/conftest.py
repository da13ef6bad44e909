"""Small splats, a model's folder and a viewer's bundle that the compressor's tests share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from compressor import stage
from splat.gaussians import Gaussians
from tests.support.splats import make_splat

MakeSplat = Callable[..., Gaussians]


@pytest.fixture(scope="session", name="make_splat")
def make_splat_fixture() -> MakeSplat:
    return make_splat


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "ml/processing/input/model"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    for name in ("viewer.js", "viewer.css", "LICENSE"):
        (folder / name).write_text(f"/* {name} */")
    monkeypatch.setattr(stage, "BUNDLE", folder)
    return folder
