"""Read SPZ versions 2 to 4, as Niantic's tools, Scaniverse, splat-transform and this project write it.

https://github.com/nianticlabs/spz (README, "File Format"): a header, then one attribute of all points after the other,
up to version 3 in one gzip stream, in version 4 in one Zstandard stream per attribute, after a table of their sizes.
The format's axes are right, up, back, and files are read accordingly. This project's own files keep the axes of their
scene, which the format has no field for.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import zstandard
from numpy.typing import NDArray

from contract.ply import MAX_GAUSSIANS
from splat.errors import InvalidSplatError
from splat.gaussians import HIGHER_COEFFICIENTS, Gaussians, logit_of
from splat.stored import Marks, StoredSplat

GZIP = b"\x1f\x8b"
MAGIC = b"NGSP"
HEADER = struct.Struct("<4sIIBBBB")  # magic, version, Gaussians, degree, fractional bits, flags, streams of version 4
ANTIALIASED = 0x1
COLOUR_SCALE = 0.15
SCALE_STEPS, SCALE_OFFSET = 16, 10  # logarithms of deviations
HARMONIC_STEPS = 128
ROTATION_STEPS = 511  # steps from 0 to √½
ENTRY = struct.Struct("<QQ")  # an entry of version 4's table: packed and unpacked bytes
_UP = (0.0, 1.0, 0.0)
_MAX_DEGREE = 4  # that the format allows; three are read
_ROTATION_BYTES = {2: 3, 3: 4, 4: 4}

Bytes = NDArray[np.uint8]


def read_spz(path: Path) -> StoredSplat:
    """Read an SPZ. Raises InvalidSplatError if the file is not an SPZ of a supported version, or is truncated."""
    try:
        with path.open("rb") as raw:
            packed = raw.read(len(GZIP)) == GZIP
        with gzip.open(path) if packed else path.open("rb") as stream:
            _, version, count, degree, bits, flags, streams = HEADER.unpack(stream.read(HEADER.size))
            _check(version, count, degree, bits)
            if packed != (version < 4):
                raise ValueError(f"version {version} has another compression")
            sizes = (9, 1, 3, 3, _ROTATION_BYTES[version], 3 * _coefficients(degree))
            lengths = [count * size for size in sizes]
            bodies = map(stream.read, lengths) if packed else _unpacked(cast(BinaryIO, stream), lengths, streams)
            parts = [_part(body, count, size) for body, size in zip(bodies, sizes, strict=True)]
    except (OSError, EOFError, zlib.error, zstandard.ZstdError, struct.error, ValueError) as error:
        raise InvalidSplatError(f"{path.name} is not a readable SPZ ({error})") from error
    positions, alphas, colours, scales, rotations, harmonics = parts
    with np.errstate(divide="ignore"):  # an opacity of 255 is exactly 1
        logits = logit_of(alphas[:, 0] / 255)
    gaussians = Gaussians(
        means=(_fixed(positions) / (1 << bits)).astype(np.float32),
        quats=(_first_three(rotations) if version == 2 else _smallest_three(rotations)).astype(np.float32),
        scales=(scales / SCALE_STEPS - SCALE_OFFSET).astype(np.float32),
        opacities=logits.astype(np.float32),
        sh0=((colours / 255 - 0.5) / COLOUR_SCALE).astype(np.float32),
        shN=(harmonics[:, : 3 * HIGHER_COEFFICIENTS[-1]] / HARMONIC_STEPS - 1).astype(np.float32).reshape(count, -1, 3),
    )
    marks = Marks(antialiased=bool(flags & ANTIALIASED), up=_UP)
    return StoredSplat(gaussians, marks, dropped_degrees=_coefficients(degree) > HIGHER_COEFFICIENTS[-1])


def _coefficients(degree: int) -> int:
    """Spherical harmonics above degree 0."""
    return (degree + 1) ** 2 - 1


def _check(version: int, count: int, degree: int, bits: int) -> None:
    if version not in _ROTATION_BYTES:
        raise ValueError(f"version {version}, not one of {', '.join(map(str, _ROTATION_BYTES))}")
    if not 1 <= count <= MAX_GAUSSIANS or degree > _MAX_DEGREE or bits > 23:
        raise ValueError(f"{count} points of degree {degree} with {bits} fractional bits")


def _unpacked(stream: BinaryIO, lengths: Sequence[int], streams: int) -> Iterator[bytes]:
    """The parts of version 4. Empty parts, such as higher harmonics of degree 0, have no stream."""
    if streams != sum(length > 0 for length in lengths):
        raise ValueError(f"{streams} streams")
    stream.seek(struct.unpack("<I", stream.read(4))[0])
    table = [ENTRY.unpack(stream.read(ENTRY.size)) for _ in range(streams)]
    for length in lengths:
        if length == 0:
            yield b""
            continue
        packed_bytes, unpacked_bytes = table.pop(0)
        body = stream.read(min(packed_bytes, 2 * length + 1024))
        # the size that the frame declares is the memory that decompression would allocate
        if unpacked_bytes != length or zstandard.frame_content_size(body) not in (-1, length):
            raise ValueError("the size of a stream does not match the number of points")
        yield zstandard.ZstdDecompressor().decompress(body, max_output_size=length)


def _part(data: bytes, count: int, size: int) -> Bytes:
    if len(data) != count * size:
        raise ValueError("it ends before all points that its header declares")
    return np.frombuffer(data, np.uint8).reshape(count, size)


def _fixed(positions: Bytes) -> NDArray[np.float64]:
    """Signed numbers (N, 3) from three bytes each, the lowest byte first."""
    triples = positions.reshape(-1, 3, 3).astype(np.int64)
    values = triples[..., 0] | triples[..., 1] << 8 | triples[..., 2] << 16
    return np.where(values >= 1 << 23, values - (1 << 24), values).astype(np.float64)


def _first_three(rotations: Bytes) -> NDArray[np.float64]:
    """wxyz (N, 4) from x, y and z in a byte each; w is positive."""
    xyz = rotations / 127.5 - 1
    w = np.sqrt(np.maximum(0.0, 1 - np.square(xyz).sum(axis=1)))
    return np.column_stack([w, xyz])


def _smallest_three(rotations: Bytes) -> NDArray[np.float64]:
    """wxyz (N, 4) from the index of the largest of xyzw in 2 bits and the other three in a sign and 9 bits each."""
    words = np.ascontiguousarray(rotations).view("<u4")[:, 0].astype(np.int64)
    largest = words >> 30
    xyzw = np.zeros((len(words), 4))
    for component in (3, 2, 1, 0):
        held = largest != component
        value = (words & ROTATION_STEPS) / ROTATION_STEPS * np.sqrt(0.5) * np.where(words & 512, -1, 1)
        xyzw[:, component] = np.where(held, value, 0.0)
        words = np.where(held, words >> 10, words)
    rest = np.sqrt(np.maximum(0.0, 1 - np.square(xyzw).sum(axis=1)))
    np.put_along_axis(xyzw, largest[:, None], rest[:, None], axis=1)
    return xyzw[:, [3, 0, 1, 2]]
