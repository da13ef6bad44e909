"""The photos that see a point in the page, and points marked in them: compared with COLMAP's own cameras and known
poses."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pycolmap
import pytest
from numpy.typing import NDArray

from compressor.deliver.photos import photos_of
from splat.camera import View, look_at
from tests.support.viewer_modules import module_calls, needs_node, run_module

Vector = NDArray[np.float64]
WIDTH, HEIGHT = 800, 600


def views(count: int = 8) -> list[View]:
    """Views from a ring 30 m above the ground, all looking at its middle."""
    turns = 2 * np.pi * np.arange(count) / count
    eyes = np.column_stack([18 * np.cos(turns), 18 * np.sin(turns), np.full(count, 30.0)])
    cameras = [look_at(eye, (1, 2, 0), (0, 0, 1), width=WIDTH, height=HEIGHT) for eye in eyes]
    return [View(f"{i + 1:06d}.jpg", "train", camera) for i, camera in enumerate(cameras)]


def rows(count: int = 8) -> list[dict[str, Any]]:
    return [{"name": f"{i + 1:06d}.jpg", "original": f"DCIM/DSC_{i:04d}.JPG", "registered": True} for i in range(count)]


KINDS = {
    "SIMPLE_RADIAL": [1900.0, 1010.0, 740.0, -0.08],
    "RADIAL": [1900.0, 1010.0, 740.0, -0.11, 0.02],
    "RADIAL_FISHEYE": [1200.0, 1000.0, 750.0, 0.03, -0.01],
    "PINHOLE": [1900.0, 1890.0, 1000.0, 750.0],
}


def figures(kind: str) -> dict[str, Any]:
    """Figures for survey.json, as structure from motion writes them."""
    camera = pycolmap.Camera(model=kind, width=2000, height=1500, params=KINDS[kind])
    names = [name.strip() for name in camera.params_info.split(",")]
    parameters = dict(zip(names, KINDS[kind], strict=True))
    return {"cameras": [{"kind": kind, "width": 2000, "height": 1500, "parameters": parameters}]}


def record(kind: str = "RADIAL") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(photos_of(views(), rows(), figures(kind)).as_json()))
    return found


@needs_node
def test_a_photo_sees_what_its_camera_holds_and_the_nearest_come_first() -> None:
    points = np.random.default_rng(2).uniform((-25, -25, 0), (25, 25, 4), (60, 3))
    held = 0
    for point, found in zip(
        points, module_calls("measure/photos", "framing", [[record(), p.tolist()] for p in points]), strict=True
    ):
        expected = {}
        for view, row in zip(views(), rows(), strict=True):
            pixels, depths = view.camera.project(point[None])
            if view.camera.contains(pixels, depths)[0]:
                expected[row["name"].removesuffix(".jpg").lstrip("0")] = (*pixels[0] / (WIDTH, HEIGHT), depths[0])
        assert {each["label"] for each in found} == set(expected)
        held += len(found)
        for each in found:
            x, y, depth = expected[each["label"]]
            assert (each["x"], each["y"]) == pytest.approx((x, y), abs=1e-5)
            assert each["size"] == pytest.approx(depth / views()[0].camera.fx, rel=1e-4)
        sizes = [each["size"] for each in found]
        assert sizes == sorted(sizes)
    assert 60 < held < 470


@needs_node
@pytest.mark.parametrize("kind", KINDS)
def test_pixels_of_the_customers_own_photos_are_colmaps(kind: str) -> None:
    camera = pycolmap.Camera(model=kind, width=2000, height=1500, params=KINDS[kind])
    points = np.random.default_rng(3).uniform((-8, -8, 0), (8, 8, 4), (20, 3))
    calls = [[record(kind), i % 8, point.tolist()] for i, point in enumerate(points)]
    pixels = np.array(module_calls("measure/photos", "pixelOf", calls))
    for i, (point, pixel) in enumerate(zip(points, pixels, strict=True)):
        matrix = views()[i % 8].camera.world_to_camera
        local = matrix[:3, :3] @ point + matrix[:3, 3]
        expected = np.asarray(camera.img_from_cam(local[None])).reshape(2)
        assert pixel == pytest.approx(expected, abs=0.02)
    rays = module_calls(
        "measure/photos",
        "rayOf",
        [[call[0], call[1], pixel.tolist()] for call, pixel in zip(calls, pixels, strict=True)],
    )
    for point, ray in zip(points, rays, strict=True):
        towards = point - ray["origin"]
        assert np.cross(towards / np.linalg.norm(towards), ray["direction"]) == pytest.approx([0, 0, 0], abs=1e-6)


@needs_node
@pytest.mark.parametrize("chosen", [(0, 4), (0, 1), (0, 2, 3, 5, 7)], ids=["opposite", "neighbours", "five"])
def test_marks_meet_in_the_point_as_surely_as_draws_say(chosen: tuple[int, ...]) -> None:
    rng = np.random.default_rng(4)
    truth = np.array([2.0, 1.0, 1.5])
    exact = module_calls("measure/photos", "pixelOf", [[record(), i, truth.tolist()] for i in chosen])
    marked = [[np.add(pixel, rng.normal(0, 1.0, 2)).tolist() for pixel in exact] for _ in range(400)]
    meet = """
    const { record, chosen, marks } = given;
    const rays = marks.map((pixels) => pixels.map((pixel, k) => module.rayOf(record, chosen[k], pixel)));
    console.log(JSON.stringify(rays.map((each) => module.meeting(each))));
    """
    given = {"record": record(), "chosen": chosen, "marks": [exact, *marked]}
    sure, *drawn = run_module("measure/photos", meet, given)
    assert sure["point"] == pytest.approx(truth.tolist(), abs=1e-3)
    assert sure["missed"] < 0.02
    assert sure["marks"] == len(chosen)
    offsets = np.array([each["point"] for each in drawn]) - truth
    axis = np.array(sure["direction"])
    along = offsets @ axis
    rest = offsets - along[:, None] * axis
    assert np.std(along) == pytest.approx(sure["along"], rel=0.12)
    assert np.sqrt(np.mean(np.sum(rest**2, axis=1)) / 2) == pytest.approx(sure["aside"], rel=0.12)
    assert np.median([each["missed"] for each in drawn]) < 1.5


@needs_node
def test_marks_in_thumbnails_meet_as_surely_as_half_of_their_pixels_are() -> None:
    rng, size = np.random.default_rng(5), 240
    truth, chosen = np.array([2.0, 1.0, 1.5]), (0, 2, 5)
    shares = [views()[i].camera.project(truth[None])[0][0] / (WIDTH, HEIGHT) for i in chosen]
    calls = [
        [record(), i, (share + scatter * rng.normal(0, 0.5, 2) / size * (1, WIDTH / HEIGHT)).tolist(), size]
        for scatter in [0] + [1] * 400
        for i, share in zip(chosen, shares, strict=True)
    ]
    rays = module_calls("measure/photos", "rayOfThumbnail", calls)
    groups = [[rays[k : k + len(chosen)]] for k in range(0, len(rays), len(chosen))]
    sure, *drawn = module_calls("measure/photos", "meeting", groups)
    assert sure["point"] == pytest.approx(truth.tolist(), abs=1e-3)
    offsets = np.array([each["point"] for each in drawn]) - truth
    along = offsets @ np.array(sure["direction"])
    assert np.std(along) == pytest.approx(sure["along"], rel=0.12)
    pixels_of_photo = 0.5 * WIDTH / size
    assert np.mean([each["missed"] for each in drawn]) == pytest.approx(pixels_of_photo, rel=0.3)
    assert np.mean([each["doubt"] is not None for each in drawn]) < 0.01


@needs_node
def test_marks_of_different_things_are_unsure_and_one_ray_twice_meets_nowhere() -> None:
    pixels = module_calls("measure/photos", "pixelOf", [[record(), i, [2, 1, 1.5]] for i in (0, 2, 4)])
    pixels[2] = [pixels[2][0] + 40, pixels[2][1]]
    rays = module_calls(
        "measure/photos", "rayOf", [[record(), i, pixel] for i, pixel in zip((0, 2, 4), pixels, strict=True)]
    )
    wrong, twice = module_calls("measure/photos", "meeting", [[rays], [[rays[0], rays[0]]]])
    assert wrong["doubt"] == "the marks do not meet"
    assert wrong["missed"] > 3
    assert wrong["along"] > 0.05
    assert twice is None


def test_the_record_numbers_photos_and_is_small() -> None:
    frame = {"name": "000002.jpg", "original": "f.jpg", "registered": True, "film": "a/fly.mp4", "seconds": 12.34}
    found = photos_of(views(2), [rows()[0], frame], figures("RADIAL"))
    assert [view[0] for view in found.views] == ["1", "2, 12.3 s into the film"]
    assert found.views[1][1] == "", "a frame is no file"
    assert found.cameras == [
        [WIDTH, HEIGHT, *(round(v, 3) for v in vars(views()[0].camera).values() if isinstance(v, float))]
    ]
    count = 500
    many = photos_of(views(count), rows(count), figures("RADIAL"))
    size = len(json.dumps(many.as_json(), separators=(",", ":")))
    print(f"{size / count:.0f} bytes a photo")
    assert size < 110 * count


NAMES = ("Müller, Lindenweg 5 (1).JPG", "DCIM/Familie Weiß/IMG_0002.jpg", "a.jpg")


@needs_node
def test_a_page_has_no_names_of_files_and_knows_them_when_it_sees_them() -> None:
    """Pages get passed on, and file names may contain people's names or addresses."""
    given = [{"name": f"{i + 1:06d}.jpg", "original": name, "registered": True} for i, name in enumerate(NAMES)]
    found = photos_of(views(3), given, figures("RADIAL"))
    text = json.dumps(found.as_json(), ensure_ascii=False).lower()
    assert not any(part in text for part in ("müller", "lindenweg", "familie", "img_", ".jpg"))
    own = ["Mu\u0308ller, Lindenweg 5 (1).jpg", "img_0002.JPG", "A.jpg"]  # with a combining diaeresis, as on macOS
    body = "console.log(JSON.stringify(await Promise.all(given.map(module.digestOf))));"
    assert run_module("measure/photos", body, own) == [view[1] for view in found.views]


def test_photos_of_other_programs_are_numbered_in_their_order() -> None:
    foreign = [View(name, "train", view.camera) for name, view in zip(("b.jpg", "7.jpg"), views(2), strict=True)]
    found = photos_of(foreign, None, None)
    assert [view[0] for view in found.views] == ["1", "2"]
    assert "b.jpg" not in json.dumps(found.as_json())


@pytest.mark.parametrize(
    ("rows_", "survey"),
    [(None, figures("RADIAL")), (rows(), None), (rows(), {"cameras": figures("RADIAL")["cameras"] * 2}),
     (rows(), {"cameras": [{"kind": "THIN_PRISM_FISHEYE", "width": 1, "height": 1, "parameters": {}}]})],
    ids=["no photos.json", "no survey.json", "two cameras", "another lens"],
)  # fmt: skip
def test_without_the_one_lens_photos_are_listed_and_not_marked(rows_: Any, survey: Any) -> None:
    found = photos_of(views(), rows_, survey)
    assert found.lens is None
    assert len(found.views) == 8
