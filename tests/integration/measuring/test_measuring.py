"""Measuring in the delivered page: known distances in a generated scene, by mouse, touch and keyboard."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support.browser import PHONE, axe, look, met, needs_chromium
from tests.support.slabs import BOX, SCALE
from tests.support.yard import (
    EASTING,
    GSD,
    HEIGHT,
    LEVEL,
    NORTHING,
    PLACE,
    WIDTH,
    corners,
    eye,
    figures,
    look_on_a_phone,
    pixel,
    wait_for_picks,
)

pytestmark = needs_chromium


def test_two_point_distances_are_those_of_the_scene(page: Any) -> None:
    """68 % of the distances that the page calls sure are within one GSD of the truth (a Gaussian's deviation is four
    GSD)."""
    assert SCALE >= GSD
    rng = np.random.default_rng(2)
    page.click("#measure")
    x, y, height = BOX
    places = [
        np.array([rng.uniform(-x + 0.1, x - 0.1), rng.uniform(-y + 0.1, y - 0.1), height])
        if index % 2
        else np.array([rng.uniform(-1.2, 1.2), rng.uniform(-1.5, -0.9), 0.0])
        for index in range(24)
    ]
    picks = page.evaluate(
        "(places) => Promise.all(places.map(([x, y]) => spaceport.measuring.at(x, y)))",
        [[a / WIDTH, b / HEIGHT] for a, b in map(pixel, places)],
    )
    sure = [(place, pick) for place, pick in zip(places, picks, strict=True) if pick["doubt"] is None]
    assert len(sure) > 18
    errors = [
        np.linalg.norm(one[0] - two[0]) - np.linalg.norm(np.subtract(one[1]["point"], two[1]["point"]))
        for one in sure
        for two in sure
        if one is not two
    ]
    print(f"{len(sure)} of 24 sure, p68 {np.percentile(np.abs(errors), 68) / GSD:.2f} GSD")
    assert np.percentile(np.abs(errors), 68) <= GSD


def test_clicks_measure_length_height_and_area_and_move_no_camera(page: Any, tmp_path: Path) -> None:
    before = page.evaluate("spaceport.viewer.app.root.findComponent('camera').entity.getPosition().toString()")
    page.click("#measure")
    ground, top = np.array([0.2, -0.9, 0.0]), corners()[0]
    for number, place in enumerate((ground, top), start=1):
        page.mouse.click(*pixel(place))
        wait_for_picks(page, number)
    found = re.match(r"Length ([\d.]+) m ± [\d.]+ m\nIn plan ([\d.]+) m ± [\d.]+ m\nHeight \+([\d.]+) m", figures(page))
    assert found, figures(page)
    expected = (np.linalg.norm(top - ground), np.linalg.norm((top - ground)[:2]), top[2])
    assert [float(value) for value in found.groups()] == pytest.approx(expected, abs=0.02)
    page.click("[data-part=undo]")
    wait_for_picks(page, 1)

    page.click("[data-kind=area]")
    wait_for_picks(page, 0)
    for number, place in enumerate(corners(), start=1):
        page.mouse.click(*pixel(place))
        wait_for_picks(page, number)
    shot = look(page, "measuring", tmp_path)
    (area,) = re.findall(r"Area in plan ([\d.]+) m²", figures(page))
    x, y, _ = BOX
    assert float(area) == pytest.approx(4 * (x - 0.12) * (y - 0.12), rel=0.03)
    with Image.open(shot) as image:
        drawn = np.asarray(image.convert("RGB")).astype(int)
    assert np.count_nonzero((drawn[..., 0] > 220) & (drawn[..., 1] > 180) & (drawn[..., 2] < 80)) > 100, shot
    page.wait_for_timeout(1500)
    after = page.evaluate("spaceport.viewer.app.root.findComponent('camera').entity.getPosition().toString()")
    assert before == after
    assert axe(page) == []


def test_a_volume_over_clicked_corners_is_the_boxs(page: Any, tmp_path: Path) -> None:
    page.click("#measure")
    page.click("[data-kind=volume]")
    around = [(1.45, -1.4, 0), (-1.5, -1.4, 0), (-1.55, -0.2, 0), (0.3, 1.5, 0), (1.4, 1.5, 0)]
    for number, place in enumerate(around, start=1):
        x, y = pixel(np.array(place, float))
        page.evaluate("([x, y]) => spaceport.measuring.take(x, y)", [x / WIDTH, y / HEIGHT])  # some are below the panel
        wait_for_picks(page, number)
    volume = r"Above the base ([\d.]+) m³ ± ([\d.]+) m³"
    told = "document.querySelector('[data-part=figures]').textContent.includes('Above the base')"
    page.wait_for_function(told, timeout=60_000)
    x, y, height = BOX
    (value, sigma) = map(float, re.search(volume, figures(page)).groups())  # type: ignore[union-attr]
    edge = 1.5 * SCALE  # the distance by which the Gaussians of the top extend beyond it
    assert value == pytest.approx(4 * (x + edge) * (y + edge) * height, abs=max(0.02, sigma))
    assert sigma < 0.05 * value
    look(page, "volume", tmp_path)
    assert axe(page) == []
    page.click("[data-base=lowest]")
    page.wait_for_function(told, timeout=60_000)
    (level, _) = map(float, re.search(volume, figures(page)).groups())  # type: ignore[union-attr]
    assert level == pytest.approx(value, rel=0.1)
    look_on_a_phone(page, "volume-phone", tmp_path)
    page.click("[data-kind=line]")
    assert page.is_hidden("[data-part=bases]")


def test_a_point_has_coordinates_and_the_pointer_shows_them(page: Any) -> None:
    page.click("#measure")
    page.click("[data-kind=point]")
    place = np.array([-0.5, -0.9, 0.0])
    page.mouse.move(*pixel(place))
    page.wait_for_function("document.querySelector('[data-part=pointer]').textContent !== ''", timeout=60_000)
    assert "E 46449" in page.inner_text("[data-part=pointer]")
    page.mouse.click(*pixel(place))
    wait_for_picks(page, 1)
    found = re.search(r"E ([\d.]+), N ([\d.]+), height ([\d.]+)\nUTM 32N, EPSG:25832\nOn Earth ± 0.0", figures(page))
    assert found, figures(page)
    expected = [EASTING - 0.5, NORTHING - 0.9, LEVEL]
    assert [float(value) for value in found.groups()] == pytest.approx(expected, abs=0.02)


def test_keys_and_touch_measure_too(page: Any) -> None:
    page.keyboard.press("m")
    page.wait_for_selector("#measuring")
    page.keyboard.press("Enter")
    wait_for_picks(page, 1)
    page.touchscreen.tap(*pixel(np.array([0.2, -0.9, 0.0])))
    wait_for_picks(page, 2)
    page.keyboard.press("Backspace")
    wait_for_picks(page, 1)
    page.keyboard.press("Escape")
    assert page.is_hidden("#measuring")
    assert page.evaluate("document.activeElement.id") == "measure"
    page.mouse.click(*pixel(np.array([0.2, -0.9, 0.0])))
    page.wait_for_timeout(500)
    assert page.evaluate("spaceport.measuring.picks.length") == 1, "what is closed measures nothing"


def test_where_there_is_no_surface_the_page_says_so(page: Any) -> None:
    page.click("#measure")
    page.mouse.click(30, 60)
    page.wait_for_function("document.querySelector('[data-part=figures]').textContent.includes('no surface')")
    assert page.evaluate("spaceport.measuring.picks.length") == 0


def test_on_a_phone_the_panel_leaves_the_legend_readable(page: Any, tmp_path: Path) -> None:
    page.set_viewport_size(PHONE)
    page.click("#measure")
    page.evaluate("""() => {
        legend.textContent = 'The link to this scene has expired. Open it again to see more of it';
        legend.classList.remove('gone');
    }""")
    page.click("[data-kind=volume]")  # the tallest panel before any pick

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
    page.locator("[data-part=text]").press_sequentially("wasm <damp> & moss")  # with keys that fly, and one that closes
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
    look_on_a_phone(page, "notes-phone", tmp_path)
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


ANSWERS = {
    "at once": "",
    "late": """const pick = splat.pick.bind(splat);
        const gate = new Promise((open) => { window.answer = open; });
        splat.pick = (...given) => gate.then(() => pick(...given));""",
    "never": "splat.pick = () => Promise.reject(new Error('it cannot be read'));",
}


def let_it_answer(page: Any, when: str) -> None:
    """From now on, have the splat's worker answer as ANSWERS say; "late" is when the page's `answer` is called."""
    page.evaluate(f"() => {{ const {{ splat }} = spaceport.measuring; {ANSWERS[when]} }}")


@pytest.mark.parametrize("when", ANSWERS)
def test_a_view_that_is_kept_without_a_pick_comes_back_too(page: Any, when: str) -> None:
    """Where the camera was when the button was clicked, whatever becomes of the request for the surface ahead."""
    page.click("#measure")
    page.mouse.wheel(0, 900)  # a pick from before would be at another distance
    page.wait_for_timeout(1500)
    place = "(({ x, y, z }) => [x, y, z])(spaceport.measuring.camera.component.entity.getPosition())"
    kept = page.evaluate(place)
    let_it_answer(page, when)
    page.click("[data-part=keep]")
    page.mouse.move(WIDTH / 2, HEIGHT / 2)
    page.mouse.wheel(0, -1500)
    page.wait_for_timeout(1500)
    assert page.evaluate(place) != pytest.approx(kept, abs=0.2)
    page.evaluate("window.answer?.()")
    page.wait_for_selector("[data-part=views] button", timeout=5_000)
    page.click("[data-part=views] button")
    met(page, lambda: bool(page.evaluate(place) == pytest.approx(kept, abs=0.02)), what="the camera does not come back")


def test_a_note_is_pinned_even_if_the_surface_ahead_cannot_be_read(page: Any) -> None:
    page.click("#measure")
    page.click("[data-kind=point]")
    page.mouse.click(*pixel(PLACE))
    wait_for_picks(page, 1)
    let_it_answer(page, "never")
    page.fill("[data-part=text]", "moss")
    page.press("[data-part=text]", "Enter")
    page.wait_for_selector("[aria-label='Remove the note moss']", timeout=5_000)


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
