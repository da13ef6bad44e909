"""What a SOG file holds, as integers and codebooks, and how coarse to make it."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

UInt8 = NDArray[np.uint8]
Int8 = NDArray[np.int8]
UInt16 = NDArray[np.uint16]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

CODEBOOK_SIZE = 256
MAX_PALETTE = 65536
# Some readers take the 15 coefficients of degree 3 for granted, so lower degrees are padded with zeros.
PALETTE_COEFFICIENTS = 15


NUMBERS = 10
"""Of a Gaussian's outline: position, the three smallest components of its quaternion, log scales, logit of opacity."""
KINDS = {"means": (0, 1, 2), "quats": (3, 4, 5), "scales": (6, 7, 8), "opacities": (9,)}
"""Which of them stand for which field of `Gaussians`."""


@dataclass(frozen=True)
class Coarseness:
    """What bytes are worth; the defaults are the finest the format holds.

    Prices are squared errors of the pictures (colours 0..1, mean over the pixels and channels) for a bit less. Rounding
    costs no precision in the format itself, it makes the images' bytes repeat.
    """

    bit_price: float = 0.0
    label_price: float = 0.0  # of a palette's labels, whose errors are measured otherwise
    palette_size: int = MAX_PALETTE  # vectors of higher colour coefficients


@dataclass(frozen=True)
class Sensitivity:
    """What pictures make of small changes of N Gaussians' parameters.

    A change d of a Gaussian's outline (NUMBERS) adds dᵀHd to the pictures' mean squared error, one of a colour
    colours·d². H is kept as its diagonal and the correlations left of it.
    """

    outlines: Float32  # (N, 10) of each number alone
    correlations: Int8  # (N, 45) in 127ths, row by row
    colours: Float32  # (N,) of each channel of the colour, as seen
    directions: Float32  # (N, 16) Σ Yk over the views, weighted as `colours`: which harmonics are seen
    seen: NDArray[np.bool_]  # (N,) whether any view showed it at all
    harmonics: Float64  # (15, 15) d of the higher coefficients adds colours·dᵀ·harmonics·d, the constant one adapted

    def __len__(self) -> int:
        return int(self.colours.shape[0])

    @property
    def opacities(self) -> Float32:
        """(N,) of the logits alone."""
        return self.outlines[:, 9]

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
