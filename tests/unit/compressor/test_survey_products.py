"""The survey products beside a scene: made in a separate process, and the scene is complete without them."""

from __future__ import annotations

import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from plyfile import PlyData, PlyElement

from compressor import products
from compressor.join import join_blocks
from compressor.products import make_products, photo_rows
from contract.blocks import Box, Hull, read_for_survey
from contract.branding import Company
from domain.joined_results import BlockResult, joined_result
from geo.boxes import box_shares, hull_share, in_box
from splat.fading import with_shares
from splat.ply import read_stored_ply, write_ply
from stage.contract import Folders, StageContext, Stopwatch
from stage.environment import Options
from stage.errors import ErrorCode, StageError
from stage.progress import ProgressReporter, log_sink
from stage.result import Warning
from tests.support.blocks import plan_of
from tests.support.mails import png
from tests.unit.products import scenes
from tests.unit.products.test_quality import SURVEY


@pytest.fixture
def context(tmp_path: Path) -> StageContext:
    (tmp_path / "scratch").mkdir()
    folders = Folders(tmp_path / "ml")
    folders.processing_output.mkdir(parents=True)
    return StageContext(
        job_id="a",
        attempt=1,
        options=Options(gsd_millimetres=200, epsg=2056, name="Old mill"),
        folders=folders,
        scratch=tmp_path / "scratch",
        progress=ProgressReporter("compressor", "a", 1, log_sink),
        stopping=threading.Event(),
        stopwatch=Stopwatch(),
    )


@pytest.fixture
def model(context: StageContext, tmp_path: Path) -> Path:
    """Training's output, with that of structure from motion as the stage's second input."""
    found, cameras = scenes.write_scene(tmp_path / "scene")
    inputs = context.folders.processing_input("cameras")
    inputs.parent.mkdir(parents=True)
    cameras.rename(inputs)
    return found


def ignored(_share: float, _text: str) -> None:
    return


def program(path: Path, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs a `line` of shell in place of Python."""
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


RESULT: dict[str, Any] = {
    **{"version": 1, "stage": "3dgs", "jobId": "a", "attempt": 1, "counts": {}, "warnings": []},
    "metrics": {"exposure": {"photos": [{"name": "000001.jpg", "gain": [1.0, 1.0, 1.0]}]}},
    "timings": {"train": 60.0},
    "resources": {"wallSeconds": 70.0, "cpuSeconds": 90.0, "peakMemoryBytes": 10**9},
}


def divided(model: Path, folder: Path) -> Path:
    """The scene of `model` as two blocks and a coarse model write it, with the result of WeighBlocks for them."""
    boxes = [Box((None, None), (0.0, None)), Box((0.0, None), (None, None))]
    plan = plan_of(boxes, fade=0.5, hull=Hull((-9.0, -9.0, -5.0), (9.0, 9.0, 9.0)))
    stored, dense = read_stored_ply(model / "scene.ply"), PlyData.read(str(model / "dense.ply"))["vertex"].data
    (model / "result.json").write_text(json.dumps(RESULT))
    shutil.copytree(model, folder / "coarse")
    (folder / "coarse" / "blocks.json").write_text(json.dumps(plan.as_json()))
    places = stored.gaussians.means.astype(np.float64)
    shares = box_shares(plan, places) * hull_share(plan, places)
    for number, (box, share) in enumerate(zip(boxes, shares, strict=True), start=1):
        block = folder / "blocks" / f"{number:02d}"
        block.mkdir(parents=True)
        write_ply(block / "scene.ply", with_shares(stored.gaussians, share), stored.marks)
        own = dense[in_box(box, np.stack([dense["x"], dense["y"]], axis=1).astype(np.float64))]
        PlyData([PlyElement.describe(own, "vertex")], byte_order="<").write(str(block / "dense.ply"))
    blocks = [BlockResult(RESULT, 0.5, {}), BlockResult(RESULT, 0.5, {})]
    (folder / "result.json").write_text(json.dumps(joined_result(RESULT, blocks)))
    return folder


def test_a_flight_in_blocks_has_the_maps_and_the_report_of_the_whole(
    context: StageContext, model: Path, tmp_path: Path
) -> None:
    cameras = context.folders.processing_input("cameras")
    rows = [{"name": path.name, "original": path.name, "registered": True} for path in (cameras / "images").iterdir()]
    found_cameras = {
        **RESULT,
        "counts": {"points": 300},
        "metrics": {"overlapShare": 0.9},
        "timings": {"features": 9.0},
    }
    branding = context.folders.processing_input("branding")
    branding.mkdir()
    company = Company("-Söhne & Co", "Hauptstraße 12", "logo.svg")
    asked = replace(context.options, project="--quality=x", customer="A & B", site="Mill Lane 4", company=company)
    context = replace(context, options=asked)
    for name, content in (("survey", SURVEY), ("photos", rows), ("result", found_cameras)):
        (cameras / f"{name}.json").write_text(json.dumps(content))
    assert all(read_for_survey(path.relative_to(cameras).as_posix()) for path in cameras.rglob("*.*"))
    folder = divided(model, tmp_path / "divided")
    made = context.folders.processing_output / "products"
    pictures, products_of = [], []
    join_blocks(folder, tmp_path / "joined")
    unused = [Warning("LOGO_UNUSED", "logo.svg: it is not a readable PNG or JPEG")]
    for scene, logo, said in ((model, b"<svg/>", unused), (tmp_path / "joined", png(), [])):
        (branding / "logo").write_bytes(logo)
        found, warnings = make_products(context, scene, ignored)
        assert warnings == said
        assert found is not None
        products_of.append(found)
        pictures.append(np.asarray(Image.open(made / "orthophoto.jpg"), np.float64))
        page = (made / "quality.html").read_text(encoding="utf-8")
        assert ("data:image/png" in page) == (not said)
        for text in ("CPU seconds", "--quality=x", "A &amp; B", "Mill Lane 4", "-Söhne &amp; Co", "Hauptstraße 12"):
            assert text in page
        shutil.rmtree(made)
    whole, blocks = products_of
    assert set(blocks["files"]) == set(whole["files"]) >= {"orthophoto.tif", "surface.tif", "points.laz", "quality.pdf"}
    assert blocks["surface"]["sigmaMedian"] == pytest.approx(whole["surface"]["sigmaMedian"], rel=0.1)
    assert blocks["map"]["areaSquareMetres"] == pytest.approx(whole["map"]["areaSquareMetres"], rel=0.02)
    assert pictures[0].shape == pictures[1].shape
    assert np.abs(pictures[0] - pictures[1]).mean() < 2


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
