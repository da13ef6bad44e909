"""The stage as SageMaker runs it: folders in, folders out, and a coded reason if it fails."""

from __future__ import annotations

import base64
import gzip
import json
import os
import signal
import threading
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from compressor import stage
from compressor.deliver.pictures import write_orbit, write_preview
from compressor.deliver.surroundings import default_surroundings
from compressor.encode.compress import Compressed, compress_each
from compressor.encode.encoder import arrange
from compressor.encode.pace import Pace
from compressor.encode.presets import Preset
from compressor.encode.quality import yardstick
from compressor.framing import frame_scene
from compressor.sog.codes import same_codes
from compressor.sog.container import read_codes, unpack_files
from compressor.sog.decoder import dequantise
from compressor.source import read_source
from contract.warning_codes import WarningCode
from splat.gaussians import Gaussians
from splat.loss import psnr
from splat.ply import write_ply
from splat.render import render
from splat.surroundings import background, read_surroundings, write_surroundings
from stage.contract import StageContext
from stage.result import Warning
from tests.support.compressing import run, write_scene
from tests.support.schemas import file_faults

MakeSplat = Callable[..., Gaussians]


def test_a_trained_scene_becomes_everything_that_is_delivered(
    model: Path, bundle: Path, tmp_path: Path, make_splat: MakeSplat
) -> None:
    splat = make_splat(500, 1)
    write_scene(model, splat)
    code, output = run(tmp_path, QUALITY="preview", SCENE_NAME="Old mill")
    assert code == 0
    result = json.loads((output / "result.json").read_text())
    assert file_faults(output, "compressor") == []
    files = {file["path"] for file in result["files"]}
    pictures = {"held_out/000001.jpg", "held_out/000002.jpg", "orbit.webp", "poster.jpg", "preview.png"}
    unbundled = {f"sog/{name}" for name in result["metrics"]["bytesByFile"]}
    documents = {"scene.glb", "scene.ply", "scene.sog", "scene.spz", "scene.v4.spz"}
    documents |= {"surroundings.json", "viewer/index.html", "tiles/tileset.json", "tiles/0_0.glb"}
    assert files == {*documents, *pictures, *unbundled}
    assert same_codes(
        unpack_files({name: (output / "sog" / name).read_bytes() for name in result["metrics"]["bytesByFile"]}),
        read_codes((output / "scene.sog").read_bytes()),
    )
    assert (output / "scene.ply").read_bytes() == (model / "scene.ply").read_bytes()
    metrics, counts = result["metrics"], result["counts"]
    assert counts["gaussians"] + counts["pruned"] == 500
    assert counts["gaussians"] > 350
    assert counts["bytes"] == (output / "scene.sog").stat().st_size
    # the photos are renders with noise of 0.04, less what clipping to black takes away
    assert psnr(0.04**2) < metrics["psnrBefore"] < psnr(0.04**2) + 1.5
    assert metrics["psnrBefore"] - metrics["psnrAfter"] <= 0.3
    assert 0 < metrics["inventedShare"] < 1
    assert metrics["fidelity"] > metrics["psnrBefore"] + 5
    assert [view["name"] for view in metrics["views"]] == ["0.jpg", "3.jpg"]
    for end in ("Before", "After"):
        mean = np.mean([view[f"psnr{end}"] for view in metrics["views"]])
        assert mean == pytest.approx(metrics[f"psnr{end}"], abs=2e-3)
        assert 0 < metrics[f"ssim{end}"] < 1
    with Image.open(output / "held_out/000002.jpg") as sheet, Image.open(model / "views/3.png") as photo:
        left = np.asarray(sheet.crop((0, 0, 96, 72)), float)
        assert np.abs(left - np.asarray(photo, float)).mean() < 12
    assert metrics["ratio"] == pytest.approx(500 * 26 * 4 / counts["bytes"], abs=0.01)
    assert set(metrics["bytesByFile"]) >= {"meta.json", "means_l.webp", "shN_labels.webp"}
    assert "<title>Old mill</title>" in (output / "viewer/index.html").read_text()
    assert len(dequantise(read_codes((output / "scene.sog").read_bytes()))) == counts["gaussians"]


