"""A measured point in the delivered page appears in the photos that see it, and marks in two of them give the point."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support.browser import axe, look, needs_chromium
from tests.support.yard import (
    GSD,
    PHOTO,
    PLACE,
    cameras,
    corners,
    figures,
    look_on_a_phone,
    pixel,
    wait_for_picks,
)

pytestmark = needs_chromium

BRIGHTEST = """(canvas) => {
    const { width, height } = canvas;
    const { data } = canvas.getContext('2d').getImageData(0, 0, width, height);
    let [sum, x, y] = [0, 0, 0];
    for (let i = width * 20; i < width * height; i++) { // below the label
        const weight = Math.max(0, data[4 * i + 2] - 120); // blue: the cross of a mark is yellow
        sum += weight;
        x += weight * (i % width + 0.5);
        y += weight * (Math.floor(i / width) + 0.5);
    }
    return [x / sum / width, y / sum / height];
}"""


def measure_the_place(page: Any) -> None:
    page.click("#measure")
    page.click("[data-kind=point]")
    page.mouse.click(*pixel(PLACE))
    wait_for_picks(page, 1)


def test_a_point_lists_the_photos_that_see_it_and_marks_in_two_of_them_meet(page: Any, tmp_path: Path) -> None:
    measure_the_place(page)
    page.wait_for_function("document.querySelectorAll('[data-part=photo-list] li').length > 0", timeout=60_000)
    assert page.inner_text("[data-part=seen]") == "Seen in 3 photos:"
    listed = page.locator("[data-part=photo-list] li").all_inner_texts()
    assert {line.split(":")[0].strip() for line in listed} == {"Photo 1", "Photo 2", "Photo 3"}
    true = {name.upper(): camera.project(PLACE[None])[0][0] for name, camera in cameras().items()}
    for line in listed:
        number, column, row = re.search(r"Photo (\d): pixel (\d+), (\d+)", line).groups()  # type: ignore[union-attr]
        assert (int(column), int(row)) == pytest.approx(list(true.values())[int(number) - 1], abs=3)

    files = []
    for name in ("SOUTH.JPG", "EAST.JPG", "OTHER.JPG"):
        picture = np.full((PHOTO[1], PHOTO[0], 3), 90, np.uint8)
        if name in true:
            x, y = np.round(true[name] - 0.5).astype(int)
            picture[y - 1 : y + 2, x - 1 : x + 2] = 255
        files.append(tmp_path / name)
        Image.fromarray(picture).save(files[-1])
    page.set_input_files("[data-part=files]", files)
    page.wait_for_function("document.querySelectorAll('[data-part=marks] canvas').length === 2", timeout=60_000)
    assert "OTHER.JPG" in page.inner_text("[data-part=seen]")
    for number, name in enumerate(("SOUTH.JPG", "EAST.JPG")):
        canvas = page.locator("[data-part=marks] canvas").nth(number)
        shown = list(map(int, re.findall(r"\d+", canvas.get_attribute("aria-label"))))
        wide = canvas.bounding_box()["width"] / 296
        off = (np.array(true[name]) - shown + (148, 100)) * wide
        canvas.click(position={"x": float(off[0]), "y": float(off[1])})
    page.wait_for_function("spaceport.measuring.picks[0].marks === 2", timeout=60_000)
    before = page.evaluate("spaceport.measuring.camera.component.entity.getPosition().toString()")
    point = page.evaluate("spaceport.measuring.picks[0].point")
    assert point == pytest.approx(PLACE.tolist(), abs=0.005)
    assert re.search(r"From marks in 2 photos, residual [01]\.\d pixels \(RMS\); 0\.\d+ m from", figures(page))
    look(page, "photos", tmp_path)
    assert axe(page) == []
    page.locator("[data-part=marks] canvas").nth(0).press("ArrowUp")
    page.wait_for_function(f"spaceport.measuring.picks[0].point[1] !== {point[1]}", timeout=60_000)
    assert page.evaluate("spaceport.measuring.camera.component.entity.getPosition().toString()") == before
    look_on_a_phone(page, "photos-phone", tmp_path)
    page.click("[data-kind=line]")
    assert page.is_hidden("[data-part=photos]")


def test_photos_that_are_read_late_are_not_shown_for_another_point(page: Any, tmp_path: Path) -> None:
    measure_the_place(page)
    page.wait_for_function("document.querySelectorAll('[data-part=photo-list] li').length > 0", timeout=60_000)
    page.evaluate("""() => {
        const read = createImageBitmap;
        window.createImageBitmap = async (source, ...more) => {
            if (source instanceof File) {
                await new Promise((resolve) => { window.goOn = resolve; });
            }
            return read(source, ...more);
        };
    }""")
    Image.new("RGB", PHOTO).save(tmp_path / "SOUTH.JPG")
    page.set_input_files("[data-part=files]", [tmp_path / "SOUTH.JPG"])
    page.wait_for_function("Boolean(window.goOn)", timeout=60_000)
    before = page.evaluate("spaceport.measuring.picks[0].point.join()")
    page.mouse.click(*pixel(PLACE + np.array([0.2, 0.0, 0.0])))
    page.wait_for_function(f"spaceport.measuring.picks[0].point.join() !== '{before}'", timeout=60_000)
    page.evaluate("window.goOn()")
    page.wait_for_timeout(500)
    assert page.locator("[data-part=marks] canvas").count() == 0


def test_a_click_is_not_counted_for_a_measurement_that_is_chosen_afterwards(page: Any) -> None:
    page.click("#measure")
    page.click("[data-kind=line]")
    page.evaluate("""() => {
        const { measuring } = spaceport;
        const pick = measuring.at.bind(measuring);
        measuring.at = async (x, y, mayLoad = true) => {
            const found = await pick(x, y, mayLoad);
            if (mayLoad) { // a click: the pointer itself asks without loading
                await new Promise((resolve) => { window.goOn = resolve; });
            }
            return found;
        };
    }""")
    page.mouse.click(*pixel(PLACE))
    page.wait_for_function("Boolean(window.goOn)", timeout=60_000)
    page.click("[data-kind=area]")
    page.evaluate("window.goOn()")
    page.wait_for_timeout(300)
    assert page.evaluate("spaceport.measuring.picks.length") == 0


def mark_in_thumbnails(page: Any, numbers: tuple[str, ...] = ("1", "3")) -> None:
    """Mark the place in thumbnails of these photos, where it is the brightest spot."""
    for number in numbers:
        page.click(f"[aria-label='Mark the point in photo {number}']:enabled")
        canvas = page.locator(f"[data-part=marks] canvas[aria-label^='photo {number},']")
        x, y = canvas.evaluate(BRIGHTEST)
        box = canvas.bounding_box()
        canvas.click(position={"x": x * box["width"], "y": y * box["height"]})
    page.wait_for_function(f"spaceport.measuring.picks[0].marks === {len(numbers)}", timeout=60_000)


def test_thumbnails_stand_beside_the_point_and_marks_in_two_of_them_meet(page: Any, tmp_path: Path) -> None:
    measure_the_place(page)
    beside = "[data-part=photo-list] button:enabled"
    page.wait_for_function(f"document.querySelectorAll('{beside}').length === 3", timeout=60_000)
    for canvas in page.locator(f"{beside} canvas").all():
        assert canvas.evaluate(BRIGHTEST) == pytest.approx([0.5, 0.5], abs=0.06), "the point in the middle"
    mark_in_thumbnails(page)
    look(page, "thumbnails", tmp_path)
    pick = page.evaluate("spaceport.measuring.picks[0]")
    assert pick["doubt"] is None
    assert np.linalg.norm(np.subtract(pick["point"], PLACE)) < np.hypot(pick["along"], pick["aside"])
    assert pick["along"] < 2.5 * GSD
    assert axe(page) == []
    page.click("[aria-label='Mark the point in photo 1']")
    assert page.locator("[data-part=marks] canvas").count() == 2, "each is enlarged once"


def test_a_kept_point_from_marks_comes_back_with_its_own_photos(page: Any) -> None:
    page.click("#measure")
    page.click("[data-kind=point]")

    def listed() -> dict[str, list[int]]:
        """The pixels at which the listed photos show the point."""
        page.wait_for_function("document.querySelector('[data-part=seen]').textContent.startsWith('Seen in')")
        lines = page.locator("[data-part=photo-list] li").all_inner_texts()
        found = [re.search(r"Photo (\d): pixel (\d+), (\d+)", line).groups() for line in lines]  # type: ignore[union-attr]
        return {number: [int(column), int(row)] for number, column, row in found}

    page.mouse.click(*pixel(PLACE))
    wait_for_picks(page, 1)
    own = listed()
    mark_in_thumbnails(page)
    off = page.evaluate("spaceport.measuring.picks[0].off")
    for _ in range(20):
        page.locator("[data-part=marks] canvas").nth(0).press("ArrowUp")  # it is kept beside the surface
    page.wait_for_function(f"spaceport.measuring.picks[0].off > {off + 2 * GSD}", timeout=60_000)
    kept = page.evaluate("spaceport.measuring.picks[0].point")
    page.click("[data-part=keep]")
    page.wait_for_selector("[data-part=views] button")
    page.click("[data-part=clear]")
    assert page.is_hidden("[data-part=photos]")
    page.mouse.click(*pixel(corners()[0]))
    wait_for_picks(page, 1)
    assert listed()["1"] != pytest.approx(own["1"], abs=50)

    for cleared in (False, True):
        if cleared:
            page.click("[data-part=clear]")
        page.click("[data-part=views] button")
        wait_for_picks(page, 1)
        assert page.evaluate("spaceport.measuring.picks[0].point") == kept
        assert page.is_visible("[data-part=photos]")
        assert listed() == {number: pytest.approx(place, abs=20) for number, place in own.items()}
    mark_in_thumbnails(page)
    assert page.evaluate("spaceport.measuring.picks[0].off") == pytest.approx(off, abs=GSD / 4), "from the surface"
