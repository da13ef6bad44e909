"""What stays of measuring in the delivered page: notes, kept views, a picture; on a phone, the legend beside it."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support.browser import PHONE, axe, look, met, needs_chromium
from tests.support.yard import HEIGHT, PLACE, WIDTH, corners, eye, pixel, wait_for_picks

pytestmark = needs_chromium


def test_on_a_phone_the_panel_leaves_the_legend_readable(page: Any, tmp_path: Path) -> None:
    page.set_viewport_size(PHONE)
    page.click("#measure")
    page.evaluate("""() => {
        legend.textContent = 'The link to this scene has expired. Open it anew to see more of it';
        legend.classList.remove('gone');
    }""")
    page.click("[data-kind=volume]")  # the tallest without a pick

    def boxes() -> tuple[dict[str, float], dict[str, float]]:
        return page.locator("#legend").bounding_box(), page.locator("#measuring").bounding_box()

    met(page, lambda: boxes()[0]["height"] > 20, what="the legend does not come back")
    look(page, "legend-phone", tmp_path)
    legend, panel = boxes()
    assert legend["y"] + legend["height"] <= panel["y"]
    assert legend["x"] >= 0
    assert max(box["x"] + box["width"] for box in (legend, panel)) <= PHONE["width"]
    controls = page.locator("#controls").bounding_box()
    assert panel["y"] + panel["height"] <= controls["y"]
    page.evaluate("legend.classList.add('gone')")
    met(page, lambda: boxes()[1]["y"] < legend["y"] + 12, what="the panel does not take the legend's place")
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})


def test_notes_stay_pinned_to_their_points_and_surveyed_points_have_names(page: Any, tmp_path: Path) -> None:
    page.click("#measure")
    page.click("[data-kind=point]")
    assert page.is_hidden("[data-part=note]")
    page.mouse.click(*pixel(PLACE))
    wait_for_picks(page, 1)
    pose = "spaceport.measuring.camera.component.entity.getPosition().toString()"
    before = page.evaluate(pose)
    page.fill("[data-part=text]", "")
    page.locator("[data-part=text]").press_sequentially("wasm <damp> & moss")  # letters that fly, and one that closes
    page.wait_for_timeout(500)
    assert page.evaluate(pose) == before
    assert page.is_visible("#measuring")
    page.keyboard.press("Enter")
    assert page.evaluate("spaceport.measuring.picks.length") == 1
    page.click("[data-part=clear]")
    texts = "[...document.querySelectorAll('#overlay text')].map((each) => each.textContent)"
    drawn = {"A1", "B2 <check>", "wasm <damp> & moss"}
    page.wait_for_function(f"{texts}.includes('wasm <damp> & moss')", timeout=60_000)
    assert drawn <= set(page.evaluate(texts))
    look(page, "notes", tmp_path)
    assert axe(page) == []
    page.reload()
    page.wait_for_function("document.documentElement.dataset.loaded === 'true'", timeout=120_000)
    page.wait_for_timeout(900)
    page.click("#measure")
    page.wait_for_function(f"{texts}.includes('wasm <damp> & moss')", timeout=60_000)
    page.click("[data-part=views] button")
    wait_for_picks(page, 1)
    assert page.evaluate("spaceport.measuring.picks[0].point") == pytest.approx(PLACE.tolist(), abs=0.02)
    page.set_viewport_size(PHONE)
    page.wait_for_timeout(1000)
    look(page, "notes-phone", tmp_path)
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    page.click("[aria-label^='Remove the note']")
    page.wait_for_function(f"!{texts}.includes('wasm <damp> & moss')", timeout=60_000)


def test_a_kept_view_brings_camera_and_figures_back(page: Any) -> None:
    page.click("#measure")
    page.mouse.click(*pixel(corners()[0]))
    wait_for_picks(page, 1)
    page.click("[data-part=keep]")
    page.click("[data-part=clear]")
    page.mouse.wheel(0, 900)
    page.wait_for_timeout(1500)
    page.click("[data-part=views] button")
    wait_for_picks(page, 1)

    def back() -> bool:
        position = "(({ x, y, z }) => [x, -z, y])(spaceport.measuring.camera.component.entity.getPosition())"
        return bool(page.evaluate(position) == pytest.approx(eye().tolist(), abs=0.02))

    met(page, back, what="the camera does not come back")
    page.click("[data-part=views] button + button")
    assert page.locator("[data-part=views] li").count() == 0


def test_the_picture_has_a_plate_with_title_date_and_figures(page: Any, tmp_path: Path) -> None:
    page.click("#measure")
    for number, place in enumerate((corners()[0], corners()[1]), start=1):
        page.mouse.click(*pixel(place))
        wait_for_picks(page, number)
    with page.expect_download(timeout=60_000) as handed:
        page.click("[data-part=picture]")
    content = Path(handed.value.path()).read_bytes()
    (tmp_path / "picture.png").write_bytes(content)
    assert handed.value.suggested_filename == "Yard.png"
    with Image.open(BytesIO(content)) as image:
        picture = np.asarray(image.convert("RGB")).astype(int)
    height = round(1920 * HEIGHT / WIDTH)
    assert picture.shape[1] == 1920
    assert picture.shape[0] > height + 100
    assert picture[:height].std() > 20, "the scene"
    plate = picture[height:]
    assert np.count_nonzero(plate.min(axis=2) > 200) > 2000, "white letters"
    assert np.count_nonzero((plate[..., 0] > 180) & (plate[..., 1] < 90)) > 200, "the needle"
