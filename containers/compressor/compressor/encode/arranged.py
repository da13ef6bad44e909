"""A splat in the order of the file, and the sensitivity of pictures to its parameters."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from compressor.sog.codes import Float32, Float64
from splat.gaussians import Gaussians

Int8 = NDArray[np.int8]

NUMBERS = 10
"""Of a Gaussian's outline: position, the three smallest components of its quaternion, log scales, logit of opacity."""
KINDS = {"means": (0, 1, 2), "quats": (3, 4, 5), "scales": (6, 7, 8), "opacities": (9,)}
"""Which of them stand for which field of `Gaussians`."""


@dataclass(frozen=True)
class Sensitivity:
    """Squared picture error caused by small changes of the parameters of N Gaussians.

    A change d of a Gaussian's outline (NUMBERS) adds dᵀHd to the pictures' mean squared error, and a change d of a
    colour adds colours·d². H is stored as its diagonal and the correlations to the left of it.
    """

    outlines: Float32  # (N, 10) the diagonal of H: each number alone
    correlations: Int8  # (N, 45) in units of 1/127, row by row
    colours: Float32  # (N,) of each channel of the colour in the picture
    directions: Float32  # (N, 16) Σ Yk over the views, weighted as `colours`: which harmonics are seen
    seen: NDArray[np.bool_]  # (N,) whether any view showed it at all
    harmonics: Float64  # (15, 15) d of the higher coefficients adds colours·dᵀ·harmonics·d, the constant one adapted

    def __len__(self) -> int:
        return int(self.colours.shape[0])

    @property
    def opacities(self) -> Float32:
        """(N,) the sensitivity to each opacity's logit alone."""
        return self.outlines[:, 9]

    def select(self, which: NDArray[np.generic]) -> Sensitivity:
        """The sensitivity of the Gaussians selected by `which`: a mask, or indices in the order of the result."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        return Sensitivity(**{name: part if name == "harmonics" else part[which] for name, part in parts.items()})


@dataclass(frozen=True)
class Arranged:
    """Gaussians as `arrange` orders them, with the sensitivity of each."""

    gaussians: Gaussians
    sensitivity: Sensitivity

    def __len__(self) -> int:
        return len(self.gaussians)

    def select(self, which: NDArray[np.generic]) -> Arranged:
        """The Gaussians selected by `which`, with their sensitivity."""
        return Arranged(self.gaussians.select(which), self.sensitivity.select(which))
