"""Doors of preflight: archives with a COLMAP model or films, and single films, by ranged reads of an object."""

from __future__ import annotations

import random
import struct
from functools import cache
from pathlib import Path

from contract.archive import Method
from contract.stages import PipelineStep
from domain.errors import RejectedUpload
from domain.preflight import check_bare_film, check_contents, check_entries, read_entries
from tests.fuzz.door import Door
from tests.fuzz.mutate import NAMES, NUMBERS, damaged
from tests.support.archives import Packed, archive_of
from tests.support.films import film_bytes
from tests.support.models import binary_model, scene_of, text_model
from tests.support.sparse_s3 import uploaded

PHOTOS = [f"{number:06d}.jpg" for number in range(1, 9)]
_FOLDERS = ("sparse/0/", "sparse/1/", "sparse/", "")
_LARGE = struct.pack(">I4sQ", 1, b"mdia", 2**64 - 1)  # a box larger than any file


def make_model(rng: random.Random, folder: Path) -> None:
    files: dict[str, bytes] = {}
    for place in rng.sample(_FOLDERS, rng.choice((1, 1, 2))):
        names = [rng.choice(NAMES) if rng.random() < 0.05 else name for name in PHOTOS]
        plain = [name.encode("utf-8", "replace").decode() for name in names]
        model = rng.choice((binary_model, text_model))(plain)
        for name in rng.sample(sorted(model), rng.randint(0, 2)):
            model[name] = damaged(rng, model[name])
        files |= scene_of(model, PHOTOS, place)
    _write_archive(rng, folder / "scene.zip", files)


def make_film(rng: random.Random, folder: Path) -> None:
    films = [_film(rng) for _ in range(rng.randint(1, 3))]
    if len(films) == 1 and rng.random() < 0.5:
        (folder / "film.mp4").write_bytes(films[0])
    else:
        _write_archive(rng, folder / "films.zip", {f"{number}.MP4": film for number, film in enumerate(films)})


@cache
def _films() -> tuple[bytes, bytes]:
    return film_bytes(), film_bytes(index_first=True)


def _film(rng: random.Random) -> bytes:
    """A film with a damaged index; its pictures are intact, but nothing reads them."""
    film = rng.choice(_films())
    at = film.index(b"moov") - 4
    size = struct.unpack_from(">I", film, at)[0]
    index = film[at : at + size]
    if rng.random() < 0.3:
        kind = rng.choice((b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"free"))
        where = index.find(kind) - 4 if kind in index else 8
        index = index[:where] + _LARGE.replace(b"mdia", kind) + index[where + 16 :]
    return film[:at] + damaged(rng, index) + film[at + size :]


def _write_archive(rng: random.Random, path: Path, files: dict[str, bytes]) -> None:
    methods = (Method.STORED, Method.DEFLATE, Method.DEFLATE, Method.ZSTANDARD)
    content = archive_of([Packed(name.encode(), body, rng.choice(methods)) for name, body in files.items()])
    fault = rng.randrange(4)
    if fault == 0:
        content = damaged(rng, content)
    elif fault == 1:  # a central directory that is said to lie elsewhere
        there = struct.unpack_from("<L", content, len(content) - 6)[0]
        elsewhere = rng.choice((there + rng.randint(-60, 60), rng.choice(NUMBERS))) % 2**32
        content = content[:-6] + struct.pack("<L", elsewhere) + content[-2:]
    path.write_bytes(content)


def open_upload(folder: Path) -> str:
    """Preflight's refusal of the upload."""
    (path,) = folder.iterdir()
    body = path.read_bytes()
    stream = uploaded(body)
    try:
        if path.suffix == ".mp4":
            check_bare_film(stream)
        else:
            step = PipelineStep.TRAINING if path.stem == "scene" else PipelineStep.FULL
            entries = read_entries(stream)
            check_entries(entries, len(body), step)
            check_contents(stream, entries, step)
    except RejectedUpload as rejected:
        return rejected.error.code
    return ""


DOORS = (Door("model", make_model, open_upload), Door("film", make_film, open_upload))
