"""Measuring in the delivered page: known distances on a generated scene, by mouse, touch and keyboard."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from compressor.deliver.limits import Limits
from compressor.deliver.photos import Photos, photos_of
from compressor.deliver.survey import Absolute, ControlPoint, Survey, System
from compressor.deliver.viewer import BUNDLE, Journey, Page, write_page
from compressor.sog.container import pack_files, zip_files
from compressor.thumbnails import thumbnails_of
from splat.camera import Camera, View, look_at
from tests.support.browser import PHONE, axe, chromium, look, met, needs_chromium
from tests.support.slabs import BOX, SCALE, slabs
from tests.support.splats import village_surroundings

WIDTH, HEIGHT, FIELD_OF_VIEW = 960, 600, 50.0
UP = np.array([0.0, 0.0, 1.0])
TARGET = np.array([0.5, 0.33, 0.3])  # beside the box, which stands clear of the panel
GSD = 0.004
EASTING, NORTHING, LEVEL = 464_500.0, 5_245_400.0, 512.0

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "index.html"
    pictures = tmp_path_factory.mktemp("photos")
    for name in EYES:
        seen(name).save(pictures / name, quality=95)
    shown = replace(photos(), thumbnails=thumbnails_of(pictures, list(EYES)))
    terms = [[origin, *np.eye(3)[axis], 0, 0, 0, 0, 0] for axis, origin in enumerate((EASTING, NORTHING, LEVEL))]
    survey = Survey(
        gsd=GSD,
        scale=1e-4,
        absolute=Absolute(0.02, 0.03, "check points"),
        system=System("UTM 32N, EPSG:25832", terms),
        control=[ControlPoint("A1", (-1.0, -1.0, 0.0), False), ControlPoint("B2 <check>", (0.9, -1.2, 0.0), True)],
    )
    limits = Limits(nearest=0.1, farthest=50, lowest=None, clearance=0, margin=50)
    journey = Journey([eye(), -eye()], TARGET, FIELD_OF_VIEW, seconds=10)
    content = Page("Yard", journey, village_surroundings(UP), limits, metric=True, survey=survey, photos=shown)
    write_page(path, BUNDLE, zip_files(pack_files(slabs())), content)
    return path


PLACE = np.array([-0.5, -0.9, 0.0])  # on the yard, south of the box
PHOTO = (900, 600)
EYES = {"south.jpg": (-0.5, -3, 2), "above.jpg": (0, -0.5, 4), "east.jpg": (2.5, -2, 1.5), "north.jpg": (-0.5, 3, 0.6)}


def cameras() -> dict[str, Camera]:
    """The box hides the place from the last."""
    return {
        name: look_at(eye, (*PLACE[:2], 0.1), (0.01, 0, 1), width=PHOTO[0], height=PHOTO[1])
        for name, eye in EYES.items()
    }


def photos() -> Photos:
    """Of a lens without distortion: each photo is what the page takes it for."""
    views = [View(name, "train", camera) for name, camera in cameras().items()]
    rows = [{"name": name, "original": f"DCIM/{name.upper()}"} for name in EYES]
    lens = views[0].camera
    parameters = {name: getattr(lens, name) for name in ("fx", "fy", "cx", "cy")}
    figures = [{"kind": "PINHOLE", "width": lens.width, "height": lens.height, "parameters": parameters}]
    return photos_of(views, rows, {"cameras": figures})


def seen(name: str) -> Image.Image:
    """A photo: grey, white where it shows the place."""
    x, y = cameras()[name].project(PLACE[None])[0][0]
    rows, columns = np.mgrid[: PHOTO[1], : PHOTO[0]] + 0.5
    spot = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 5.0**2))
    return Image.fromarray(np.rint(60 + 190 * spot).astype(np.uint8)).convert("RGB")


def eye() -> NDArray[np.float64]:
    return np.array([2.1, -3.2, 2.6])


def camera() -> Camera:
    return look_at(eye(), TARGET, UP, width=WIDTH, height=HEIGHT, field_of_view=FIELD_OF_VIEW)


def pixel(point: NDArray[np.float64]) -> tuple[float, float]:
    (found,), _ = camera().project(point[None])
    return float(found[0]), float(found[1])


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("chromium"), WIDTH, HEIGHT, has_touch=True) as context:
        yield context


@pytest.fixture
def page(browser: Any, page_file: Path) -> Iterator[Any]:
    page = browser.new_page()
    page.failures = []
    page.on("pageerror", lambda error: page.failures.append(str(error)))
    page.on("request", lambda request: request.url.startswith("http") and page.failures.append(request.url))
    page.goto(f"{page_file.as_uri()}?noanim")
    page.wait_for_function("document.documentElement.dataset.loaded === 'true'", timeout=120_000)
    page.evaluate("legend.style.transition = 'none'")  # half faded, it is no text that can be read
    page.wait_for_timeout(900)  # the poster fades, the first view settles
    yield page
    assert page.failures == [], "the page loads nothing and raises nothing"
    page.close()


def figures(page: Any) -> str:
    return str(page.inner_text("[data-part=figures]"))


def wait_for_picks(page: Any, count: int) -> None:
    page.wait_for_function(f"spaceport.measuring?.picks.length === {count}", timeout=60_000)


def corners() -> list[NDArray[np.float64]]:
    """Of the box's top, a little inside its edges."""
    x, y, height = BOX
    return [np.array([a * (x - 0.12), b * (y - 0.12), height]) for a, b in ((1, -1), (-1, -1), (-1, 1), (1, 1))]


