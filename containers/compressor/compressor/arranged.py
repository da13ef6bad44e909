"""A splat in the file's order, and how its numbers matter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compressor.sog.codes import Sensitivity
from splat.gaussians import Gaussians

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Arranged:
    """Gaussians as `arrange` orders them, with their sensitivity."""

    gaussians: Gaussians
    sensitivity: Sensitivity

    def __len__(self) -> int:
        return len(self.gaussians)

    def select(self, which: NDArray[np.generic]) -> Arranged:
        """The Gaussians that `which` picks."""
        return Arranged(self.gaussians.select(which), self.sensitivity.select(which))
