"""Faulty uploads as customers send them: the right scene or the right code each time.

A run of the stage takes seconds, so faults that do not hide each other share a run.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import sfm.stage
from sfm.budget import OutOfTimeError
from sfm.matching import match_pairs
from sfm.native import run_native
from sfm.stage import reconstruct_scene
from stage.contract import run_stage

Run = tuple[int, Path]


def run(root: Path, files: dict[str, bytes], job: dict[str, Any] | None = None) -> Run:
    folder = root / "processing" / "input" / "upload"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "photos.zip", "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    if job is not None:
        (root / "config").mkdir()
        (root / "config" / "processingjobconfig.json").write_text(json.dumps(job))
    code = run_stage("sfm", lambda folders: folders.processing_output, reconstruct_scene, {"ML_ROOT": str(root)})
    return code, root / "processing" / "output"


def reason(root: Path) -> str:
    return (root / "output" / "message").read_text()


def reencoded(data: bytes, change: Callable[[Image.Image], Image.Image], kind: str = "JPEG", **options: Any) -> bytes:
    """The photo changed and encoded again, with its EXIF unless `options` contain another."""
    stream = io.BytesIO()
    with Image.open(io.BytesIO(data)) as image:
        change(image).save(stream, kind, **({"exif": image.getexif()} | options))
    return stream.getvalue()


def with_tags(data: bytes, change: Callable[[Image.Exif], None]) -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        exif = image.getexif()
        change(exif)
    return reencoded(data, lambda image: image, exif=exif, quality=95)


def sixteen_bit(image: Image.Image) -> Image.Image:
    return Image.fromarray((np.asarray(image.convert("L"), np.uint16) * 250 + 17).astype(np.uint16))


def huge_exif(exif: Image.Exif) -> None:
    exif[37510] = b"ASCII\0\0\0" + b"x" * 50_000


def wrong_orientation(exif: Image.Exif) -> None:
    exif[274] = 99


def no_altitude(exif: Image.Exif) -> None:
    gps = exif.get_ifd(0x8825)
    gps.pop(5), gps.pop(6)


@pytest.fixture(scope="module")
def bad_day(flight: Any, unrelated: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Eight photos of a flight, each with a different fault, four of other places, and files of no use."""
    names = list(flight.photos)
    good = [flight.photos[name] for name in names]
    odd = {
        "Flug über Äcker/photo 1.JPG": with_tags(good[0], huge_exif),
        "100MEDIA/DJI_1.JPG": with_tags(good[1], wrong_orientation),
        "101MEDIA/DJI_1.JPG": with_tags(good[2], no_altitude),
        "half.jpg": reencoded(good[3], lambda image: image.resize((480, 360), Image.Resampling.LANCZOS), quality=95),
        "press.jpg": reencoded(good[4], lambda image: image.convert("CMYK"), quality=95),
        "科学.tif": reencoded(good[5], sixteen_bit, "TIFF", exif=b""),
        "screen.PNG": reencoded(good[6], lambda image: image.convert("RGBA"), "PNG", exif=b""),
        "plain.webp": reencoded(good[7], lambda image: image, "WEBP", quality=95),
    }
    rubbish = {
        "cut.jpg": good[0][: len(good[0]) // 2],
        "empty.jpg": b"",
        "dot.png": reencoded(good[0], lambda image: image.resize((1, 1)), "PNG"),
        "black.jpg": reencoded(good[0], lambda _: Image.new("RGB", (640, 480))),
        "again/photo 1.JPG": with_tags(good[0], huge_exif),
        "__MACOSX/._DJI_1.JPG": b"\0\5\x16\7",
        ".DS_Store": b"\0",
        "notes.txt": b"hello",
    }
    others = {f"holiday/{name}": data for name, data in unrelated.items()}
    return run(tmp_path_factory.mktemp("bad"), odd | rubbish | others)


def test_the_flight_is_found_in_the_rubbish(bad_day: Run) -> None:
    code, scene = bad_day
    assert code == 0, reason(scene.parents[1])
    rows = {row["original"]: row for row in json.loads((scene / "photos.json").read_text())}
    assert {name for name, row in rows.items() if row["registered"]} == {
        "Flug über Äcker/photo 1.JPG", "100MEDIA/DJI_1.JPG", "101MEDIA/DJI_1.JPG", "half.jpg", "press.jpg",
        "科学.tif", "screen.PNG", "plain.webp",
    }  # fmt: skip
    reasons = {name: row["reason"] for name, row in rows.items() if "reason" in row}
    assert "cut off" in reasons["cut.jpg"]
    assert "not a photo" in reasons["empty.jpg"]
    assert "1 × 1" in reasons["dot.png"]
    assert "flat colour" in reasons["black.jpg"]
    assert {reasons.get("again/photo 1.JPG"), reasons.get("Flug über Äcker/photo 1.JPG")} == {
        None,
        "same photo as Flug über Äcker/photo 1.JPG",
    }
    assert all("matches no other photo" in reasons[f"holiday/{index}.jpg"] for index in range(4))
    assert not {"notes.txt", ".DS_Store", "__MACOSX/._DJI_1.JPG"} & set(rows)


def test_the_customer_is_warned_and_the_scene_is_metric(bad_day: Run) -> None:
    _, scene = bad_day
    result = json.loads((scene / "result.json").read_text())
    warnings = {warning["code"]: warning for warning in result["warnings"]}
    assert set(warnings) == {"LOW_REGISTRATION", "PHOTOS_SKIPPED", "PHOTOS_NOT_REGISTERED"}
    assert "8 of 12" in warnings["LOW_REGISTRATION"]["message"]
    assert result["metrics"]["gpsRms"] < 0.5
    assert json.loads((scene / "georeference.json").read_text())["georeferenced"] is True


def transposed(image: Image.Image, turn: Image.Transpose | None) -> Image.Image:
    return image if turn is None else image.transpose(turn)


def test_turned_photos_without_any_other_metadata_make_a_level_scene(flight: Any, tmp_path: Path) -> None:
    turned = {}
    for index, (name, data) in enumerate(flight.photos.items()):
        orientation, turn = [(1, None), (6, Image.Transpose.ROTATE_90), (3, Image.Transpose.ROTATE_180)][index % 3]
        exif = Image.Exif()
        exif[274] = orientation
        turned[name] = reencoded(data, partial(transposed, turn=turn), exif=exif, quality=95)
    code, scene = run(tmp_path, turned)
    assert code == 0, reason(tmp_path)
    result = json.loads((scene / "result.json").read_text())
    assert (result["counts"]["registered"], result["counts"]["cameras"]) == (8, 1)
    (warning,) = result["warnings"]
    assert warning["code"] == "NOT_GEOREFERENCED"


def test_two_places_in_one_upload(flight: Any, elsewhere: Any, tmp_path: Path) -> None:
    """The larger one is delivered if it has half of the photos; the others are named as a group."""
    larger = {f"a/{name}": data for name, data in flight.photos.items()}
    smaller = {f"b/{name}": data for name, data in list(elsewhere.photos.items())[:4]}
    code, scene = run(tmp_path, larger | smaller)
    assert code == 0, reason(tmp_path)
    rows = json.loads((scene / "photos.json").read_text())
    assert [row["registered"] for row in rows] == 8 * [True] + 4 * [False]
    assert all("separate group" in row["reason"] for row in rows[8:])


def test_no_time_is_a_code_and_leaves_nothing(flight: Any, tmp_path: Path) -> None:
    code, scene = run(tmp_path, flight.photos, {"StoppingCondition": {"MaxRuntimeInSeconds": 1}})
    assert code == 1
    assert reason(tmp_path).startswith("TIME_BUDGET")
    assert list(scene.iterdir()) == []


def test_the_part_that_was_matched_in_time_is_delivered(
    flight: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time runs out while pairs are matched: the photos connected by then are the scene, and the others are named."""
    names = {f"{number:06d}.jpg" for number in range(1, 7)}

    def until_six_are_matched(task: Callable[..., Any], arguments: tuple[Any, ...], progress: Any) -> Any:
        if task is not match_pairs:
            return run_native(task, arguments, progress)
        database, pairs, threads = arguments
        run_native(task, (database, [pair for pair in pairs if names.issuperset(pair)], threads), progress)
        raise OutOfTimeError

    monkeypatch.setattr(sfm.stage, "run_native", until_six_are_matched)
    code, scene = run(tmp_path, flight.photos)
    assert code == 0, reason(tmp_path)
    result = json.loads((scene / "result.json").read_text())
    assert result["counts"]["registered"] == 6
    (late,) = [warning for warning in result["warnings"] if warning["code"] == "TIME_BUDGET"]
    assert late["names"] == ["DJI_14.JPG", "DJI_15.JPG"]
    assert len(list((scene / "images").iterdir())) == 6
    rows = {row["original"]: row for row in json.loads((scene / "photos.json").read_text())}
    assert rows["DJI_15.JPG"]["reason"] == "was not reached when time ran out"
