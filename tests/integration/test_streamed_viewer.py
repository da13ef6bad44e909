"""Streamed SOG, served to the stock SuperSplat viewer in a headless browser: it loads and draws the levels it needs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from compressor.deliver.environment import environment_of
from compressor.deliver.streamed import ENVIRONMENT, LOD_META, Layout, write_streamed
from compressor.deliver.viewer import BUNDLE, Journey, settings, upright_rotation
from compressor.encode.arranged import Arranged
from compressor.encode.encoder import Coarseness, arrange
from compressor.encode.quality import BACKGROUND, draw
from splat.camera import Camera, look_at
from splat.gaussians import Gaussians
from splat.harmonics import SH_C0
from splat.loss import psnr
from splat.stored import Marks
from tests.support.browser import chromium, look, needs_chromium, served
from tests.support.splats import TOWERS, even_sensitivity, leaves, village, village_surroundings

WIDTH, HEIGHT, FIELD_OF_VIEW = 640, 400, 50.0
UP = np.array([0.0, -1.0, 0.0])  # the stock viewer assumes this up direction for every splat
EYE = 0.4 * UP + 4.6 * np.array([0.42, 0.0, -0.9]) + 2.2 * UP
LAYOUT = Layout(leaf=2048, leaves_per_file=2, levels=3, group=4)
STILL = 6  # checks, 250 ms apart, in which nothing changed
STOCK = BUNDLE.parent / "node_modules/@playcanvas/supersplat-viewer/public"

pytestmark = needs_chromium


@dataclass(frozen=True)
class Site:
    """The viewer beside a streamed scene, and what it must show."""

    folder: Path
    scene: Gaussians
    meta: dict[str, Any]
    camera: Camera


@dataclass(frozen=True)
class Visit:
    """What the viewer showed at the end: Gaussians drawn, indices of the files requested, in order, the picture."""

    drawn: int
    files: list[int]
    shown: NDArray[np.float32]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return built(tmp_path_factory.mktemp("site"), arrange(village(UP, finer=2)))


def built(folder: Path, scene: Gaussians, environment: NDArray[np.bool_] | None = None) -> Site:
    for file in STOCK.iterdir():
        (folder / file.name).symlink_to(file)
    (folder / "favicon.ico").touch()  # browsers request it from every site
    journey = Journey([EYE, -EYE], 0.4 * UP, FIELD_OF_VIEW, seconds=10)
    (folder / "settings.json").write_text(json.dumps(settings(upright_rotation(UP), journey, BACKGROUND)))
    arranged = Arranged(scene, even_sensitivity(len(scene)))
    write_streamed(
        folder / "lod", arranged, Coarseness(), LAYOUT, lambda _: None, marks=Marks(), environment=environment
    )
    meta = json.loads((folder / "lod" / LOD_META).read_text())
    camera = look_at(EYE, 0.4 * UP, UP, width=WIDTH, height=HEIGHT, field_of_view=FIELD_OF_VIEW)
    return Site(folder, scene, meta, camera)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("chromium"), WIDTH, HEIGHT) as context:
        yield context


def place_of(site: Site, colour: tuple[float, float, float]) -> tuple[int, int]:
    """Row and column of the centre of the pixels of this colour."""
    members = np.abs(0.5 + SH_C0 * site.scene.sh0 - colour).max(axis=1) < 1e-3
    x, y, z, _ = site.camera.world_to_camera @ np.append(site.scene.means[members].mean(axis=0), 1)
    return int(site.camera.fy * y / z + site.camera.cy), int(site.camera.fx * x / z + site.camera.cx)


def distance(bound: dict[str, list[float]], point: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(np.clip(point, bound["min"], bound["max"]) - point))


def opened(site: Site, browser: Any, flags: str, name: str, folder: Path) -> Visit:
    """Opens the scene in the stock viewer and waits until nothing moves any more."""
    page = browser.new_page()
    asked: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    answered: list[str] = []
    for over in ("requestfinished", "requestfailed"):
        page.on(over, lambda request: answered.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    with served(site.folder) as url:
        page.goto(f"{url}/index.html?content=lod/{LOD_META}&noui&noanim&webgl{flags}")
        drawn = "window.app?.stats.frame.gsplats"  # Gaussians in the picture
        page.wait_for_function(f"{drawn} > {site.meta['counts'][-1]}", timeout=120_000)
        seen, still = None, 0
        while still < STILL:
            page.wait_for_timeout(250)
            now = (page.evaluate(drawn), len(asked))
            seen, still = now, still + 1 if now == seen and len(answered) == len(asked) else 0
        count = page.evaluate(drawn)
        picture = look(page, name, folder)
    page.close()
    with Image.open(picture) as image:
        shown = (np.asarray(image.convert("RGB")) / 255).astype(np.float32)
    assert errors == []
    assert f"/lod/{LOD_META}" in asked
    parts = [path.removeprefix("/lod/") for path in asked if path.endswith(".sog")]
    files = [site.meta["filenames"].index(part) for part in parts if part != ENVIRONMENT]
    return Visit(count, files, shown)


def level_of(site: Site, file: int) -> int:
    return int(site.meta["filenames"][file].split("_")[0])


def test_a_scene_within_the_budget_is_shown_whole(site: Site, browser: Any, tmp_path: Path) -> None:
    visit = opened(site, browser, "", "streamed", tmp_path)

    assert visit.drawn == site.meta["counts"][0]
    levels = [level_of(site, file) for file in visit.files]
    assert levels[0] == 2, "not the coarsest first"
    assert sorted(levels[1:]) == [0] * 7, "not all of the finest, each file once"

    expected = draw(site.scene, site.camera)
    score = psnr(float(np.mean(np.square(visit.shown - expected))))
    others = [psnr(float(np.mean(np.square(visit.shown - other)))) for other in (expected[:, ::-1], expected[::-1])]
    assert score > 35
    assert score > max(others) + 10
    for _, _, colour in TOWERS:
        assert visit.shown[place_of(site, colour)] == pytest.approx(colour, abs=0.1)


def test_a_scene_beyond_the_budget_is_fine_where_it_is_near(site: Site, browser: Any, tmp_path: Path) -> None:
    budget = 12_000
    visit = opened(site, browser, f"&budget={budget / 1e6}", "streamed-budget", tmp_path)

    assert site.meta["counts"][-1] < visit.drawn <= budget
    near, *_, far = sorted(leaves(site.meta["tree"]), key=lambda leaf: distance(leaf["bound"], EYE))
    assert near["lods"]["0"]["file"] in visit.files
    assert far["lods"]["0"]["file"] not in visit.files
    assert far["lods"]["1"]["file"] in visit.files

    score = psnr(float(np.mean(np.square(visit.shown - draw(site.scene, site.camera)))))
    assert score > 31
    for _, _, colour in TOWERS:
        assert visit.shown[place_of(site, colour)] == pytest.approx(colour, abs=0.1)


def test_an_environment_is_drawn_with_whatever_level_is(browser: Any, tmp_path: Path) -> None:
    near = village(UP, finer=2)
    directions = np.random.default_rng(3).normal(size=(500, 3))
    far = near.select(np.arange(500))
    far = replace(far, means=(40 * directions / np.linalg.norm(directions, axis=1)[:, None]).astype(np.float32))
    parts = [vars(near), vars(far)]
    scene = arrange(Gaussians(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]}))
    site = built(tmp_path, scene, environment_of(scene, village_surroundings(UP)))
    assert opened(site, browser, "", "streamed-environment", tmp_path).drawn == len(scene)
    assert site.meta["counts"][0] == len(near)
