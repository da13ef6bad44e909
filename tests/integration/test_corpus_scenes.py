"""What photogrammetry and training tools export for training: for each kind, preflight's answer and what training
reads.

If preflight refuses an upload, training must refuse it with the same code.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contract.codes import ErrorCode
from contract.stages import PipelineStep
from contract.warning_codes import WarningCode
from domain.errors import RejectedUpload
from domain.preflight import check_contents, check_entries, read_entries
from stage.errors import StageError
from tests.support.archives import zip_of
from tests.support.corpus import encoded, picture
from tests.support.models import HEIGHT, WIDTH, binary_model, text_model
from trainer.dataset import Scene, find_scene, load_scene
from trainer.photo_store import PhotoStore

COUNT = 8
PHOTOS = [f"{number:06d}.jpg" for number in range(1, COUNT + 1)]
UTM = (412_345.0, 5_412_347.0, 480.0)
Files = dict[str, bytes]


@dataclass(frozen=True)
class Case:
    """A scene and the expected answer. `photos`: how many are trained on, or the code of a refusal; `warnings`: those
    of training; `shown`: the share of the first photo that is learnt; `preflight`: how many photos preflight counts,
    if that can only be told from the pictures."""

    name: str
    files: Callable[[], Files]
    photos: int | ErrorCode = COUNT
    warnings: tuple[WarningCode, ...] = ()
    shown: float | None = None
    preflight: int | None = None


def shot(number: int, mode: str = "RGB", size: tuple[int, int] = (WIDTH, HEIGHT)) -> Image.Image:
    """A photo; the left half of an RGBA one is transparent and magenta."""
    taken = picture(number, size)
    if mode == "RGBA":
        pixels = np.dstack([np.asarray(taken), np.full(size[::-1], 255, np.uint8)])
        pixels[:, : size[0] // 2] = (255, 0, 255, 0)
        return Image.fromarray(pixels)
    if mode == "I;16":
        return Image.fromarray(np.asarray(taken.convert("L")).astype(np.uint16) * 90 + 2000)
    return taken


def photos(names: list[str] = PHOTOS, mode: str = "RGB", size: tuple[int, int] = (WIDTH, HEIGHT)) -> Files:
    kinds = {"jpg": "JPEG", "tif": "TIFF"}
    return {
        name: encoded(shot(number, mode, size), kinds.get(name[-3:], name.rpartition(".")[2].upper()))
        for number, name in enumerate(names)
    }


def scene(
    model: Mapping[str, bytes] | None = None, folder: str = "sparse/0/", files: Files | None = None, top: str = ""
) -> Files:
    """A model in `folder` and the photos in images/, below `top`."""
    listed = binary_model(PHOTOS) if model is None else model
    pictures = photos() if files is None else files
    placed = {f"{top}{folder}{name}": body for name, body in listed.items()}
    return placed | {f"{top}images/{name}": body for name, body in pictures.items()}


def named(suffix: str) -> list[str]:
    return [name.replace("jpg", suffix) for name in PHOTOS]


def masks(pattern: str) -> Files:
    mask = np.full((HEIGHT, WIDTH), 255, np.uint8)
    mask[:, : WIDTH // 4] = 0
    body = encoded(Image.fromarray(mask), "PNG")
    return {"masks/" + pattern.format(name, name.removesuffix(".jpg")): body for name in PHOTOS}


def without(files: Files, count: int) -> Files:
    return {name: body for name, body in files.items() if name not in PHOTOS[:count]}


OTHERS = photos([f"other {number}.jpg" for number in range(5)])
ODD_NAMES = [f"Flug {number}/Süd {number}.jpg" for number in range(8)]
CASES = [
    Case("COLMAP: sparse/0", lambda: scene()),
    Case("in a folder of its own", lambda: scene(top="export/2026-05-01/")),
    Case("the model in sparse/", lambda: scene(folder="sparse/")),
    Case("nerfstudio: colmap/sparse/0", lambda: scene(folder="colmap/sparse/0/")),
    Case("the model beside images/", lambda: scene(folder="")),
    Case("RealityScan: text", lambda: scene(text_model(PHOTOS))),
    Case("text and binary", lambda: scene({**text_model(PHOTOS[:3]), **binary_model(PHOTOS)})),
    Case(
        "COLMAP from 3.12 on: rigs and frames",
        lambda: scene({**binary_model(PHOTOS), "rigs.bin": b"x", "frames.bin": b"x"}),
    ),
    Case("sub-folders, spaces, umlauts", lambda: scene(binary_model(ODD_NAMES), files=photos(ODD_NAMES))),
    Case(
        "Windows: backslashes in the model",
        lambda: scene(binary_model([name.replace("/", "\\") for name in ODD_NAMES]), files=photos(ODD_NAMES)),
    ),
    Case(
        "the second model is the large one",
        lambda: {**scene(binary_model(PHOTOS[:2])), **scene(folder="sparse/1/")},
        warnings=(WarningCode.SMALLER_MODELS,),
    ),
    Case("WebP", lambda: scene(binary_model(named("webp")), files=photos(named("webp")))),
    Case("TIFF", lambda: scene(binary_model(named("tif")), files=photos(named("tif")))),
    Case("grey PNG of 16 bits", lambda: scene(binary_model(named("png")), files=photos(named("png"), "I;16"))),
    Case("cut-outs: RGBA", lambda: scene(binary_model(named("png")), files=photos(named("png"), "RGBA")), shown=0.5),
    Case("masks by name", lambda: {**scene(), **masks("{0}.png")}, shown=0.75),
    Case("Metashape: masks by stem", lambda: {**scene(), **masks("{1}.png")}, shown=0.75),
    Case("masks of other photos", lambda: {**scene(), **masks("x{0}.png")}, warnings=(WarningCode.MASKS_UNUSED,)),
    Case("photos half their cameras' size", lambda: scene(files=photos(size=(WIDTH // 2, HEIGHT // 2)))),
    Case(
        "photos of another shape",
        lambda: scene(files=photos(size=(WIDTH, WIDTH))),
        ErrorCode.INVALID_SCENE,
        preflight=8,
    ),
    Case("one photo missing", lambda: scene(files=without(photos(), 1)), 7, (WarningCode.PHOTOS_SKIPPED,)),
    Case("most photos missing", lambda: scene(files={**without(photos(), 5), **OTHERS}), ErrorCode.INVALID_SCENE),
    Case(
        "one photo damaged",
        lambda: scene(files={**photos(), PHOTOS[2]: b"no picture"}),
        7,
        (WarningCode.PHOTOS_SKIPPED,),
        preflight=8,
    ),
    Case(
        "photos in another folder than the model",
        lambda: {**scene(top="a/", files={}), **scene({}, top="b/")},
        ErrorCode.INVALID_SCENE,
    ),
    Case("distorted photos", lambda: scene(text_model(PHOTOS, "RADIAL", "-0.1 0.01"))),
    Case("fisheye photos", lambda: scene(text_model(PHOTOS, "RADIAL_FISHEYE", "0.02 -0.004"))),
    Case(
        "a camera that training does not know", lambda: scene(text_model(PHOTOS, "FOV", "0.5")), ErrorCode.INVALID_SCENE
    ),
    Case("the same in binary", lambda: scene(binary_model(PHOTOS, camera=10)), ErrorCode.INVALID_SCENE),
    Case("a model of names alone", lambda: scene(binary_model(PHOTOS, points=0)), ErrorCode.INVALID_SCENE),
    Case(
        "a list of photos that is cut off",
        lambda: scene({**binary_model(PHOTOS), "images.bin": binary_model(PHOTOS)["images.bin"][:200]}),
        ErrorCode.INVALID_SCENE,
    ),
    Case("a name out of the folder", lambda: scene(binary_model(["../../a.jpg", *PHOTOS])), ErrorCode.INVALID_SCENE),
    Case("no model", lambda: {f"images/{name}": body for name, body in photos().items()}, ErrorCode.INVALID_SCENE),
    Case("UTM", lambda: scene(binary_model(PHOTOS, origin=UTM))),
]


def preflight(body: bytes) -> int | ErrorCode:
    stream = io.BytesIO(body)
    try:
        entries = read_entries(stream)
        count = check_entries(entries, len(body), PipelineStep.TRAINING)
        check_contents(stream, entries, PipelineStep.TRAINING)
    except RejectedUpload as rejected:
        return rejected.error.code
    return count


def read(body: bytes, folder: Path) -> Scene | ErrorCode:
    (folder / "channel").mkdir()
    (folder / "channel" / "upload.zip").write_bytes(body)
    try:
        return load_scene(find_scene(folder / "channel", folder / "scratch")[0], WIDTH)
    except StageError as error:
        return error.code


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_scene_gets_its_answer(case: Case, tmp_path: Path) -> None:
    body = zip_of(case.files())
    before, after = preflight(body), read(body, tmp_path)
    assert before == (case.photos if case.preflight is None else case.preflight)
    if isinstance(case.photos, ErrorCode):
        assert after is case.photos
        return
    assert isinstance(after, Scene), after
    assert len(after.photos) == case.photos
    assert tuple(warning.code for warning in after.warnings) == case.warnings
    store, photo = PhotoStore(), after.photos[0]
    mask = store.mask(photo, photo.camera)
    assert (None if mask is None else mask.mean()) == (None if case.shown is None else pytest.approx(case.shown))
    learnt = store.picture(photo)[np.ones((photo.camera.height, photo.camera.width), bool) if mask is None else mask]
    assert learnt.std() > 15  # neither white nor black, nor the colour that a mask hides
    assert not (learnt == (255, 0, 255)).all(axis=1).any()


def test_a_scene_in_utm_keeps_its_millimetres(tmp_path: Path) -> None:
    (tmp_path / "near").mkdir()
    (tmp_path / "far").mkdir()
    near = read(zip_of(scene()), tmp_path / "near")
    far = read(zip_of(scene(binary_model(PHOTOS, origin=UTM))), tmp_path / "far")
    assert isinstance(near, Scene)
    assert isinstance(far, Scene)
    placed = far.positions.astype(np.float32).astype(np.float64) + far.offset
    np.testing.assert_allclose(placed - UTM, near.positions, atol=1e-3)
