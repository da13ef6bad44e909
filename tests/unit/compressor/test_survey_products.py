"""The survey products beside a scene: made in a process of their own, and missed without harm to the scene."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from compressor import products
from compressor.products import make_products, photo_rows
from stage.contract import Folders, StageContext, Stopwatch
from stage.environment import Options
from stage.errors import ErrorCode, StageError
from stage.progress import ProgressReporter, log_sink
from tests.unit.products import scenes


@pytest.fixture
def context(tmp_path: Path) -> StageContext:
    (tmp_path / "scratch").mkdir()
    folders = Folders(tmp_path / "ml")
    folders.processing_output.mkdir(parents=True)
    return StageContext(
        job_id="a",
        attempt=1,
        options=Options(gsd_millimetres=200, epsg=2056, scene_name="Old mill"),
        folders=folders,
        scratch=tmp_path / "scratch",
        progress=ProgressReporter("compressor", "a", 1, log_sink),
        stopping=threading.Event(),
        stopwatch=Stopwatch(),
    )


@pytest.fixture
def model(context: StageContext, tmp_path: Path) -> Path:
    """Training's output, with that of structure from motion in the stage's second input."""
    found, cameras = scenes.write_scene(tmp_path / "scene")
    inputs = context.folders.processing_input("cameras")
    inputs.parent.mkdir(parents=True)
    cameras.rename(inputs)
    return found


def ignored(_share: float, _text: str) -> None:
    return


def program(path: Path, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run `line` of shell where Python would run."""
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(path))


def test_products_lie_beside_the_scene_as_the_customer_asked_for_them(context: StageContext, model: Path) -> None:
    said: list[tuple[float, str]] = []
    found, warnings = make_products(context, model, lambda share, text: said.append((share, text)))
    assert warnings == []
    assert found is not None
    assert found["system"]["epsg"] == 2056
    assert found["map"]["cell"] == 0.2
    folder = context.folders.processing_output / "products"
    assert {path.name for path in folder.iterdir()} == {*found["files"], "products.json"}
    assert said
    assert all(0 <= share <= 1 and text for share, text in said)


def test_a_splat_without_photos_has_none_and_nothing_is_said(context: StageContext, tmp_path: Path) -> None:
    assert make_products(context, tmp_path, ignored) == (None, [])


def test_the_photos_rows_come_with_the_cameras_and_none_without(context: StageContext) -> None:
    assert photo_rows(context) is None
    inputs = context.folders.processing_input("cameras")
    inputs.mkdir(parents=True)
    (inputs / "photos.json").write_text('[{"name": "000001.jpg", "original": "a/DSC_1.JPG", "registered": true}]')
    assert photo_rows(context) == [{"name": "000001.jpg", "original": "a/DSC_1.JPG", "registered": True}]
    (inputs / "photos.json").write_text("[")
    assert photo_rows(context) is None


def test_what_is_missing_is_said_and_the_rest_is_there(context: StageContext, model: Path) -> None:
    asked = replace(context, options=replace(context.options, epsg=4326))
    found, (warning,) = make_products(asked, model, ignored)
    assert found is not None
    assert warning.code == "PRODUCTS_MISSING"
    assert "WGS 84 is not a projected system" in warning.message
    assert (context.folders.processing_output / "products" / "products.json").is_file()


def test_a_fault_costs_the_products_alone(context: StageContext, model: Path) -> None:
    (model / "dense.ply").write_bytes(b"ply\nnonsense")
    found, (warning,) = make_products(context, model, ignored)
    assert found is None
    assert warning.code == "PRODUCTS_MISSING"
    assert "an internal error" in warning.message
    assert not (context.folders.processing_output / "products").exists()


def test_memory_that_runs_out_costs_the_products_alone(
    context: StageContext, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "python", "kill -9 $$", monkeypatch)
    found, (warning,) = make_products(context, model, ignored)
    assert found is None
    assert "memory ran out" in warning.message


def test_products_that_take_too_long_are_given_up(
    context: StageContext, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "python", f"sleep 3; touch {tmp_path}/survived", monkeypatch)
    monkeypatch.setattr(products, "MAX_SECONDS", 0)
    found, (warning,) = make_products(context, model, ignored)
    assert found is None
    assert "gsdMillimetres" in warning.message
    assert not (tmp_path / "survived").exists()


def test_strange_lines_are_passed_over(
    context: StageContext, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported = tmp_path / "reported"
    wait = f"for _ in $(seq 600); do [ -e {reported} ] && exit 0; sleep 0.1; done; exit 1"
    staging = context.scratch / "products"
    figures = f"mkdir {staging}; echo '{{\"missing\": {{}}}}' > {staging}/products.json"
    lines = r"0.2500 drawing\nWarning: deprecated\n\377\n\nnan nan\n17 4\n0.5"
    program(tmp_path / "python", f"{figures}; printf '{lines}'; {wait}", monkeypatch)
    said: list[tuple[float, str]] = []

    def progress(share: float, text: str) -> None:
        said.append((share, text))
        reported.touch()

    assert make_products(context, model, progress) == ({"missing": {}}, [])
    assert set(said) == {(0.25, "drawing")}


def test_a_disk_that_fills_up_costs_the_products_alone(
    context: StageContext, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    staging = context.scratch / "products"
    figures = f"mkdir {staging}; echo '{{\"missing\": {{}}}}' > {staging}/products.json"
    program(tmp_path / "python", figures, monkeypatch)

    def move(source: Path, goal: Path) -> None:
        shutil.copytree(source, goal)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("compressor.products.shutil.move", move)
    found, (warning,) = make_products(context, model, ignored)
    assert found is None
    assert warning.code == "PRODUCTS_MISSING"
    assert "could not be written" in warning.message
    assert not (context.folders.processing_output / "products").exists()


@pytest.mark.parametrize("content", ["", "{", "\\377", "{}", "[]", "null"])
def test_figures_that_cannot_be_read_cost_the_products_alone(
    content: str, context: StageContext, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    staging = context.scratch / "products"
    program(tmp_path / "python", f"mkdir {staging}; printf '{content}' > {staging}/products.json", monkeypatch)
    found, (warning,) = make_products(context, model, ignored)
    assert found is None
    assert "could not be written" in warning.message
    assert not (context.folders.processing_output / "products").exists()


def test_a_process_that_cannot_be_started_costs_the_products_alone(
    context: StageContext, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "nothing"))
    found, (warning,) = make_products(context, model, ignored)
    assert found is None
    assert warning.code == "PRODUCTS_MISSING"


def test_a_stop_ends_the_process(
    context: StageContext, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "python", f'echo "0.5 drawing"; sleep 3; touch {tmp_path}/survived', monkeypatch)
    with pytest.raises(StageError) as raised:
        make_products(context, model, lambda _share, _text: context.stopping.set())
    assert raised.value.code is ErrorCode.INTERRUPTED
    assert not (tmp_path / "survived").exists()
