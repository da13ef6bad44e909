"""Doors of the containers: ZIPs, photos, XMP, splats, COLMAP models, the documents beside them, control points."""

from __future__ import annotations

import io
import json
import random
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from contract.archive import Limits, Method
from contract.stages import PipelineStep
from contract.wanted import WANTED
from sfm.decode import decode
from sfm.gcp import UnusableGcpFileError, parse_gcp_list, read_text
from splat.camera import View, look_at, read_views, write_views
from splat.errors import InvalidSceneError, InvalidSplatError
from splat.footprint import is_georeferenced
from splat.ply import read_ply, write_ply
from splat.surroundings import read_surroundings, write_surroundings
from stage.archive import unpack
from stage.errors import StageError
from stage.pictures import UnusablePhotoError
from tests.fuzz.door import Door
from tests.fuzz.mutate import NAMES, NUMBERS, changed, damaged
from tests.support.archives import UTF8, Packed, archive_of
from tests.support.gaussians import gaussians_of
from tests.support.splats import village_surroundings
from tests.unit.trainer.synthetic import HEIGHT, WIDTH, write_model
from trainer.dataset import load_scene
from trainer.photo_store import PhotoStore

XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description drone-dji:GimbalPitchDegree="-89.9" '
    b'drone-dji:GimbalRollDegree="+0.0" drone-dji:CalibratedFocalLength="3666.6"/></x:xmpmeta>'
)
PICTURES = (
    ("JPEG", "RGB"), ("JPEG", "L"), ("JPEG", "CMYK"), ("PNG", "RGBA"), ("PNG", "P"), ("PNG", "I;16"), ("TIFF", "RGB"),
    ("TIFF", "F"), ("WEBP", "RGB"), ("GIF", "P"), ("BMP", "RGB"),
)  # fmt: skip
SYSTEMS = (
    "EPSG:32632", "WGS84 UTM 32N", "+proj=utm +zone=32 +datum=WGS84", "+init=/etc/passwd:a", "EPSG:9",
    "+proj=longlat +nadgrids=/etc/passwd", "+proj=pipeline +step", "[" * 5000, "GEOGCS[",
)  # fmt: skip


def make_zip(rng: random.Random, folder: Path) -> None:
    entries = []
    for index in range(rng.randint(1, 6)):
        name = rng.choice(NAMES) if rng.random() < 0.3 else rng.choice(("a/", "")) + f"{index}.jpg"
        mode = rng.choice((0o100644, 0o100644, 0o120777, 0o020666, 0o010644, 0o040755, 0))
        raw = name.encode(rng.choice(("utf-8", "cp932", "cp437")), "replace") or b"x"
        body = rng.randbytes(rng.choice((0, 10, 3000)))
        entries.append(Packed(raw, body, rng.choice(list(Method)), rng.choice((0, UTF8)), mode=mode))
    content = archive_of(entries)
    (folder / "upload.zip").write_bytes(damaged(rng, content) if rng.random() < 0.7 else content)


def open_zip(folder: Path) -> str:
    try:
        for step in PipelineStep:
            unpack(folder / "upload.zip", folder / step, WANTED[step], Limits(bytes=50 << 20))
    except StageError as error:
        return error.code
    return ""


@cache
def picture(kind: str, mode: str) -> bytes:
    """A photo of 80 × 60 pixels with EXIF, a GPS position and, if the format can hold it, XMP."""
    pixels = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[271], exif[272], exif[274] = "DJI", "FC6310", 6
    exif.get_ifd(0x8769).update({37386: 8.8, 41989: 24, 36867: "2026:05:04 10:00:00"})
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 30.0, 1.5), 3: "E", 4: (9.0, 1.0, 1.0), 5: b"\0", 6: 500.0})
    stream = io.BytesIO()
    image = Image.fromarray(pixels)
    image = image.convert("L").convert(mode) if mode in ("I;16", "F") else image.convert(mode)
    image.save(stream, kind, exif=exif, **({"xmp": XMP} if kind in ("JPEG", "WEBP") else {}))
    return stream.getvalue()


def make_photo(rng: random.Random, folder: Path) -> None:
    (folder / rng.choice(("a.jpg", "a.png", "a.tif", "a.heic", "a.dng"))).write_bytes(
        damaged(rng, picture(*rng.choice(PICTURES)))
    )


def make_xmp(rng: random.Random, folder: Path) -> None:
    content = picture("JPEG", "RGB")
    before, _, after = content.partition(XMP)
    (folder / "a.jpg").write_bytes(before + damaged(rng, XMP) + after)


def open_photo(folder: Path) -> str:
    (path,) = folder.iterdir()
    try:
        decode(path)
    except UnusablePhotoError as error:
        return str(error)
    return ""


