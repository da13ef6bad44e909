"""The delivered page, opened from the disk in a headless browser, shows what our own renderer draws."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from compressor.limits import Limits
from compressor.pictures import draw_scenery
from compressor.quality import psnr
from compressor.sog.codes import Coarseness
from compressor.sog.container import pack_files, zip_files
from compressor.sog.decoder import dequantise
from compressor.sog.encoder import arrange, quantise
from compressor.sog.harmonics import quantise_harmonics
from compressor.viewer import BUNDLE, Journey, Page, write_page
from splat.camera import Camera, look_at
from tests.support.browser import chromium, needs_chromium, served
from tests.support.splats import even_sensitivity, village, village_surroundings

WIDTH, HEIGHT, FIELD_OF_VIEW = 640, 400, 50.0

UNLIMITED = Limits(nearest=0.1, farthest=50, lowest=None, clearance=0, margin=50)

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("chromium"), WIDTH, HEIGHT) as context:
        yield context


def delivered(page_file: Path, axis: NDArray[np.float64], limits: Limits = UNLIMITED) -> NDArray[np.float32]:
    """Write the village's page; the first picture that it should show."""
    arranged = arrange(village(axis))
    even, coarseness = even_sensitivity(len(arranged)), Coarseness()
    codes = quantise(arranged, even, coarseness, quantise_harmonics(arranged, even, coarseness.palette_size))
    journey = Journey([eye(axis), -eye(axis)], 0.4 * axis, FIELD_OF_VIEW, seconds=10)
    surroundings = village_surroundings(axis)
    write_page(page_file, BUNDLE, zip_files(pack_files(codes)), Page("Village", journey, surroundings, limits))
    return draw_scenery(dequantise(codes), first_camera(axis), surroundings)[0]


def eye(axis: NDArray[np.float64]) -> NDArray[np.float64]:
    side = np.cross(axis, (0.9, 0.1, 0.42))
    return np.asarray(0.4 * axis + 4.6 * side / np.linalg.norm(side) + 2.2 * axis)


def first_camera(axis: NDArray[np.float64]) -> Camera:
    return look_at(eye(axis), 0.4 * axis, axis, width=WIDTH, height=HEIGHT, field_of_view=FIELD_OF_VIEW)


@pytest.mark.parametrize("up", [(0, 0, 1), (0, -1, 0), (0.36, 0.48, 0.8)], ids=["z-up", "y-down", "tilted"])
def test_page_shows_our_render_upright_and_asks_for_nothing(
    up: tuple[float, float, float], browser: Any, tmp_path: Path
) -> None:
    page_file = tmp_path / "index.html"
    expected = delivered(page_file, np.array(up, dtype=np.float64))

    page = browser.new_page()
    requests: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{page_file.as_uri()}?noui&noanim")
    page.wait_for_function("document.documentElement.dataset.loaded === 'true'", timeout=120_000)
    page.wait_for_timeout(1500)
    shot = tmp_path / "shot.png"
    page.screenshot(path=shot)
    title = page.title()
    page.close()

    assert title == "Village"
    assert errors == []
    assert [url for url in requests if url.startswith("http")] == []
    with Image.open(shot) as image:
        seen = np.asarray(image.convert("RGB"), dtype=np.float32) / 255
    Image.fromarray(np.rint(np.hstack([seen, expected]) * 255).astype(np.uint8)).save(tmp_path / "both.png")
    assert expected.std() > 0.1, "the render itself shows nothing"
    score = psnr(float(np.mean(np.square(seen - expected))))
    mirrored = psnr(float(np.mean(np.square(seen - expected[:, ::-1]))))
    upended = psnr(float(np.mean(np.square(seen - expected[::-1]))))
    print(f"psnr {score:.1f} dB, mirrored {mirrored:.1f}, upended {upended:.1f}, pictures in {tmp_path}")
    assert score > 30
    assert score > max(mirrored, upended) + 10


def test_the_page_hands_out_the_file_that_it_shows(browser: Any, tmp_path: Path) -> None:
    page_file = tmp_path / "index.html"
    delivered(page_file, np.array([0.0, 0.0, 1.0]))
    page = browser.new_page()
    page.goto(f"{page_file.as_uri()}?noanim")
    page.wait_for_function("document.documentElement.dataset.loaded === 'true'", timeout=120_000)
    page.locator("#save").click()
    with page.expect_download() as handed:
        page.get_by_text("(.sog)").click()
    sog = Path(handed.value.path()).read_bytes()
    page.close()
    assert handed.value.suggested_filename == "Village.sog"
    assert f">{base64.b64encode(sog).decode()}<" in page_file.read_text()


def test_another_site_can_embed_the_page(browser: Any, tmp_path: Path) -> None:
    """By iframe, from another origin, sandboxed but for scripts."""
    (tmp_path / "viewer").mkdir()
    (tmp_path / "site").mkdir()
    delivered(tmp_path / "viewer" / "index.html", np.array([0.0, 0.0, 1.0]))
    with served(tmp_path / "viewer") as viewer, served(tmp_path / "site") as site:
        frame = f'<iframe src="{viewer}/index.html?noanim" width="600" height="380" sandbox="allow-scripts"></iframe>'
        (tmp_path / "site" / "index.html").write_text(f"<!doctype html><title>Blog</title>{frame}")
        page = browser.new_page()
        page.goto(f"{site}/index.html")
        inside = page.frames[1]
        inside.wait_for_function("document.documentElement.dataset.loaded === 'true'", timeout=120_000)
        page.wait_for_timeout(1000)
        shot = tmp_path / "embedded.png"
        page.locator("iframe").screenshot(path=shot)
        page.close()
    with Image.open(shot) as image:
        assert np.asarray(image.convert("L")).std() > 20, "the frame shows nothing"
