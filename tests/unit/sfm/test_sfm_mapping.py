"""Mapping once or twice: the time that each may take, and how often a model is adjusted."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pycolmap
import pytest

from sfm.database import write_database
from sfm.exif import Metadata
from sfm.features import Features
from sfm.mapping import Mapped, map_scene
from sfm.photos import Photo
from tests.unit.sfm.models import SIZE, as_simple, flight, lens


@pytest.fixture(scope="module")
def rectilinear() -> pycolmap.Reconstruction:
    return as_simple(flight(lens("SIMPLE_RADIAL", 500.0, 0.0)))


@pytest.fixture(scope="module")
def fisheye() -> pycolmap.Reconstruction:
    return as_simple(flight(lens("RADIAL_FISHEYE", 300.0, 0.01, -0.003)))


@dataclass
class Mapper:
    """Replaces COLMAP's mapping: returns `model` each time, and takes the number of seconds in `takes`."""

    model: pycolmap.Reconstruction
    takes: list[float]
    now: float = 1000.0
    limits: list[int] = field(default_factory=list)

    def __call__(self, _database: Path, _images: Path, _output: Path, options: Any, **_callbacks: Any) -> Any:
        self.limits.append(options.max_runtime_seconds)
        self.now += self.takes[len(self.limits) - 1]
        return {0: pycolmap.Reconstruction(self.model)}


def mapped(
    folder: Path, model: pycolmap.Reconstruction, takes: list[float], seconds: float, monkeypatch: pytest.MonkeyPatch
) -> tuple[Mapper, Mapped]:
    photos = [Photo("0.jpg", "0.JPG", Path(), *SIZE, Metadata())]
    write_database(folder / "colmap.db", photos, [Features(np.zeros((0, 4), np.float32), np.zeros((0, 128), np.uint8))])
    mapper = Mapper(model, takes)
    monkeypatch.setattr("sfm.mapping.pycolmap.incremental_mapping", mapper)
    monkeypatch.setattr("sfm.mapping.time", SimpleNamespace(monotonic=lambda: mapper.now))
    (folder / "model").mkdir()
    return mapper, map_scene(folder / "colmap.db", folder / "model", 16, 1, seconds, lambda _share: None)


def test_the_second_mapping_gets_the_time_that_the_first_left(
    tmp_path: Path, fisheye: pycolmap.Reconstruction, monkeypatch: pytest.MonkeyPatch
) -> None:
    mapper, found = mapped(tmp_path, fisheye, [40.0, 30.0], 100.0, monkeypatch)
    assert mapper.limits == [100, 60]
    assert not found.cut_short


def test_a_second_mapping_that_runs_out_of_time_is_cut_short(
    tmp_path: Path, fisheye: pycolmap.Reconstruction, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, found = mapped(tmp_path, fisheye, [40.0, 60.0], 100.0, monkeypatch)
    assert found.cut_short


def test_without_time_for_a_second_mapping_the_first_stays(
    tmp_path: Path, fisheye: pycolmap.Reconstruction, monkeypatch: pytest.MonkeyPatch
) -> None:
    mapper, found = mapped(tmp_path, fisheye, [60.0], 100.0, monkeypatch)
    assert mapper.limits == [100]
    assert not found.cut_short
    (camera,) = pycolmap.Reconstruction(tmp_path / "model").cameras.values()
    assert camera.model_name == "RADIAL_FISHEYE"


def test_a_lens_that_fits_is_mapped_once_and_adjusted_once_for_each_question(
    tmp_path: Path, rectilinear: pycolmap.Reconstruction, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it fits as it is, and whether it is a fisheye."""
    adjustments: list[int] = []
    adjust = pycolmap.bundle_adjustment

    def counted(*arguments: Any) -> None:
        adjustments.append(1)
        adjust(*arguments)

    monkeypatch.setattr(pycolmap, "bundle_adjustment", counted)
    mapper, found = mapped(tmp_path, rectilinear, [60.0], math.inf, monkeypatch)
    assert mapper.limits == [-1]
    assert (len(adjustments), found.cut_short) == (2, False)