def test_survey_products_are_listed_and_what_is_missing_is_a_warning(
    model: Path, bundle: Path, tmp_path: Path, make_splat: MakeSplat, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scene(model, make_splat(100, 0))
    made = {"version": 1, "files": ["points.laz"], "missing": {"maps": "too few photos"}}

    def make_products(
        context: StageContext, folder: Path, progress: Callable[[float, str], None]
    ) -> tuple[dict[str, Any], list[Warning]]:
        assert folder == model
        progress(0.5, "drawing the maps")
        (context.folders.processing_output / "products").mkdir()
        (context.folders.processing_output / "products" / "points.laz").write_bytes(b"LASF")
        return made, [Warning(WarningCode.PRODUCTS_MISSING, "maps: too few photos", ["maps"])]

    monkeypatch.setattr(stage, "make_products", make_products)
    code, output = run(tmp_path, QUALITY="preview")
    assert code == 0
    assert file_faults(output, "compressor") == []
    result = json.loads((output / "result.json").read_text())
    assert "products/points.laz" in {file["path"] for file in result["files"]}
    assert result["metrics"]["products"] == made
    assert [warning["code"] for warning in result["warnings"]] == ["PRODUCTS_MISSING"]


def test_the_surroundings_that_training_found_are_drawn_and_passed_on(
    model: Path, bundle: Path, tmp_path: Path, make_splat: MakeSplat
) -> None:
    splat = make_splat(100, 0)
    write_scene(model, splat)
    own = default_surroundings(splat, [], np.array([0.0, 0.0, 1.0]))
    found = replace(own, horizon=np.array([0.9, 0.5, 0.4]), zenith=np.array([0.6, 0.3, 0.3]))
    write_surroundings(model / "surroundings.json", found)
    code, output = run(tmp_path, QUALITY="preview")
    assert code == 0
    assert read_surroundings(output / "surroundings.json").as_json() == found.as_json()
    assert '"horizon":[0.9,0.5,0.4]' in (output / "viewer/index.html").read_text()
    with Image.open(output / "preview.png") as preview:
        red, _, blue = np.asarray(preview, float)[0].mean(axis=0)
    assert red > 1.3 * blue


def test_a_large_scene_is_streamed_too(
    model: Path, bundle: Path, tmp_path: Path, make_splat: MakeSplat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "STREAM_FROM", 100)
    write_ply(model / "scene.ply", make_splat(120, 0))
    code, output = run(tmp_path, QUALITY="preview")
    assert code == 0
    meta = json.loads((output / "lod/lod-meta.json").read_text())
    assert meta["counts"] == [120, 30, 8]
    assert all((output / "lod" / name).is_file() for name in meta["filenames"])
    assert not (output / "viewer/stream.html.gz").exists()  # small enough for one file


def test_thumbnails_of_the_photos_are_in_the_page_and_beside_its_parts(
    model: Path, bundle: Path, tmp_path: Path, make_splat: MakeSplat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "STREAM_FROM", 100)
    monkeypatch.setattr(stage, "make_products", lambda *_: (None, []))
    write_scene(model, make_splat(120, 0))
    names = [view["name"] for view in json.loads((model / "views.json").read_text())["views"]]
    images = model.parent / "cameras/images"
    images.mkdir(parents=True)
    for name in names[1:]:
        Image.new("RGB", (640, 480), (90, 120, 60)).save(images / name, "JPEG")
    code, output = run(tmp_path, QUALITY="preview")
    assert code == 0
    text = (output / "viewer/index.html").read_text()
    presentation = json.loads(text.split('id="presentation">')[1].split("</script>")[0])
    sizes = presentation["photos"]["thumbnails"]
    assert sizes[0] == 0, "one without a photo"
    assert all(sizes[1:])
    kept = base64.b64decode(text.split('id="thumbnails">')[1].split("</script>")[0])
    assert len(kept) == sum(sizes)
    manifest = json.loads((output / "lod/lod-meta.json").read_text())
    assert (output / "lod" / manifest["thumbnails"]).read_bytes() == kept


def test_an_archive_is_a_download_and_its_page_shows_what_the_web_preset_makes(
    model: Path, bundle: Path, tmp_path: Path, make_splat: MakeSplat, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Preset] = []

    def both(presets: list[Preset], *scene: Any, **more: Any) -> list[Compressed]:
        asked.extend(presets)
        (one,) = compress_each([Preset.TINY], *scene, **more)
        return [one, replace(one, sog=b"for the page")]

    monkeypatch.setattr(stage, "compress_each", both)
    write_ply(model / "scene.ply", make_splat(40, 0))
    code, output = run(tmp_path, QUALITY="high")
    assert code == 0
    assert asked == [Preset.ARCHIVE, Preset.WEB]
    shown = (output / "viewer/index.html").read_text().split('id="splat">')[1].split("</script>")[0]
    assert base64.b64decode(shown) == b"for the page"
    assert len(read_codes((output / "scene.sog").read_bytes())) == 40


def test_several_presets_share_the_time_and_each_has_its_file(make_splat: MakeSplat) -> None:
    splat = arrange(make_splat(300, 1))
    framing = frame_scene(splat, [], z_up=True)
    fine, coarse = compress_each([Preset.ARCHIVE, Preset.TINY], splat, [], None, framing, Pace(0.001))
    assert len(coarse.sog) < len(fine.sog)
    assert coarse.fidelity < fine.fidelity


def test_a_large_file_has_a_page_that_loads_it_in_parts(
    model: Path, bundle: Path, tmp_path: Path, make_splat: MakeSplat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "STREAM_ABOVE", 100)
    write_ply(model / "scene.ply", make_splat(120, 0))
    code, output = run(tmp_path, QUALITY="preview")
    assert code == 0
    assert json.loads((output / "lod/lod-meta.json").read_text())["counts"] == [120, 30, 8]
    whole = (output / "viewer/index.html").read_text()
    page = gzip.decompress((output / "viewer/stream.html.gz").read_bytes()).decode()
    assert '<script type="text/plain" id="splat"></script>' in page
    assert len(whole) > len(page)
    downloads = {"sog": "scene.sog", "ply": "scene.ply", "spz": "scene.spz"}
    shown = json.loads(page.split('id="presentation">')[1].split("</script>")[0])
    assert {kind: file["path"] for kind, file in shown["downloads"].items()} == {
        kind: f"../{name}" for kind, name in downloads.items()
    }
    assert shown["downloads"]["sog"]["bytes"] == (output / "scene.sog").stat().st_size


def test_the_antialias_flag_is_carried(model: Path, bundle: Path, tmp_path: Path, make_splat: MakeSplat) -> None:
    write_ply(model / "scene.ply", make_splat(40, 0))
    header, body = (model / "scene.ply").read_bytes().split(b"element vertex", 1)
    (model / "scene.ply").write_bytes(header + b"comment antialiased\nelement vertex" + body)
    code, output = run(tmp_path, QUALITY="preview")
    assert code == 0
    with zipfile.ZipFile(output / "scene.sog") as archive:
        meta = json.loads(archive.read("meta.json"))
    assert (meta["antialias"], meta["model"]) == (True, "antialiased")
    assert gzip.decompress((output / "scene.spz").read_bytes())[14] == 1
    assert (output / "scene.v4.spz").read_bytes()[14] == 1
    assert '"antialiased":true' in (output / "viewer/index.html").read_text()


def test_sigterm_ends_the_stage_as_interrupted_with_nothing_written(
    model: Path, bundle: Path, tmp_path: Path, make_splat: MakeSplat, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_ply(model / "scene.ply", make_splat(300, 3))

    def slow(folder: Path, scratch: Path) -> object:
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(0.05)  # the handler runs between two bytecodes
        return read_source(folder, scratch)

    monkeypatch.setattr(stage, "read_source", slow)
    code, output = run(tmp_path)
    assert code == 1
    assert (tmp_path / "ml/output/message").read_text().startswith("INTERRUPTED: ")
    assert list(output.rglob("*")) == []


def test_the_yardstick_is_exact_for_the_original_and_grows_with_damage(make_splat: MakeSplat) -> None:
    splat = make_splat(200, 0)
    stick = yardstick(splat, [], frame_scene(splat, [], z_up=True))
    assert stick.mean_squared_error(splat) == 0
    errors = [stick.mean_squared_error(Gaussians(**{**vars(splat), "sh0": splat.sh0 + shift})) for shift in (0.05, 0.2)]
    assert 0 < 5 * errors[0] < errors[1]
    assert psnr(0.01) == pytest.approx(20)


def test_pictures_show_the_scene_in_its_surroundings_and_the_orbit_moves(tmp_path: Path, make_splat: MakeSplat) -> None:
    splat = make_splat(300, 0)
    framing = frame_scene(splat, [], z_up=True)
    surroundings = default_surroundings(splat, [], framing.up)
    shares: list[float] = []
    invented = write_preview(tmp_path / "preview.png", tmp_path / "poster.jpg", splat, framing, surroundings)
    write_orbit(tmp_path / "orbit.webp", splat, framing, surroundings, shares.append)
    with Image.open(tmp_path / "preview.png") as preview:
        assert preview.size == (1280, 720)
        camera = framing.camera(0, 1280, 720)
        black, white = render(splat, camera), render(splat, camera, (1, 1, 1))
        beyond = (white - black).mean(axis=2, keepdims=True)  # a white background shows where nothing hides it
        expected = np.clip(black + beyond * background(surroundings, camera), 0, 1)
        seen = np.asarray(preview) / 255
        assert np.abs(seen - expected).max() < 0.52 / 255
        assert np.asarray(preview).std() > 10
        assert seen[:40].min() > 0.4, "there is no sky"
        assert invented == pytest.approx(float(np.mean(beyond > 0.5)), abs=1e-3)
        assert 0.1 < invented < 0.9
    with Image.open(tmp_path / "orbit.webp") as orbit_clip:
        assert getattr(orbit_clip, "n_frames", None) == 36
        assert orbit_clip.info["loop"] == 0
        frames = []
        for number in (0, 18):
            orbit_clip.seek(number)
            frames.append(np.asarray(orbit_clip.convert("RGB"), dtype=np.float32))
    assert np.abs(frames[0] - frames[1]).mean() > 2
    assert shares[-1] == 1
