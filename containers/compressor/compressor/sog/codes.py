"""What a SOG file holds, as integers and codebooks, and how coarse to make it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

UInt8 = NDArray[np.uint8]
UInt16 = NDArray[np.uint16]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

CODEBOOK_SIZE = 256
MAX_PALETTE = 65536
# Some readers take the 15 coefficients of degree 3 for granted, so lower degrees are padded with zeros.
PALETTE_COEFFICIENTS = 15


@dataclass(frozen=True)
class Steps:
    """How coarse each attribute is written; the defaults are the finest the format holds.

    Rounding to a multiple costs no precision in the format itself, it makes the images' bytes repeat.
    """

    position_tolerance: float = 0.0  # of what encoder.leeway allows
    rotation_tolerance: float = 0.0  # likewise, in codes of 255
    scale_codes: int = CODEBOOK_SIZE
    colour_codes: int = CODEBOOK_SIZE
    opacity_step: int = 1  # of 255
    palette_size: int = MAX_PALETTE  # vectors of higher colour coefficients


@dataclass(frozen=True)
class Palette:
    """Higher colour coefficients: one of K vectors for each of the N Gaussians."""

    labels: UInt16  # (N,)
    codes: UInt8  # (K, 15, 3) indices into the codebook
    codebook: Float32  # (256,)


@dataclass(frozen=True)
class Codes:
    """N Gaussians in a SOG file's integers."""

    mins: Float64  # (3,) of sign(x) ln(1 + |x|)
    maxs: Float64  # (3,)
    means: UInt16  # (N, 3) from mins to maxs
    quats: UInt8  # (N, 4) three smallest components, then 252 + index of the largest
    scales: UInt8  # (N, 3) indices into the codebook
    scale_codebook: Float32  # (256,) natural logarithms
    colours: UInt8  # (N, 4) indices of the constant coefficient into the codebook, then the opacity of 255
    colour_codebook: Float32  # (256,)
    palette: Palette | None

    def __len__(self) -> int:
        return int(self.means.shape[0])
