"""SPZ version 3, which tools outside the SOG family read: one gzip stream of fixed-point attributes.

https://github.com/nianticlabs/spz (README, "File Format"). The axes are the scene's own, as in its PLY and its SOG: all
files of a scene lie on each other, as splat-transform writes them too.
"""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splat.gaussians import Float32, Gaussians, opacity_of

_MAGIC, _VERSION = 0x5053474E, 3
_ANTIALIASED = 1
_POSITION_BITS = 24
_MAX_FRACTIONAL_BITS = 12
_COLOUR_SCALE = 0.15
_FIRST_BAND = 3  # coefficients, kept in 5 bits; the others in 4
_FIRST_BUCKET, _OTHER_BUCKET = 8, 16

Bytes = NDArray[np.uint8]


def write_spz(path: Path, gaussians: Gaussians, *, antialiased: bool) -> None:
    """Write `gaussians`, in their order; the file appears whole or not at all."""
    bits = fractional_bits(gaussians.means)
    header = struct.pack(
        "<IIIBBBB", _MAGIC, _VERSION, len(gaussians), gaussians.sh_degree, bits, _ANTIALIASED if antialiased else 0, 0
    )
    parts = (
        _positions(gaussians.means, bits),
        np.rint(255 * opacity_of(gaussians.opacities)).astype(np.uint8),
        _to_byte(gaussians.sh0 * (_COLOUR_SCALE * 255) + 127.5),
        _to_byte((gaussians.scales + 10) * 16),
        _rotations(gaussians.quats),
        _harmonics(gaussians.shN),
    )
    partial = path.with_name(path.name + ".partial")
    with gzip.GzipFile(partial, "wb", compresslevel=6, mtime=0) as stream:
        stream.write(header)
        for part in parts:
            stream.write(part.tobytes())
    partial.replace(path)


def fractional_bits(means: Float32) -> int:
    """How many of a position's 24 bits can stand behind the point without any position leaving the range."""
    farthest = max(float(np.abs(means).max()), 1.0)
    whole = int(np.floor(np.log2(farthest))) + 1
    return int(np.clip(_POSITION_BITS - 1 - whole, 0, _MAX_FRACTIONAL_BITS))


def _positions(means: Float32, bits: int) -> Bytes:
    most = (1 << (_POSITION_BITS - 1)) - 1
    fixed = np.clip(np.rint(means.astype(np.float64) * (1 << bits)), -most, most).astype("<i4")
    return np.ascontiguousarray(fixed.view(np.uint8).reshape(-1, 3, 4)[:, :, :3])


def _rotations(quats: Float32) -> Bytes:
    """Index of the largest component of xyzw in 2 bits, the others in a sign and 9 bits each."""
    unit = quats.astype(np.float64)[:, [1, 2, 3, 0]]
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    largest = np.abs(unit).argmax(axis=1)
    unit *= np.where(np.take_along_axis(unit, largest[:, None], axis=1) < 0, -1.0, 1.0)
    packed = largest.astype(np.uint32)
    for component in range(4):
        value = unit[:, component]
        size = np.rint(np.abs(value) * np.sqrt(2.0) * 511).astype(np.uint32)
        code = ((value < 0).astype(np.uint32) << 9) | np.minimum(size, 511)
        packed = np.where(largest == component, packed, (packed << 10) | code).astype(np.uint32)
    return np.asarray(packed.astype("<u4").view(np.uint8))


def _harmonics(shN: Float32) -> Bytes:
    """Coefficient by coefficient, red, green, blue, rounded to multiples of a bucket."""
    count = shN.shape[1]
    values = np.rint(shN * 128) + 128
    bucket = np.where(np.arange(count) < _FIRST_BAND, _FIRST_BUCKET, _OTHER_BUCKET)[:, None]
    return _to_byte(np.floor((values + bucket // 2) / bucket) * bucket)


def _to_byte(values: NDArray[np.floating[Any]]) -> Bytes:
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)
