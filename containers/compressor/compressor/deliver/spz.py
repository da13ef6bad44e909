"""SPZ, which tools outside the SOG family read: fixed-point attributes, in version 3 as one gzip stream, in version 4
as a Zstandard stream each.

https://github.com/nianticlabs/spz (README, "File Format"): its library writes version 4, the only one that some readers
support; older readers need version 3. The axes are the scene's own, as in its PLY and its SOG, so that all files of a
scene coincide; splat-transform does the same.
"""

from __future__ import annotations

import gzip
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from compressor.formats.spz import (
    ANTIALIASED,
    COLOUR_SCALE,
    ENTRY,
    HARMONIC_STEPS,
    HEADER,
    MAGIC,
    ROTATION_STEPS,
    SCALE_OFFSET,
    SCALE_STEPS,
)
from contract.files import whole
from splat.gaussians import Float32, Gaussians, opacity_of

_LEGACY, _CURRENT = 3, 4
_HEADER_BYTES = 32  # of version 4
_LEVEL = 12  # of Zstandard: higher levels save less than 1 %
_POSITION_BITS = 24
_MAX_FRACTIONAL_BITS = 12
_ONE_OUTLIER_IN = 1000  # at most one of so many Gaussians is left out
_MIN_STEPS = 1 << 13
_FIRST_BAND = 3  # coefficients, kept in 5 bits; the others in 4
_FIRST_BUCKET, _OTHER_BUCKET = 8, 16

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class FixedPoint:
    """`count` Gaussians as SPZ's fixed-point attributes, `parts`, which both versions hold."""

    count: int
    degree: int
    bits: int
    antialiased: bool
    parts: tuple[bytes, ...]

    @classmethod
    def of(cls, gaussians: Gaussians, *, antialiased: bool) -> FixedPoint:
        """Convert `gaussians`, in their order."""
        bits = fractional_bits(gaussians.means)
        parts = (
            _positions(gaussians.means, bits),
            np.rint(255 * opacity_of(gaussians.opacities)).astype(np.uint8),
            _to_byte(gaussians.sh0 * (COLOUR_SCALE * 255) + 127.5),
            _to_byte((gaussians.scales + SCALE_OFFSET) * SCALE_STEPS),
            _rotations(gaussians.quats),
            _harmonics(gaussians.shN),
        )
        encoded = tuple(part.tobytes() for part in parts)
        return cls(len(gaussians), gaussians.sh_degree, bits, antialiased, encoded)

    def write(self, path: Path) -> None:
        """Write version 4; the file appears whole or not at all."""
        parts = [part for part in self.parts if part]
        compressor = zstandard.ZstdCompressor(level=_LEVEL)
        streams = [compressor.compress(part) for part in parts]
        header = self._header(_CURRENT, len(streams))
        header += struct.pack("<I", _HEADER_BYTES) + bytes(_HEADER_BYTES - len(header) - 4)
        contents = b"".join(ENTRY.pack(len(s), len(p)) for s, p in zip(streams, parts, strict=True))
        with whole(path) as partial, partial.open("wb") as out:
            out.writelines([header, contents, *streams])

    def write_legacy(self, path: Path) -> None:
        """Write version 3; the file appears whole or not at all."""
        with whole(path) as partial:
            partial.write_bytes(self.legacy())

    def legacy(self) -> bytes:
        """The bytes of a version 3 file."""
        return gzip.compress(b"".join([self._header(_LEGACY, 0), *self.parts]), compresslevel=6, mtime=0)

    def _header(self, version: int, streams: int) -> bytes:
        """The 16 bytes that both versions begin with."""
        flags = ANTIALIASED if self.antialiased else 0
        return HEADER.pack(MAGIC, version, self.count, self.degree, self.bits, flags, streams)


def without_outliers(gaussians: Gaussians) -> Gaussians:
    return gaussians.select(~outliers(gaussians.means))


def outliers(means: Float32) -> NDArray[np.bool_]:
    """(N,) the Gaussians, at most one in a thousand, that are so far out that bits for them would leave fewer than 13
    for the positions of all others."""
    reach = np.abs(means).max(axis=1)
    kept = len(reach) - 1 - len(reach) // _ONE_OUTLIER_IN
    near = float(np.partition(reach, kept)[kept])
    needed = np.clip(np.ceil(np.log2(_MIN_STEPS / max(near, 1.0))), 0, _MAX_FRACTIONAL_BITS)
    return np.asarray((reach > near) & (reach >= 2.0 ** (_POSITION_BITS - 1 - needed)))


def fractional_bits(means: Float32) -> int:
    """The number of fractional bits, of a position's 24 bits, with which all positions are still in range."""
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
        size = np.rint(np.abs(value) * np.sqrt(2.0) * ROTATION_STEPS).astype(np.uint32)
        code = ((value < 0).astype(np.uint32) << 9) | np.minimum(size, ROTATION_STEPS)
        packed = np.where(largest == component, packed, (packed << 10) | code).astype(np.uint32)
    return np.asarray(packed.astype("<u4").view(np.uint8))


def _harmonics(shN: Float32) -> Bytes:
    """The coefficients as bytes in the order red, green, blue of each, rounded to multiples of a bucket."""
    count = shN.shape[1]
    values = np.rint(shN * HARMONIC_STEPS) + HARMONIC_STEPS
    bucket = np.where(np.arange(count) < _FIRST_BAND, _FIRST_BUCKET, _OTHER_BUCKET)[:, None]
    return _to_byte(np.floor((values + bucket // 2) / bucket) * bucket)


def _to_byte(values: NDArray[np.floating[Any]]) -> Bytes:
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)