def test_two_point_distances_are_those_of_the_scene(page: Any) -> None:
    """68 % of them within one GSD where the page says that it is sure (a Gaussian's deviation is four of them)."""
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
    edge = 1.5 * SCALE  # by which the Gaussians of the top reach beyond it
    assert value == pytest.approx(4 * (x + edge) * (y + edge) * height, abs=max(0.02, sigma))
    assert sigma < 0.05 * value
    look(page, "volume", tmp_path)
    assert axe(page) == []
    page.click("[data-base=lowest]")
    page.wait_for_function(told, timeout=60_000)
    (level, _) = map(float, re.search(volume, figures(page)).groups())  # type: ignore[union-attr]
    assert level == pytest.approx(value, rel=0.1)
    page.set_viewport_size(PHONE)
    page.wait_for_timeout(1000)
    look(page, "volume-phone", tmp_path)
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
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


def test_a_point_lists_the_photos_that_see_it_and_marks_in_two_of_them_meet(page: Any, tmp_path: Path) -> None:
    page.click("#measure")
    page.click("[data-kind=point]")
    page.mouse.click(*pixel(PLACE))
    wait_for_picks(page, 1)
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
    assert re.search(r"By marks in 2 photos, which miss by [01]\.\d pixels \(RMS\); 0\.\d+ m from", figures(page))
    look(page, "photos", tmp_path)
    assert axe(page) == []
    page.locator("[data-part=marks] canvas").nth(0).press("ArrowUp")
    page.wait_for_function(f"spaceport.measuring.picks[0].point[1] !== {point[1]}", timeout=60_000)
    assert page.evaluate("spaceport.measuring.camera.component.entity.getPosition().toString()") == before
    page.set_viewport_size(PHONE)
    page.wait_for_timeout(1000)
    look(page, "photos-phone", tmp_path)
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    page.click("[data-kind=line]")
    assert page.is_hidden("[data-part=photos]")


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


def test_thumbnails_stand_beside_the_point_and_marks_in_two_of_them_meet(page: Any, tmp_path: Path) -> None:
    page.click("#measure")
    page.click("[data-kind=point]")
    page.mouse.click(*pixel(PLACE))
    wait_for_picks(page, 1)
    beside = "[data-part=photo-list] button:enabled"
    page.wait_for_function(f"document.querySelectorAll('{beside}').length === 3", timeout=60_000)
    for canvas in page.locator(f"{beside} canvas").all():
        assert canvas.evaluate(BRIGHTEST) == pytest.approx([0.5, 0.5], abs=0.06), "the point in the middle"
    for number in ("1", "3"):
        page.click(f"[aria-label='Mark the point in photo {number}']")
        canvas = page.locator(f"[data-part=marks] canvas[aria-label^='photo {number},']")
        x, y = canvas.evaluate(BRIGHTEST)
        box = canvas.bounding_box()
        canvas.click(position={"x": x * box["width"], "y": y * box["height"]})
    page.wait_for_function("spaceport.measuring.picks[0].marks === 2", timeout=60_000)
    look(page, "thumbnails", tmp_path)
    pick = page.evaluate("spaceport.measuring.picks[0]")
    assert pick["doubt"] is None
    assert np.linalg.norm(np.subtract(pick["point"], PLACE)) < np.hypot(pick["along"], pick["aside"])
    assert pick["along"] < 2.5 * GSD
    assert axe(page) == []
    page.click("[aria-label='Mark the point in photo 1']")
    assert page.locator("[data-part=marks] canvas").count() == 2, "each is enlarged once"


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
    page.wait_for_timeout(3000)
    x, y, z = page.evaluate("(({ x, y, z }) => [x, y, z])(spaceport.measuring.camera.component.entity.getPosition())")
    assert (x, -z, y) == pytest.approx(eye().tolist(), abs=0.02)
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
