"""The delivered page, opened from the disk in a headless browser, shows what our own renderer draws."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from compressor.deliver.limits import Limits
from compressor.deliver.pictures import draw_scenery
from compressor.deliver.viewer import BUNDLE, Journey, Page, rotate, upright_rotation, write_page
from compressor.encode.encoder import Coarseness, arrange, quantise
from compressor.encode.harmonics import quantise_harmonics
from compressor.sog.container import pack_files, zip_files
from compressor.sog.decoder import dequantise
from splat.camera import Camera, look_at
from splat.loss import psnr
from splat.render import render_with_alpha
from splat.surroundings import background
from tests.support.browser import axe, chromium, met, needs_chromium, served, until
from tests.support.splats import even_sensitivity, village, village_surroundings

WIDTH, HEIGHT, FIELD_OF_VIEW = 640, 400, 50.0

UNLIMITED = Limits(nearest=0.1, farthest=50, lowest=None, clearance=0, margin=50)

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("chromium"), WIDTH, HEIGHT) as context:
        yield context


def delivered(
    page_file: Path, axis: NDArray[np.float64], limits: Limits = UNLIMITED, **downloads: int
) -> NDArray[np.float32]:
    """Writes the village's page; returns the first picture that it should show."""
    arranged = arrange(village(axis))
    even, coarseness = even_sensitivity(len(arranged)), Coarseness()
    codes = quantise(arranged, even, coarseness, quantise_harmonics(arranged, even, coarseness.palette_size))
    journey = Journey([eye(axis), -eye(axis)], 0.4 * axis, FIELD_OF_VIEW, seconds=10)
    surroundings = village_surroundings(axis)
    files = {f"scene.{kind}": size for kind, size in downloads.items()}
    page = Page("Village", journey, surroundings, limits, downloads=files)
    write_page(page_file, BUNDLE, zip_files(pack_files(codes)), page)
    return draw_scenery(dequantise(codes), first_camera(axis), surroundings)[0]


def eye(axis: NDArray[np.float64]) -> NDArray[np.float64]:
    side = np.cross(axis, (0.9, 0.1, 0.42))
    return np.asarray(0.4 * axis + 4.6 * side / np.linalg.norm(side) + 2.2 * axis)


def first_camera(axis: NDArray[np.float64]) -> Camera:
    return look_at(eye(axis), 0.4 * axis, axis, width=WIDTH, height=HEIGHT, field_of_view=FIELD_OF_VIEW)


def loaded(browser: Any, page_file: Path, query: str) -> Any:
    """The delivered page of a z-up scene, once the scene is there."""
    delivered(page_file, np.array([0.0, 0.0, 1.0]))
    page = browser.new_page()
    page.goto(f"{page_file.as_uri()}{query}")
    page.wait_for_function("document.documentElement.dataset.loaded === 'true'", timeout=120_000)
    return page


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
    shot = tmp_path / "shot.png"

    def seen() -> NDArray[np.float32]:
        page.screenshot(path=shot)
        with Image.open(shot) as image:
            return np.asarray(image.convert("RGB"), dtype=np.float32) / np.float32(255)

    pictures = [seen()]  # the poster fades out over the first ones

    def like_ours() -> bool:
        pictures[:] = [seen()]
        return psnr(float(np.mean(np.square(pictures[0] - expected)))) > 30

    with suppress(TimeoutError):
        met(page, like_ours)
    title = page.title()
    page.close()

    assert title == "Village"
    assert errors == []
    assert [url for url in requests if url.startswith("http")] == []
    (last,) = pictures
    Image.fromarray(np.rint(np.hstack([last, expected]) * 255).astype(np.uint8)).save(tmp_path / "both.png")
    assert expected.std() > 0.1, "the render itself shows nothing"
    score = psnr(float(np.mean(np.square(last - expected))))
    mirrored = psnr(float(np.mean(np.square(last - expected[:, ::-1]))))
    upended = psnr(float(np.mean(np.square(last - expected[::-1]))))
    print(f"psnr {score:.1f} dB, mirrored {mirrored:.1f}, upended {upended:.1f}, pictures in {tmp_path}")
    assert score > 30
    assert score > max(mirrored, upended) + 10


def test_the_page_hands_out_the_file_that_it_shows(browser: Any, tmp_path: Path) -> None:
    page_file = tmp_path / "index.html"
    page = loaded(browser, page_file, "?noanim")
    page.locator("#save").click()
    with page.expect_download() as handed:
        page.get_by_text("(.sog)").click()
    sog = Path(handed.value.path()).read_bytes()
    page.close()
    assert handed.value.suggested_filename == "Village.sog"
    assert f">{base64.b64encode(sog).decode()}<" in page_file.read_text()


