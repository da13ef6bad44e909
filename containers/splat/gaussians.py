"""The parameters of a Gaussian splat, and checks of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

# number of colour coefficients beyond the constant one, by degree of the spherical harmonics
HIGHER_COEFFICIENTS = (0, 3, 8, 15)


@dataclass(frozen=True)
class Gaussians:
    """N Gaussians with raw parameters as in an INRIA PLY; every array is float32 and C-contiguous.

    Kerbl et al., 3D Gaussian Splatting for Real-Time Radiance Field Rendering, 2023.
    """

    means: Float32  # (N, 3) world
    quats: Float32  # (N, 4) wxyz, any length but zero
    scales: Float32  # (N, 3) natural logarithm of the standard deviations
    opacities: Float32  # (N,) logit
    sh0: Float32  # (N, 3) constant colour coefficient; colour = 0.5 + 0.2820948 * sh0
    shN: Float32  # noqa: N815  (N, K, 3) higher coefficients, K in HIGHER_COEFFICIENTS

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, np.ascontiguousarray(getattr(self, field.name), dtype=np.float32))
        count = self.means.shape[0]
        shapes = {"means": (count, 3), "quats": (count, 4), "scales": (count, 3), "opacities": (count,)}
        shapes |= {"sh0": (count, 3), "shN": (count, self.shN.shape[1] if self.shN.ndim == 3 else -1, 3)}
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}, expected {shape}")
        if self.shN.shape[1] not in HIGHER_COEFFICIENTS:
            raise ValueError(f"shN holds {self.shN.shape[1]} coefficients, expected one of {HIGHER_COEFFICIENTS}")

    def __len__(self) -> int:
        return int(self.means.shape[0])

    @property
    def sh_degree(self) -> int:
        """Degree of the spherical harmonics, 0 to 3."""
        return HIGHER_COEFFICIENTS.index(self.shN.shape[1])

    def select(self, which: NDArray[np.generic]) -> Gaussians:
        """The Gaussians selected by `which`: a mask, or indices in the order of the result."""
        return Gaussians(**{field.name: getattr(self, field.name)[which] for field in fields(self)})


def joined(parts: Sequence[Gaussians]) -> Gaussians:
    """All Gaussians of `parts`, which must have the same degree, in their order."""
    return Gaussians(
        **{field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Gaussians)}
    )


def opacity_of(logits: Float32) -> NDArray[np.float64]:
    """Opacities 0..1 (N,) from their logits."""
    return np.asarray(0.5 + 0.5 * np.tanh(logits.astype(np.float64) / 2))


def logit_of(opacities: ArrayLike) -> NDArray[np.float64]:
    """Logits of opacities, the inverse of `opacity_of`; for 1 and 0 ±inf, with numpy's warning."""
    values = np.asarray(opacities, dtype=np.float64)
    return np.asarray(np.log(values / (1 - values)))


_FLATTEST = float(np.log(1e-3))  # log of the ratio to the smallest other axis, for an axis of length zero
_MAX_COLOUR = 1e4  # largest coefficient: colours are 0..1, and quantisation needs finite values
_MAX_DEVIATION = 40.0  # natural logarithm: e^40 squared is still well within float32
_MAX_POSITION = 1e15


def sound(gaussians: Gaussians) -> tuple[Gaussians, int]:
    """The Gaussians that can be drawn, and the number of those that cannot: a value is not finite or meaninglessly
    large, or the rotation has no length.

    A deviation of zero (a logarithm of -inf, as in surfels) becomes a thousandth of the smallest other one. An infinite
    logit stays: it is an opacity of exactly 0 or 1.
    """
    flat = np.isneginf(gaussians.scales)
    smallest = np.where(flat, np.inf, gaussians.scales).min(axis=1, keepdims=True, initial=np.inf)
    scales = np.where(flat, smallest + _FLATTEST, gaussians.scales)
    good = np.isfinite(scales).all(axis=1) & ~np.isnan(gaussians.opacities)
    good &= scales.max(axis=1, initial=-np.inf) <= _MAX_DEVIATION
    bounds = {"means": _MAX_POSITION, "quats": np.inf, "sh0": _MAX_COLOUR, "shN": _MAX_COLOUR}
    for name, bound in bounds.items():
        values = np.abs(getattr(gaussians, name)).reshape(len(gaussians), -1)
        good &= (np.isfinite(values) & (values <= bound)).all(axis=1)
    good &= np.abs(gaussians.quats).max(axis=1, initial=0) > 0
    kept = replace(gaussians, scales=scales)
    return (kept, 0) if good.all() else (kept.select(good), int(np.count_nonzero(~good)))
