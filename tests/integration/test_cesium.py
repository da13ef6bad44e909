"""Our 3D Tiles, drawn by CesiumJS without a network: at their place on Earth, and as our rasteriser draws the scene.

CesiumJS is installed by `npm ci` in tests/peers.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from compressor.deliver.tiles import write_tiles
from compressor.encode.encoder import arrange
from geo.projected import Place
from splat.camera import Camera, look_at
from splat.gaussians import Gaussians
from splat.render import render
from tests.support.browser import chromium, met, needs_chromium, served, until
from tests.support.splats import make_splat

CESIUM = Path(__file__).parents[1] / "peers/node_modules/cesium/Build/Cesium"
ZURICH = Place(47.3612, 8.5306, 466.0)
OFFSET = (12.0, -7.0, 3.0)  # of the scene's origin from the place
COUNT, LEAF = 600, 256
WIDTH, HEIGHT = 240, 180
PAGE = f"""<!doctype html><style>body{{margin:0}}#globe{{width:{WIDTH}px;height:{HEIGHT}px}}
.cesium-widget,.cesium-widget canvas{{width:100%;height:100%}}.cesium-widget-credits{{display:none}}</style>
<div id="globe"></div><script>CESIUM_BASE_URL = 'Cesium/'</script><script src="Cesium/Cesium.js"></script>"""
DRAW = """async ({eye, forward, up, fov}) => {
    const nothing = {baseLayer: false, globe: false, skyBox: false, skyAtmosphere: false, scene3DOnly: true};
    const {scene} = new Cesium.CesiumWidget('globe', nothing);
    scene.backgroundColor = Cesium.Color.BLACK;
    window.failed = [];
    window.tileset = await Cesium.Cesium3DTileset.fromUrl('tiles/tileset.json', {maximumScreenSpaceError: 0.1});
    tileset.tileFailed.addEventListener(({message}) => failed.push(String(message)));
    scene.primitives.add(tileset);
    const at = (numbers) => new Cesium.Cartesian3(...numbers);
    scene.camera.setView({destination: at(eye), orientation: {direction: at(forward), up: at(up)}});
    Object.assign(scene.camera.frustum, {fov, near: 0.1});
}"""

pytestmark = [
    needs_chromium,
    pytest.mark.skipif(not CESIUM.is_dir(), reason="needs CesiumJS (npm ci in tests/peers)"),
]


@pytest.fixture(scope="module")
def splat() -> Gaussians:
    return arrange(make_splat(COUNT, 1))


@pytest.fixture
def page(splat: Gaussians, tmp_path: Path) -> Iterator[Any]:
    site = tmp_path / "site"
    write_tiles(site / "tiles", splat, ZURICH, OFFSET, {}, lambda _share: None, antialiased=False, leaf=LEAF)
    (site / "Cesium").symlink_to(CESIUM)
    (site / "index.html").write_text(PAGE, encoding="utf-8")
    with served(site) as url, chromium(tmp_path / "profile", WIDTH, HEIGHT) as context:
        found = context.pages[0]
        found.goto(f"{url}/index.html")
        yield found


def test_cesium_draws_every_gaussian_at_its_place(page: Any, splat: Gaussians) -> None:
    middle, reach = splat.means.mean(axis=0), float(np.ptp(splat.means, axis=0).max())
    camera = look_at(middle + reach * np.array([0.6, -0.9, 0.7]), middle, (0, 0, 1), width=WIDTH, height=HEIGHT)
    expected = render(splat, camera).clip(0, 1)
    page.evaluate(DRAW, on_earth(camera))
    until(page, f"tileset.gaussianSplatPrimitive?._numSplats === {COUNT}", timeout=120_000)
    assert page.evaluate("failed") == []

    def alike() -> bool:
        return psnr(drawn(page), expected) > 30

    met(page, alike, timeout=60_000, pause=500, what="it does not look like our own picture")


def on_earth(camera: Camera) -> dict[str, Any]:
    """The camera in CesiumJS's terms: metres in EPSG:4978, and the larger field of view."""
    turn = ZURICH.to_earth[:3, :3]
    eye = turn @ (camera.position + OFFSET) + ZURICH.to_earth[:3, 3]
    return {
        "eye": eye.tolist(),
        "forward": (turn @ camera.rotation[2]).tolist(),
        "up": (turn @ -camera.rotation[1]).tolist(),
        "fov": float(2 * np.arctan(camera.width / 2 / camera.fx)),
    }


def drawn(page: Any) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB")) / 255


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((one - other) ** 2)))