def test_a_link_to_the_page_offers_no_file_of_others(browser: Any, tmp_path: Path) -> None:
    """Whoever passes a link on may put anything after its `#`."""
    (tmp_path / "viewer").mkdir()
    delivered(tmp_path / "viewer" / "index.html", np.array([0.0, 0.0, 1.0]), ply=3)
    (tmp_path / "scene.ply").write_bytes(b"ply")
    with served(tmp_path) as site:
        own = f"{site}/scene.ply?X-Amz-Signature=abc"
        for named, offered in ((own, own), (f"{site}/other.exe", None), ("https://evil.example/scene.ply", None)):
            page = browser.new_page()
            page.goto(f"{site}/viewer/index.html?noanim#ply={quote(named, safe='')}")
            page.wait_for_function("document.documentElement.dataset.loaded === 'true'", timeout=120_000)
            if offered is not None:
                page.wait_for_selector(f'#downloads a[href="{own}"]', state="attached")
            links = page.eval_on_selector_all("#downloads a", "(all) => all.map((link) => link.href)")
            page.close()
            assert (own in links) == (offered is not None)
            assert not [link for link in links if "evil" in link or link.endswith(".exe")]


def test_another_site_can_embed_the_page(browser: Any, tmp_path: Path) -> None:
    """In an iframe, from another origin, sandboxed with only scripts allowed."""
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
        shot = tmp_path / "embedded.png"

        def something() -> bool:
            page.locator("iframe").screenshot(path=shot)
            with Image.open(shot) as image:
                return bool(np.asarray(image.convert("L")).std() > 20)

        met(page, something, what="the frame shows nothing")
        page.close()


LIMITED = Limits(nearest=2, farthest=9, lowest=20, clearance=0.8, margin=1)
FRAME = "spaceport.viewer.app.frame"  # the number of frames drawn
POSE = """() => {
    const { entity, fov } = spaceport.viewer.app.root.findComponent('camera');
    const { forward, up } = entity;
    const at = entity.getPosition();
    return [at, forward, up].map((vector) => [vector.x, vector.y, vector.z]).concat([[fov]]);
}"""


STILL_FRAMES = 12


def unmoved(page: Any) -> list[list[float]]:
    """The camera, once it has stayed the same for `STILL_FRAMES` frames: a busy machine draws few in a second."""
    page.wait_for_timeout(200)  # the last action may still move it
    pose, frame = page.evaluate(POSE), page.evaluate(FRAME)

    def still() -> bool:
        nonlocal pose, frame
        now, at = page.evaluate(POSE), page.evaluate(FRAME)
        if now != pose:
            pose, frame = now, at
        return bool(at >= frame + STILL_FRAMES)

    met(page, still, 120_000, what="the camera did not come to rest")
    return list(pose)


