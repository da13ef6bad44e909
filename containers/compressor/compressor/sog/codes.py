"""The content of a SOG file as integers and codebooks."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

UInt8 = NDArray[np.uint8]
UInt16 = NDArray[np.uint16]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

CODEBOOK_SIZE = 256
MAX_PALETTE = 65536


@dataclass(frozen=True)
class Palette:
    """Higher colour coefficients: each of the N Gaussians has one of K vectors."""

    labels: UInt16  # (N,)
    codes: UInt8  # (K, C, 3) indices into the codebook; C is 3, 8 or 15 coefficients
    codebook: Float32  # (256,)


@dataclass(frozen=True)
class Codes:
    """N Gaussians as the integers of a SOG file."""

    mins: Float64  # (3,) bounds of sign(x) ln(1 + |x|)
    maxs: Float64  # (3,)
    means: UInt16  # (N, 3) from mins to maxs
    quats: UInt8  # (N, 4) three smallest components, then 252 + index of the largest
    scales: UInt8  # (N, 3) indices into the codebook
    scale_codebook: Float32  # (256,) natural logarithms
    colours: UInt8  # (N, 4) indices of the constant coefficient into the codebook, then the opacity, 0..255
    colour_codebook: Float32  # (256,)
    palette: Palette | None

    def __len__(self) -> int:
        return int(self.means.shape[0])


def same_codes(one: Codes, other: Codes) -> bool:
    """Whether two SOG contents are equal in every integer and every codebook."""

    def same(a: object, b: object) -> bool:
        if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
            return np.array_equal(a, b)
        if a is None or b is None:
            return a is b
        return all(same(getattr(a, field.name), getattr(b, field.name)) for field in fields(a))  # type: ignore[arg-type]

    return same(one, other)