@cache
def splat(degree: int) -> bytes:
    rng, count, higher = np.random.default_rng(degree), 12, (degree + 1) ** 2 - 1
    gaussians = gaussians_of(
        means=rng.normal(size=(count, 3)), quats=rng.normal(size=(count, 4)), scales=rng.normal(size=(count, 3)),
        opacities=rng.normal(size=count), sh0=rng.normal(size=(count, 3)), shN=rng.normal(size=(count, higher, 3)),
    )  # fmt: skip
    return written(lambda path: write_ply(path, gaussians))


def written(write: Callable[[Path], None]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder, "file"))
        return Path(folder, "file").read_bytes()


def make_ply(rng: random.Random, folder: Path) -> None:
    content = splat(rng.choice((0, 1, 3)))
    if rng.random() < 0.4:
        content = content.replace(b"vertex 12", f"vertex {rng.choice(NUMBERS)}".encode())
    (folder / "a.ply").write_bytes(damaged(rng, content))


def open_ply(folder: Path) -> str:
    try:
        read_ply(folder / "a.ply")
    except InvalidSplatError:
        return "INVALID_SPLAT"
    return ""


@cache
def photo_png() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def make_scene(rng: random.Random, folder: Path) -> None:
    """Five photos of 40 points; some have names chosen by an attacker, damaged files, damaged pictures and masks."""
    names = [f"{index}.png" for index in range(5)]
    if rng.random() < 0.5:
        names[rng.randrange(5)] = rng.choice(NAMES).encode("utf-8", "replace").decode()
    eyes = ((2, 1, 3), (-2, 1, 3), (1, -2, 3), (0, 2, 3), (1, 1, 4))
    cameras = {name: look_at(eye, (0, 0, 0), width=WIDTH, height=HEIGHT) for name, eye in zip(names, eyes, strict=True)}
    points = np.random.default_rng(1).normal(0, 0.3, (40, 3))
    model = folder / "sparse" / "0"
    write_model(model, cameras, points, np.zeros((40, 3), np.uint8))
    for kind in ("images", "masks"):
        (folder / kind).mkdir()
    for index in range(5):
        (folder / "images" / f"{index}.png").write_bytes(photo_png())
    for path in rng.sample([*model.iterdir(), *(folder / "images").iterdir()], rng.randint(0, 2)):
        path.write_bytes(damaged(rng, path.read_bytes()))
    if rng.random() < 0.3:
        (folder / "masks" / "0.png.png").write_bytes(damaged(rng, photo_png()))


def open_scene(folder: Path) -> str:
    try:
        scene = load_scene(folder, 64)
        store = PhotoStore()
        for photo in scene.photos:
            store.picture(photo)
            store.mask(photo, photo.camera)
    except StageError as error:
        return error.code
    return ""


@cache
def documents() -> dict[str, bytes]:
    view = View("a.jpg", "test", look_at((3, 1, 2), (0, 0, 0), width=64, height=48), "views/000001.png")
    surroundings = village_surroundings(np.array([0.0, 0.0, 1.0]))
    return {
        "views.json": written(lambda path: write_views(path, [view])),
        "surroundings.json": written(lambda path: write_surroundings(path, surroundings)),
        "georeference.json": b'{"version": 1, "georeferenced": true, "origin": null}',
    }


def make_document(rng: random.Random, folder: Path) -> None:
    name, content = rng.choice(sorted(documents().items()))
    is_json = rng.random() < 0.7
    wrong = json.dumps(changed(rng, json.loads(content))).encode() if is_json else damaged(rng, content)
    (folder / name).write_bytes(wrong)


def open_document(folder: Path) -> str:
    (path,) = folder.iterdir()
    readers: dict[str, Callable[[Path], object]] = {
        "views.json": read_views, "surroundings.json": read_surroundings, "georeference.json": is_georeferenced,
    }  # fmt: skip
    try:
        readers[path.name](path)
    except InvalidSceneError:
        return "INVALID_SCENE"
    return ""


def make_gcp_list(rng: random.Random, folder: Path) -> None:
    marks = "\n".join(f"{500_000 + 10 * index}\t5316300\t520\t{index}\t2\ta.jpg\tP{index}" for index in range(4))
    content = f"{rng.choice(SYSTEMS)}\n{marks}\n".encode()
    (folder / "gcp_list.txt").write_bytes(damaged(rng, content) if rng.random() < 0.7 else content)


def open_gcp_list(folder: Path) -> str:
    try:
        names = {"a.jpg": "000001.jpg"}
        parse_gcp_list(read_text(folder / "gcp_list.txt", names), names)
    except UnusableGcpFileError:
        return "CONTROL_POINTS_UNUSED"
    return ""


DOORS = (
    Door("zip", make_zip, open_zip),
    Door("photo", make_photo, open_photo),
    Door("xmp", make_xmp, open_photo),
    Door("ply", make_ply, open_ply),
    Door("colmap", make_scene, open_scene),
    Door("document", make_document, open_document),
    Door("gcp_list", make_gcp_list, open_gcp_list),
)
