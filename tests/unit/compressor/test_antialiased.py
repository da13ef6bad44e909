"""A splat that is marked antialiased is judged and drawn as viewers draw it: thin Gaussians are fainter."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from compressor.encode.compress import compress
from compressor.encode.encoder import arrange
from compressor.encode.fitting import fitted
from compressor.encode.gradients import render_from
from compressor.encode.pace import Pace
from compressor.encode.presets import Preset
from compressor.encode.quality import held_out_photos, yardstick
from compressor.encode.sensitivity import measure_sensitivity
from compressor.encode.viewpoints import exploring_cameras
from compressor.framing import Framing, frame_scene
from splat.camera import View
from splat.gaussians import Gaussians
from splat.loss import psnr
from splat.ply import write_ply
from splat.render import render
from splat.stored import Marks
from tests.support.compressing import run

MakeSplat = Callable[..., Gaussians]


@pytest.fixture(scope="module")
def thin(make_splat: MakeSplat) -> Gaussians:
    """Gaussians of about half a pixel in the pictures from which files are judged."""
    splat = arrange(make_splat(600, 0))
    return replace(splat, scales=splat.scales - 3.5, opacities=np.full_like(splat.opacities, 3))


@pytest.fixture(scope="module")
def framing(thin: Gaussians) -> Framing:
    return frame_scene(thin, [], z_up=True)


def test_the_yardstick_is_exact_for_the_original(thin: Gaussians, framing: Framing) -> None:
    plain, marked = (yardstick(thin, [], framing, antialiased=antialiased) for antialiased in (False, True))
    assert max(marked.covered) < 0.95 * max(plain.covered)  # of most pictures both are at the lower bound
    for stick in (marked, marked.every_other(), marked.of(thin)):
        assert stick.mean_squared_error(thin) == 0
    for picture, camera in zip(marked.pictures, marked.cameras, strict=True):
        assert np.array_equal(picture, np.clip(render(thin, camera, (0.10, 0.11, 0.13), antialiased=True), 0, 1))


@pytest.mark.parametrize("name", ["scales", "opacities"])
def test_small_changes_do_to_pictures_what_was_predicted(thin: Gaussians, framing: Framing, name: str) -> None:
    sensitivity, seen = measure_sensitivity(thin, [], framing, Pace(), antialiased=True)
    numbers = {"scales": (6, 7, 8), "opacities": (9,)}[name]
    values = getattr(thin, name)
    change = np.random.default_rng(1).normal(0, 0.02, values.shape).astype(np.float32)
    changed = replace(thin, **{name: values + change})
    predicted = float((sensitivity.outlines[:, numbers] * np.square(change.reshape(len(thin), -1))).sum())
    found = []
    for camera, picture in zip(exploring_cameras(thin, [], framing), seen.pictures, strict=True):
        covered = (1 - render_from(thin, camera, antialiased=True).transmittance).sum()
        missed = np.square(render_from(changed, camera, antialiased=True).picture - picture).sum()
        found.append(missed / (3 * max(covered, 0.01 * camera.width * camera.height)))
    assert 0.5 * predicted < np.mean(found) < 1.6 * predicted


def test_a_fit_to_its_own_pictures_changes_nothing(thin: Gaussians, framing: Framing) -> None:
    _, seen = measure_sensitivity(thin, [], framing, Pace(), antialiased=True)
    same = fitted(thin, seen, 1, lambda: None)
    assert np.array_equal(same.opacities, thin.opacities)
    assert np.array_equal(same.sh0, thin.sh0)


def test_a_file_is_judged_by_compensated_pictures(thin: Gaussians, framing: Framing) -> None:
    result = compress(thin, [], None, framing, Preset.TINY, Pace(), marks=Marks(antialiased=True))
    stick = yardstick(thin, [], framing, antialiased=True)
    assert result.fidelity == pytest.approx(psnr(stick.mean_squared_error(result.decoded)), abs=0.01)
    measured, _ = measure_sensitivity(thin, [], framing, Pace(), 12, antialiased=True)
    calibrated = result.arranged.sensitivity.outlines[:, 9] / measured.outlines[:, 9]
    assert calibrated == pytest.approx(calibrated[0], rel=1e-3)


def test_held_out_photos_are_compared_with_compensated_pictures(
    thin: Gaussians, framing: Framing, tmp_path: Path
) -> None:
    camera = framing.camera(0, 96, 72)
    photo = np.rint(255 * np.clip(render(thin, camera, antialiased=True), 0, 1)).astype(np.uint8)
    Image.fromarray(photo).save(tmp_path / "a.png")
    views = [View("a.jpg", "test", camera, "a.png")]
    plain, marked = (held_out_photos(views, tmp_path, antialiased=antialiased) for antialiased in (False, True))
    assert plain is not None
    assert marked is not None
    assert marked.psnr(thin, lambda: None) > 50 > plain.psnr(thin, lambda: None)


def test_pictures_show_as_much_of_the_splat_as_the_page(thin: Gaussians, bundle: Path, tmp_path: Path) -> None:
    red = np.arange(len(thin)) % 2 * 2 - 1.0  # the others are cyan, so that ground and sky are grey
    colourful = replace(thin, sh0=red[:, None] * (1.7, -1.7, -1.7), shN=np.zeros_like(thin.shN))
    shown: list[list[float]] = []
    for name, marks in (("plain", Marks()), ("marked", Marks(antialiased=True))):
        model = tmp_path / name / "ml/processing/input/model"
        model.mkdir(parents=True)
        write_ply(model / "scene.ply", colourful, marks)
        code, output = run(tmp_path / name, QUALITY="preview")
        assert code == 0
        metrics = json.loads((output / "result.json").read_text())["metrics"]
        pictures = [np.asarray(Image.open(output / file).convert("RGB"), int) for file in ("preview.png", "orbit.webp")]
        shown.append([1 - metrics["inventedShare"], *(np.mean(p[..., 0] - p[..., 2] > 30) for p in pictures)])
    for plain, marked in zip(*shown, strict=True):
        assert marked < 0.8 * plain
