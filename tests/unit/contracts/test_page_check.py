"""The page refuses before the upload what preflight would refuse after it, and nothing else."""

from __future__ import annotations

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
from domain.preflight import check_entries, read_entries

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
    "dotted.zip": lambda: archive("./", *(f"./{name}" for name in photos(6))),
    "climbing.zip": lambda: archive(*(f"../{name}" for name in photos(6))),
    "hidden.zip": lambda: archive(".jpg", *photos(4)),
}


def preflight(path: Path, step: PipelineStep) -> tuple[int | None, ErrorCode | None]:
    try:
        with path.open("rb") as stream:
            return check_entries(read_entries(stream), path.stat().st_size, step), None
    except RejectedUpload as rejected:
        return None, rejected.error.code


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
    step = PipelineStep(str(verdict["step"])) if "step" in verdict else PipelineStep.FULL
    photos_there, code = preflight(folder / name, step)
    if name == "splats.zip":  # as photos it has none; the page knows that it is meant as a splat
        photos_there, code = preflight(folder / name, PipelineStep.COMPRESSION)
    assert (verdict.get("photos"), verdict["code"]) == (photos_there, code)


def test_names_that_lead_out_of_the_archive_are_left_to_the_server(found: tuple[Path, dict[str, Any]]) -> None:
    assert found[1]["climbing.zip"] == {"step": "full", "photos": 6, "code": None}
    assert preflight(found[0] / "climbing.zip", PipelineStep.FULL) == (None, ErrorCode.UNSAFE_ARCHIVE)


def test_every_refusal_of_the_page_is_among_these_archives(found: tuple[Path, dict[str, dict[str, object]]]) -> None:
    refused = {verdict["code"] for verdict in found[1].values()}
    assert refused >= {*FOUND_BY_PAGE} - {ErrorCode.ARCHIVE_TOO_LARGE}  # web/test/check.test.js has that one
