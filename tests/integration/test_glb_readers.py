"""Our GLB, drawn by Babylon.js and PlayCanvas: the right way up, and as our rasteriser draws the scene.

Both are installed by `npm ci` in tests/peers.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from compressor.deliver.viewer import rotate, upright_rotation
from splat.camera import Camera, look_at
from splat.gaussians import Gaussians
from splat.glb import write_glb
from splat.render import render
from tests.support.browser import chromium, met, needs_chromium, served, until
from tests.support.splats import village

PACKAGES = Path(__file__).parents[1] / "peers/node_modules"
UP = np.array([0.36, 0.48, 0.8])  # up in the scene: the default of none of the readers
WIDTH, HEIGHT, FIELD_OF_VIEW = 480, 360, 45.0
MIN_DECIBELS = 32
CANVAS = f'<!doctype html><style>body{{margin:0}}</style><canvas id="view" width={WIDTH} height={HEIGHT}></canvas>'

BABYLON = """<script src="babylonjs/babylon.js"></script>
<script src="babylonjs-loaders/babylonjs.loaders.min.js"></script>
<script>
const at = (numbers) => new BABYLON.Vector3(...numbers);
window.draw = async ({eye, target, fov}) => {
    const engine = new BABYLON.Engine(document.getElementById('view'), false, {preserveDrawingBuffer: true});
    const scene = new BABYLON.Scene(engine);
    scene.useRightHandedSystem = true; // as glTF is
    scene.clearColor = new BABYLON.Color4(0, 0, 0, 1);
    await BABYLON.AppendSceneAsync('scene.glb', scene);
    const camera = new BABYLON.FreeCamera('camera', at(eye), scene);
    camera.setTarget(at(target));
    Object.assign(camera, {fov, minZ: 0.1});
    scene.activeCamera = camera;
    engine.runRenderLoop(() => scene.render());
};
</script>"""

PLAYCANVAS = """<script type="module">
import * as pc from './playcanvas/build/playcanvas.mjs';
window.draw = async ({eye, target, fov}) => {
    const options = {graphicsDeviceOptions: {antialias: false, preserveDrawingBuffer: true}};
    const view = document.getElementById('view');
    const app = new pc.Application(view, options);
    app.setCanvasResolution(pc.RESOLUTION_FIXED, view.width, view.height);
    app.start();
    const asset = new pc.Asset('scene', 'container', {url: 'scene.glb'});
    app.assets.add(asset);
    app.assets.load(asset);
    await new Promise((resolve, reject) => { asset.ready(resolve); asset.once('error', reject); });
    app.root.addChild(asset.resource.instantiateRenderEntity());
    const camera = new pc.Entity();
    camera.addComponent('camera', {clearColor: new pc.Color(0, 0, 0), fov: fov * 180 / Math.PI, nearClip: 0.1});
    camera.camera.gammaCorrection = pc.GAMMA_SRGB;
    app.root.addChild(camera);
    camera.setPosition(...eye);
    camera.lookAt(...target);
};
</script>"""

READERS = {"babylonjs": BABYLON, "playcanvas": PLAYCANVAS}

pytestmark = [
    needs_chromium,
    pytest.mark.skipif(
        not all((PACKAGES / name).is_dir() for name in READERS),
        reason="needs Babylon.js and PlayCanvas (npm ci in tests/peers)",
    ),
]


@pytest.fixture(scope="module")
def splat() -> Gaussians:
    return village(UP)


@pytest.fixture(scope="module")
def site(splat: Gaussians, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("site")
    x, y, z, w = (float(value) for value in upright_rotation(UP))
    write_glb(folder / "scene.glb", splat, (x, y, z, w))
    for package in ("babylonjs", "babylonjs-loaders", "playcanvas"):
        (folder / package).symlink_to(PACKAGES / package)
    (folder / "favicon.ico").touch()  # browsers request it from every site
    for name, script in READERS.items():
        (folder / f"{name}.html").write_text(CANVAS + script, encoding="utf-8")
    with served(folder) as url:
        yield url


@pytest.mark.parametrize("reader", READERS)
def test_other_engines_draw_our_glb_as_we_do(reader: str, site: str, splat: Gaussians, tmp_path: Path) -> None:
    side = np.cross(UP, (0.9, 0.1, 0.42))
    eye, target = 4.6 * side / np.linalg.norm(side) + 2.6 * UP, 0.4 * UP
    camera = look_at(eye, target, UP, width=WIDTH, height=HEIGHT, field_of_view=FIELD_OF_VIEW)
    expected = render(splat, camera).clip(0, 1)
    with chromium(tmp_path / "profile", WIDTH, HEIGHT) as context:
        page = context.pages[0]
        failures: list[str] = []
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.goto(f"{site}/{reader}.html")
        until(page, "'draw' in window")
        page.evaluate("draw", in_gltf(eye, target, camera))
        pictures = [drawn(page)]

        def alike() -> bool:
            pictures[:] = [drawn(page)]
            return decibels(pictures[0], expected) > MIN_DECIBELS

        try:
            met(page, alike, timeout=60_000, pause=500, what="it does not look like our own picture")
        finally:
            both = np.hstack([pictures[0], expected])
            Image.fromarray(np.rint(both * 255).astype(np.uint8)).save(tmp_path / "both.png")
            print(f"{reader}: {decibels(pictures[0], expected):.1f} dB, {tmp_path / 'both.png'}")
    assert failures == []
    assert decibels(pictures[0], expected) > decibels(pictures[0], expected[:, ::-1]) + 10


def in_gltf(eye: NDArray[np.float64], target: NDArray[np.float64], camera: Camera) -> dict[str, Any]:
    """The camera in the file's axes, y up, and its vertical field of view."""
    turn = upright_rotation(UP)
    return {
        "eye": rotate(turn, eye).tolist(),
        "target": rotate(turn, target).tolist(),
        "fov": float(2 * np.arctan(camera.height / 2 / camera.fy)),
    }


def drawn(page: Any) -> NDArray[np.float64]:
    return np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB")) / 255


def decibels(one: NDArray[Any], other: NDArray[Any]) -> float:
    return float(-10 * np.log10(np.mean((one - other) ** 2)))
