"""Read .splat, the format of the first web viewers: 32 bytes per Gaussian, no header and no higher coefficients.

Position and deviations are float32, colour and opacity four bytes, and the rotation's wxyz four bytes offset by 128
(https://github.com/antimatter15/splat).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from contract.ply import MAX_GAUSSIANS
from splat.errors import InvalidSplatError
from splat.gaussians import Gaussians, logit_of
from splat.harmonics import SH_C0
from splat.stored import StoredSplat

_ROW = np.dtype([("means", "<f4", 3), ("deviations", "<f4", 3), ("colours", "u1", 4), ("rotations", "u1", 4)])
_SAMPLE = 1000
_ROTATION_LENGTHS = (100.0, 140.0)  # bounds on the length of a rotation in bytes: 128, and rounding


def looks_like_splat(path: Path) -> bool:
    """Whether a file without a known signature can be a .splat: whole rows with unit rotations and valid deviations."""
    if path.stat().st_size == 0 or path.stat().st_size % _ROW.itemsize:
        return False
    rows = np.fromfile(path, _ROW, _SAMPLE)
    lengths = np.linalg.norm(rows["rotations"].astype(np.float64) - 128, axis=1)
    low, high = _ROTATION_LENGTHS
    deviations = rows["deviations"]
    good = (lengths > low) & (lengths < high) & np.isfinite(deviations).all(axis=1) & (deviations >= 0).all(axis=1)
    return bool(good.mean() > 0.9)


def read_dot_splat(path: Path) -> StoredSplat:
    """Read a .splat. Raises InvalidSplatError unless the file consists of whole rows, at least one and not too many."""
    size = path.stat().st_size
    if size > MAX_GAUSSIANS * _ROW.itemsize:
        raise InvalidSplatError(f"{path.name} has {size // _ROW.itemsize} Gaussians of at most {MAX_GAUSSIANS}")
    if size == 0 or size % _ROW.itemsize:
        raise InvalidSplatError(f"{path.name} is not a .splat: {size} bytes are not a whole number of Gaussians")
    rows = np.fromfile(path, _ROW)
    shades = rows["colours"].astype(np.float64) / 255
    with np.errstate(divide="ignore", invalid="ignore"):  # lengths of zero are flat, an opacity of 255 is exactly 1
        scales, logits = np.log(rows["deviations"].astype(np.float64)), logit_of(shades[:, 3])
    return StoredSplat(
        Gaussians(
            means=rows["means"],
            quats=rows["rotations"].astype(np.float32) - 128,
            scales=scales.astype(np.float32),
            opacities=logits.astype(np.float32),
            sh0=((shades[:, :3] - 0.5) / SH_C0).astype(np.float32),
            shN=np.zeros((len(rows), 0, 3), np.float32),
        )
    )