def test_everywhere_one_may_go_there_is_ground_and_sky_and_the_limits_hold(browser: Any, tmp_path: Path) -> None:
    page_file = tmp_path / "index.html"
    axis = np.array([0.36, 0.48, 0.8])
    delivered(page_file, axis, LIMITED)
    rotation = upright_rotation(axis)
    scene = village_surroundings(axis)
    in_view = replace(
        scene, up=np.array([0.0, 1.0, 0.0]), footprint=np.array([rotate(rotation, each) for each in scene.footprint])
    )
    page = browser.new_page()
    page.goto(f"{page_file.as_uri()}?noanim")
    page.wait_for_function("document.documentElement.dataset.loaded === 'true'", timeout=120_000)
    assert page.locator("#legend").inner_text() == "Sky and surrounding ground are drawn, not photographed"
    page.locator("#ask").click()
    assert "not photographed" in page.locator("#help").inner_text()
    page.locator("#ask").click()
    inside, outside = (0.0, 0.2, 0.0), (30.0, 0.2, 0.0)
    assert page.evaluate("(points) => points.map(spaceport.supported)", [inside, outside]) == [True, False]

    def drag(from_place: tuple[int, int], to_place: tuple[int, int], button: str = "left") -> None:
        page.mouse.move(*from_place)
        page.mouse.down(button=button)
        page.mouse.move(*to_place, steps=4)
        page.mouse.up(button=button)

    def settled(name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Position and direction once nothing moves; the picture's free pixels show our background."""
        before = unmoved(page)
        position, forward, up, [fov] = (np.array(each) for each in before)
        camera = look_at(position, position + forward, up, width=WIDTH, height=HEIGHT, field_of_view=float(fov))
        expected = background(in_view, camera)
        shot = tmp_path / f"{name}.png"
        page.screenshot(path=shot)
        with Image.open(shot) as image:
            seen = np.asarray(image.convert("RGB"), dtype=np.float32) / 255
        _, alpha = render_with_alpha(village_in_view, camera)
        free = alpha < 0.002
        free[: HEIGHT // 8, : WIDTH * 3 // 4] = False  # the legend
        free[HEIGHT * 3 // 4 :] = False  # scale and buttons
        assert np.count_nonzero(free) > 2000, f"{name} shows no surroundings"
        assert np.abs(seen - expected)[free].max() < 0.02, f"{name}: {shot}"
        return position, forward

    village_in_view = village(axis)
    village_in_view = replace(
        village_in_view,
        means=np.array([rotate(rotation, mean) for mean in village_in_view.means]),
        scales=village_in_view.scales + 1.0,  # so that free pixels are not touched by any blur
        shN=village_in_view.shN[:, :0],
    )
    _, forward = settled("start")
    drag((320, 390), (320, 10))
    position, forward = settled("lowest")
    assert np.degrees(np.arcsin(-forward[1])) == pytest.approx(LIMITED.lowest, abs=0.2)
    for _ in range(6):
        page.mouse.wheel(0, 1500)
    farthest, forward = settled("farthest")
    target = farthest + LIMITED.farthest * forward
    assert np.linalg.norm(target - rotate(rotation, 0.4 * axis)) < 0.05
    drag((60, 20), (600, 380), "right")
    drag((60, 20), (600, 380), "right")
    position, forward = settled("edge")
    target = position + LIMITED.farthest * forward
    assert in_view.supports([target * (0.99, 1, 0.99)])[0]
    assert np.linalg.norm(target[[0, 2]]) > 1, "it does not move at all"
    page.keyboard.down("q")
    lowest = scene.ground + LIMITED.clearance
    met(page, lambda: abs(page.evaluate(POSE)[0][1] - lowest) < 0.05, what="it does not come down to the ground")
    page.keyboard.up("q")
    position, forward = settled("flying")
    assert position[1] == pytest.approx(lowest, abs=0.05)
    page.close()


def test_a_viewer_that_breaks_while_loading_says_so(browser: Any, tmp_path: Path) -> None:
    page_file = tmp_path / "index.html"
    delivered(page_file, np.array([0.0, 0.0, 1.0]))
    page_file.write_text(re.sub(r'(id="splat">).{400}', r"\1AAAA", page_file.read_text()))
    page = browser.new_page()
    page.goto(page_file.as_uri())
    page.wait_for_function("document.documentElement.dataset.loaded === 'failed'", timeout=60_000)
    assert "Reload the page" in page.inner_text("#message")
    page.close()


def test_one_panel_is_open_at_a_time_and_escape_closes_it(browser: Any, tmp_path: Path) -> None:
    page = loaded(browser, tmp_path / "index.html", "?noanim")
    page.click("#save")
    page.click("#ask")
    assert page.is_hidden("#downloads")
    assert page.get_attribute("#save", "aria-expanded") == "false"
    page.keyboard.press("Escape")
    assert page.is_hidden("#help")
    assert page.get_attribute("#ask", "aria-expanded") == "false"
    assert page.evaluate("document.activeElement.id") == "ask"
    assert page.evaluate("[...document.querySelectorAll('#controls button')].every((button) => button.title)")
    until(page, "getComputedStyle(document.getElementById('poster')).opacity === '0'")
    assert axe(page) == []
    page.close()


def test_a_graphics_context_that_comes_back_shows_the_scene_again(browser: Any, tmp_path: Path) -> None:
    page = loaded(browser, tmp_path / "index.html", "?webgl&noui&noanim")
    pictures: list[NDArray[np.float32]] = [np.zeros((HEIGHT, WIDTH, 3), np.float32)]

    def seen() -> NDArray[np.float32]:
        page.screenshot(path=tmp_path / "shot.png")
        with Image.open(tmp_path / "shot.png") as image:
            return np.asarray(image.convert("RGB"), dtype=np.float32)

    def at_rest() -> bool:
        pictures.append(seen())
        return float(pictures[-1].std()) > 20 and bool((pictures[-1] == pictures[-2]).all())

    met(page, at_rest, pause=500)
    before = pictures[-1]
    page.evaluate(
        "window.context = document.querySelector('#viewer canvas').getContext('webgl2');"
        "window.lost = context.getExtension('WEBGL_lose_context');"
        "lost.loseContext()"
    )
    page.wait_for_timeout(1000)
    assert float(np.abs(seen() - before).mean()) > 5, "nothing was lost"
    page.evaluate("lost.restoreContext()")
    met(page, lambda: float(np.abs(seen() - before).mean()) < 1, what="the page stays empty")
    page.close()
