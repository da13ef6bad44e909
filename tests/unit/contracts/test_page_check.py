"""The page refuses before the upload what preflight would refuse after it, and nothing else."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contract.codes import ErrorCode
from contract.counts import MAX_PHOTOS, MIN_PHOTOS
from contract.page import FOUND_BY_PAGE
from contract.stages import PipelineStep
from domain.errors import RejectedUpload
from domain.preflight import check_entries, read_entries, step_of
from domain.upload_kind import START_BYTES, UploadKind, kind_of

ROOT = Path(__file__).parents[3]
SCRIPT = """
import { openAsBlob } from 'node:fs';
import { examine } from 'CHECK';
import { FileSource } from 'SOURCE';
const found = {};
for (const path of process.argv.slice(1)) {
    const blob = await openAsBlob(path);
    const file = new File([blob], path.split('/').at(-1));
    const { step, photos, refusal } = await examine(new FileSource(file));
    found[path.split('/').at(-1)] = { step, photos, code: refusal?.code ?? null };
}
console.log(JSON.stringify(found));
"""


def archive(*names: str, prefix: bytes = b"", comment: bytes = b"", method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as made:
        for name in names:
            made.writestr(name, b"" if name.endswith(("/", "empty.jpg")) else b"content")
        made.comment = comment
    return prefix + buffer.getvalue()


def photos(count: int, folder: str = "flight") -> list[str]:
    return [f"{folder}/DJI_{number:04d}.JPG" for number in range(count)]


def encrypted(content: bytes) -> bytes:
    """The archive with the encryption bit set on its first entry of the central directory."""
    at = content.index(b"PK\x01\x02") + 8
    return content[:at] + bytes([content[at] | 1]) + content[at + 1 :]


def zip64(content: bytes) -> bytes:
    """The archive with a Zip64 end record and locator, as archives of more than 4 GB have."""
    end = content.rindex(b"PK\x05\x06")
    count = int.from_bytes(content[end + 10 : end + 12], "little")
    size, offset = (int.from_bytes(content[end + at : end + at + 4], "little") for at in (12, 16))
    record = b"PK\x06\x06" + (44).to_bytes(8, "little") + (45).to_bytes(2, "little") * 2 + bytes(8)
    record += b"".join(value.to_bytes(8, "little") for value in (count, count, size, offset))
    locator = b"PK\x06\x07" + bytes(4) + end.to_bytes(8, "little") + (1).to_bytes(4, "little")
    short = content[end : end + 8] + b"\xff" * 12 + content[end + 20 :]
    return content[:end] + record + locator + short


def odd_method(content: bytes) -> bytes:
    at = content.index(b"PK\x01\x02") + 10
    return content[:at] + (97).to_bytes(2, "little") + content[at + 2 :]


ARCHIVES: dict[str, Callable[[], bytes]] = {
    "good.zip": lambda: archive(*photos(6), "flight/notes.txt"),
    "deflated.zip": lambda: archive(*photos(6), method=zipfile.ZIP_DEFLATED),
    "commented.zip": lambda: archive(*photos(5), comment=b"a comment" * 20),
    "decoy.zip": lambda: archive(*photos(5), comment=b"PK\x05\x06" + b"a comment" * 20),
    "prefixed.zip": lambda: archive(*photos(5), prefix=b"#!/bin/sh\n" * 9),
    "zip64.zip": lambda: zip64(archive(*photos(7))),
    "few.zip": lambda: archive(*photos(MIN_PHOTOS - 1)),
    "empties.zip": lambda: archive(*photos(4), *(f"{n}/empty.jpg" for n in range(4))),
    "many.zip": lambda: archive(*photos(MAX_PHOTOS + 1)),
    "empty.zip": lambda: archive(),
    "folders.zip": lambda: archive("a/", "a/b/"),
    "clutter.zip": lambda: archive("__MACOSX/a.jpg", ".DS_Store", "a/Thumbs.db", "a/._b.jpg"),
    "films.zip": lambda: archive("a/flight.mp4", "a/log.txt"),
    "raw.zip": lambda: archive(*(f"{n}.NEF" for n in range(9))),
    "texts.zip": lambda: archive("a/notes.txt"),
    "backslashes.zip": lambda: archive(*(f"flight\\DJI_{n}.JPG" for n in range(5))),
    "two_folders.zip": lambda: archive(*photos(3), *photos(3, "other")),
    "locked.zip": lambda: encrypted(archive(*photos(6))),
    "odd.zip": lambda: odd_method(archive(*photos(6))),
    "text.zip": lambda: b"this is no archive" * 10,
    "cut.zip": lambda: archive(*photos(6))[:-40],
    "torn.zip": lambda: archive(*photos(6)).replace(b"PK\x01\x02", b"XX\x01\x02", 1),
    "rar.zip": lambda: b"Rar!\x1a\x07\x00" + bytes(100),
    "splat.zip": lambda: archive("scene.ply"),
    "splats.zip": lambda: archive("a.ply", "b.ply"),
    "spz.zip": lambda: archive("export/scene.spz", "export/licence.txt"),
    "iterations.zip": lambda: archive(
        "out/point_cloud/iteration_7000/point_cloud.ply",
        "out/point_cloud/iteration_30000/point_cloud.ply",
        "out/input.ply",
        "out/cameras.json",
    ),
    "nearly_iteration.zip": lambda: archive("out/my_iteration_7/a.ply", "out/input.ply"),
    "splat_and_photos.zip": lambda: archive("scene.ply", *photos(6)),
    "splat_and_few.zip": lambda: archive("scene.splat", *photos(2)),
    "splat_and_film.zip": lambda: archive("scene.sog", "a/flight.mp4"),
    "odd_splat_and_photos.zip": lambda: odd_method(archive("scene.ply", *photos(6))),
    "scene.ply": lambda: b"ply\nformat binary_little_endian 1.0\n",
    "scene.spz": lambda: gzip.compress(b"NGSP" + bytes(100)),
    "scene.sog": lambda: archive("meta.json", *(f"{name}.webp" for name in ("a", "b", "c", "d", "e", "f", "g"))),
    "scene.splat": lambda: bytes(64),
    "scene.ksplat": lambda: bytes(64),
    "ply_by_content": lambda: b"ply\r\nformat ascii 1.0",
    "spz_by_content.bak": lambda: gzip.compress(b"NGSP" + bytes(100)),
    "spz_4_by_content": lambda: b"NGSP" + bytes(100),
    "tar.gz": lambda: gzip.compress(bytes(100)),
    "cut.gz": lambda: gzip.compress(b"NGSP" + bytes(100))[:11],
    "ply_called.zip": lambda: b"ply\nformat binary_little_endian 1.0\n",
    "film_by_content": lambda: b"\0\0\0\x08wide\0\0\0\0mdat" + bytes(100),
    "picture_by_content": lambda: b"\0\0\0\x18ftypheic" + bytes(100),
    "dotted.zip": lambda: archive("./", *(f"./{name}" for name in photos(6))),
    "climbing.zip": lambda: archive(*(f"../{name}" for name in photos(6))),
    "hidden.zip": lambda: archive(".jpg", *photos(4)),
}


def preflight(path: Path) -> tuple[PipelineStep | None, int | None, ErrorCode | None]:
    """The server's decision about an upload without an explicit step. A film's header is not read."""
    with path.open("rb") as stream:
        kind = kind_of(path.name, stream.read(START_BYTES))
        if kind in (UploadKind.FILM, UploadKind.SPLAT):
            return PipelineStep.FULL if kind is UploadKind.FILM else PipelineStep.COMPRESSION, 0, None
        if kind is UploadKind.KSPLAT:
            return None, None, ErrorCode.INVALID_SPLAT
        try:
            entries = read_entries(stream)
            step = step_of(entries, PipelineStep.FULL)
            return step, check_entries(entries, path.stat().st_size, step), None
        except RejectedUpload as rejected:
            return None, None, rejected.error.code


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict[str, object]]]:
    folder = tmp_path_factory.mktemp("archives")
    for name, make in ARCHIVES.items():
        (folder / name).write_bytes(make())
    source = (ROOT / "web" / "src").as_uri()
    script = SCRIPT.replace("CHECK", f"{source}/check.js").replace("SOURCE", f"{source}/source.js")
    paths = [str(folder / name) for name in ARCHIVES]
    ran = subprocess.run(
        [ROOT / ".venv" / "bin" / "node", "--input-type=module", "-e", script, *paths],
        capture_output=True, text=True, check=True, cwd=ROOT / "web",
    )  # fmt: skip
    return folder, json.loads(ran.stdout)


@pytest.mark.parametrize("name", [name for name in ARCHIVES if name != "climbing.zip"])
def test_the_page_decides_as_preflight_does(name: str, found: tuple[Path, dict[str, dict[str, object]]]) -> None:
    folder, verdicts = found
    verdict = verdicts[name]
    step, photos_there, code = preflight(folder / name)
    if name in (
        "splats.zip",
        "nearly_iteration.zip",
    ):  # taken as photos, they contain none; the page recognises them as splats
        assert (code, verdict["code"]) == (ErrorCode.NO_PHOTOS, ErrorCode.INVALID_SPLAT)
        return
    asked = verdict.get("step") if verdict["code"] is None else None
    assert (asked, verdict.get("photos"), verdict["code"]) == (step, photos_there, code)


def test_names_that_lead_out_of_the_archive_are_left_to_the_server(found: tuple[Path, dict[str, Any]]) -> None:
    assert found[1]["climbing.zip"] == {"step": "full", "photos": 6, "code": None}
    assert preflight(found[0] / "climbing.zip") == (None, None, ErrorCode.UNSAFE_ARCHIVE)


def test_every_refusal_of_the_page_is_among_these_archives(found: tuple[Path, dict[str, dict[str, object]]]) -> None:
    refused = {verdict["code"] for verdict in found[1].values()}
    assert refused >= {*FOUND_BY_PAGE} - {ErrorCode.ARCHIVE_TOO_LARGE}  # web/test/check.test.js covers that one
