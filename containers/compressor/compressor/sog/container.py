"""Write and read the bytes of a SOG file: meta.json and WebP images in one ZIP without folders."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np

from compressor.sog import images
from compressor.sog.codes import CODEBOOK_SIZE, MAX_PALETTE, Codes, Float32, Float64, Palette, UInt8
from compressor.sog.decoder import dequantise
from compressor.sog.webp import decode_webp, encode_webp
from contract.ply import MAX_GAUSSIANS
from splat.errors import InvalidSplatError
from splat.gaussians import HIGHER_COEFFICIENTS
from splat.stored import Marks, StoredSplat, unit

VERSION = 2
META = "meta.json"
_GENERATOR = "spaceport"
_ANTIALIASED = "antialiased"
_MAX_META_BYTES = 1 << 20
_STAMP = (1980, 1, 1, 0, 0, 0)  # fixed, so that equal content gives equal files

_Content = TypeVar("_Content")


def pack_files(codes: Codes, marks: Marks = Marks()) -> dict[str, bytes]:  # noqa: B008 - frozen
    """The files of the unbundled form, by name."""
    pictures = images.to_images(codes)
    with ThreadPoolExecutor(4) as pool:  # the WebP encoder releases Python's global lock
        encoded = dict(zip(pictures, pool.map(encode_webp, pictures.values()), strict=True))
    return {META: json.dumps(_meta(codes, marks), separators=(",", ":")).encode(), **encoded}


def zip_files(files: dict[str, bytes]) -> bytes:
    """The bundled form: a ZIP without folders. Only meta.json is deflated, because WebP does not compress further."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, allowZip64=False) as archive:
        for name, data in files.items():
            method = zipfile.ZIP_DEFLATED if name == META else zipfile.ZIP_STORED
            archive.writestr(zipfile.ZipInfo(name, _STAMP), data, method)
    return stream.getvalue()


def entry_sizes(sog: bytes) -> dict[str, int]:
    """The stored size in bytes of each file in a bundled SOG."""
    with zipfile.ZipFile(io.BytesIO(sog)) as archive:
        return {info.filename: info.compress_size for info in archive.infolist()}


def read_codes(sog: bytes) -> Codes:
    """The content of a bundled SOG version 2. Raises InvalidSplatError if it is not one."""
    return _unzipped(io.BytesIO(sog), unpack_files)


def read_stored_sog(path: Path) -> StoredSplat:
    """The splat of a bundled SOG version 2, with its marks; `up` is None if the file has none.

    Raises InvalidSplatError if the file is not one.
    """

    def content(files: dict[str, bytes]) -> StoredSplat:
        return StoredSplat(dequantise(unpack_files(files)), _marks(json.loads(files[META])))

    with path.open("rb") as stream:
        return _unzipped(stream, content)


def _unzipped(stream: BinaryIO, content: Callable[[dict[str, bytes]], _Content]) -> _Content:
    try:
        with zipfile.ZipFile(stream) as archive:
            return content({name: _read(archive, name) for name in archive.namelist()})
    except Exception as error:  # readers of ZIP, JSON and WebP may raise any exception for a hostile file
        raise InvalidSplatError(f"not a readable SOG file ({error})") from error


