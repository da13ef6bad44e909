"""What a SOG file holds, as integers and codebooks, and how coarse to make it."""

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
# Some readers take the 15 coefficients of degree 3 for granted, so lower degrees are padded with zeros.
PALETTE_COEFFICIENTS = 15


@dataclass(frozen=True)
class Steps:
    """How coarse each attribute is written; the defaults are the finest the format holds.

    Of each attribute the expected squared error that its rounding may cause in a picture (colours 0..1, mean over the
    pixels and channels). Rounding costs no precision in the format itself, it makes the images' bytes repeat.
    """

    positions: float = 0.0
    rotations: float = 0.0
    scales: float = 0.0
    colours: float = 0.0
    opacities: float = 0.0
    palette_size: int = MAX_PALETTE  # vectors of higher colour coefficients
    bit_price: float = 0.0  # error that a label one bit shorter may cost


@dataclass(frozen=True)
class Sensitivity:
    """What pictures make of a change: N Gaussians' parameters (raw, as in `Gaussians`) and how errors in them count.

    An error d in a parameter with sensitivity h adds h·d² to the pictures' mean squared error, as long as d is small.
    """

    means: Float32  # (N, 3)
    quats: Float32  # (N, 4)
    scales: Float32  # (N, 3)
    opacities: Float32  # (N,)
    colours: Float32  # (N,) of each channel of the colour, as seen
    directions: Float32  # (N, 16) Σ Yk over the views, weighted as `colours`: which harmonics are seen
    seen: NDArray[np.bool_]  # (N,) whether any view showed it at all
    harmonics: Float64  # (15, 15) d of the higher coefficients adds colours·dᵀ·harmonics·d, the constant one adapted

    def __len__(self) -> int:
        return int(self.colours.shape[0])

    def select(self, which: NDArray[np.generic]) -> Sensitivity:
        """Of the Gaussians that `which` (mask or indices) picks, in its order."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        return Sensitivity(**{name: part if name == "harmonics" else part[which] for name, part in parts.items()})


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