def unpack_files(files: dict[str, bytes]) -> Codes:
    """The content of the unbundled form. Raises ValueError, KeyError, TypeError or OSError if it is malformed."""
    if len(files[META]) > _MAX_META_BYTES:
        raise ValueError("meta.json is too large")
    meta = json.loads(files[META])
    if meta.get("version") != VERSION:
        raise ValueError(f"SOG version {meta.get('version')!r}")
    count = meta["count"]
    if not isinstance(count, int) or not 1 <= count <= MAX_GAUSSIANS:
        raise ValueError(f"count {count!r}, at most {MAX_GAUSSIANS}")

    def pixels(name: str, channels: int) -> UInt8:
        return images.pixels_of(decode_webp(files[name]), count, channels)

    low, high = (pixels(name, 3).astype(np.uint16) for name in meta["means"]["files"])
    quats = pixels(meta["quats"]["files"][0], 4)
    if quats[:, 3].min() < 252:
        raise ValueError("a rotation without its largest component")
    return Codes(
        mins=_bounds(meta["means"]["mins"]),
        maxs=_bounds(meta["means"]["maxs"]),
        means=np.bitwise_or(low, high << 8, dtype=np.uint16),
        quats=quats,
        scales=pixels(meta["scales"]["files"][0], 3),
        scale_codebook=_codebook(meta["scales"]["codebook"]),
        colours=pixels(meta["sh0"]["files"][0], 4),
        colour_codebook=_codebook(meta["sh0"]["codebook"]),
        palette=_palette(meta["shN"], files, count) if "shN" in meta else None,
    )


def _palette(meta: dict[str, Any], files: dict[str, bytes], count: int) -> Palette:
    size, bands = meta["count"], meta["bands"]
    if not isinstance(size, int) or not 1 <= size <= MAX_PALETTE or bands not in (1, 2, 3):
        raise ValueError(f"a palette of {size!r} vectors in {bands!r} bands")
    centroids, labels = (decode_webp(files[name]) for name in meta["files"])
    vectors, found = images.palette_from(centroids, labels, size, bands, count)
    return Palette(labels=found, codes=vectors, codebook=_codebook(meta["codebook"]))


def _marks(meta: dict[str, Any]) -> Marks:
    """The marks in meta.json. splat-transform writes `model` since 3.2, `antialias` before; `extras` belong to us."""
    extras = meta.get("extras", {}).get(_GENERATOR, {})
    x, y, z = (float(value) for value in extras.get("offset", (0, 0, 0)))
    antialiased = meta.get("model") == _ANTIALIASED or meta.get("antialias") is True
    return Marks(antialiased, unit(extras.get("up") or ()), (x, y, z))


def _meta(codes: Codes, marks: Marks) -> dict[str, Any]:
    meta: dict[str, Any] = {
        "version": VERSION,
        "asset": {"generator": _GENERATOR},
        "count": len(codes),
        "antialias": marks.antialiased,
        "means": {"mins": codes.mins.tolist(), "maxs": codes.maxs.tolist(), "files": list(images.MEANS)},
        "scales": {"codebook": _shortest(codes.scale_codebook), "files": [images.SCALES]},
        "quats": {"files": [images.QUATS]},
        "sh0": {"codebook": _shortest(codes.colour_codebook), "files": [images.COLOURS]},
    }
    if marks.antialiased:
        meta["model"] = _ANTIALIASED
    if marks.up is not None or any(marks.offset):
        meta["extras"] = {_GENERATOR: {"up": marks.up, "offset": marks.offset}}
    if codes.palette is not None:
        meta["shN"] = {
            "count": len(codes.palette.codes),
            "bands": HIGHER_COEFFICIENTS.index(codes.palette.codes.shape[1]),
            "codebook": _shortest(codes.palette.codebook),
            "files": list(images.PALETTE),
        }
    return meta


def _shortest(values: Float32) -> list[float]:
    """The shortest decimals that read back as the same float32."""
    return [float(str(value)) for value in values]


def _codebook(values: list[float]) -> Float32:
    book = np.asarray(values, dtype=np.float64).astype(np.float32)
    if book.shape != (CODEBOOK_SIZE,) or not np.isfinite(book).all():
        raise ValueError("a codebook that is not 256 numbers")
    return book


def _bounds(values: list[float]) -> Float64:
    bounds = np.asarray(values, dtype=np.float64)
    if bounds.shape != (3,) or not (np.abs(bounds) < 80).all():  # e^80 is near float32's largest
        raise ValueError("bounds that are not 3 numbers")
    return bounds


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    info = archive.getinfo(name)
    if info.file_size > 64 * 1024 + 64 * info.compress_size:
        raise ValueError(f"{name} unpacks to an implausible size")
    return archive.read(info)
