"""Calibrate the predicted rounding error against the rendered error of a trial rounding.

The two differ because moved Gaussians change their order in depth, which no derivative shows, and because large changes
are not quadratic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from compressor.encode.arranged import KINDS, NUMBERS, Arranged, Sensitivity
from compressor.encode.encoder import Coarseness, quantise
from compressor.encode.quality import Yardstick
from compressor.sog.codes import Float32, Float64
from compressor.sog.decoder import dequantise
from compressor.sog.quats import components_of
from splat.gaussians import Gaussians

_MIN_FACTOR, _MAX_FACTOR = 0.5, 20.0


def calibrated(arranged: Arranged, lambda_: float, yardstick: Yardstick, check_stop: Callable[[], None]) -> Arranged:
    """`arranged` with sensitivities that predict the error of `yardstick`'s pictures after rounding at `lambda_`."""
    exact, sensitivity = arranged.gaussians, arranged.sensitivity
    coarse = dequantise(quantise(replace(exact, shN=exact.shN[:, :0]), sensitivity, Coarseness(lambda_), None))

    def factor(predicted: float, **changed: Float32) -> float:
        check_stop()
        measured = yardstick.mean_squared_error(replace(exact, **changed))
        return float(np.clip(measured / max(predicted, 1e-30), _MIN_FACTOR, _MAX_FACTOR))

    factors = {
        name: factor(_predicted(_change(coarse, exact, name), sensitivity, numbers), **{name: getattr(coarse, name)})
        for name, numbers in KINDS.items()
    }
    change = (coarse.sh0 - exact.sh0).astype(np.float64)
    colours = factor(float((sensitivity.colours * np.square(change).sum(axis=1)).sum()), sh0=coarse.sh0)
    # Position error beyond the outline term comes from depth reordering, which grows linearly with the change, not with
    # its square. Half of it is used, and no other number compensates it.
    outline = np.sqrt(factors["quats"] * factors["scales"])
    moved = max((factors["means"] - outline) / 2, 0.0) + outline
    raised = np.array([moved] * 3 + [factors["quats"]] * 3 + [factors["scales"]] * 3 + [factors["opacities"]])
    kept = np.array([np.sqrt(outline / moved)] * 3 + [1.0] * (NUMBERS - 3))
    rows, columns = np.tril_indices(NUMBERS, -1)
    correlations = np.rint(sensitivity.correlations * (kept[rows] * kept[columns]).astype(np.float32))
    return replace(
        arranged,
        sensitivity=replace(
            sensitivity,
            outlines=sensitivity.outlines * raised.astype(np.float32),
            correlations=correlations.astype(np.int8),
            colours=sensitivity.colours * np.float32(colours),
        ),
    )


def _change(coarse: Gaussians, exact: Gaussians, name: str) -> Float64:
    """Change (N, C) of the numbers of one kind, from `exact` to `coarse`."""
    one, other = getattr(coarse, name), getattr(exact, name)
    if name == "quats":
        largest = np.abs(other).argmax(axis=1)
        one, other = components_of(one, largest), components_of(other, largest)
    return np.asarray((one.astype(np.float64) - other).reshape(len(exact), -1))


def _predicted(change: Float64, sensitivity: Sensitivity, numbers: tuple[int, ...]) -> float:
    total = 0.0
    for a, j in enumerate(numbers):
        total += float((sensitivity.outlines[:, j] * np.square(change[:, a])).sum())
        for b, k in enumerate(numbers[:a]):
            shared = np.sqrt(sensitivity.outlines[:, j]) * np.sqrt(sensitivity.outlines[:, k])
            correlation = sensitivity.correlations[:, j * (j - 1) // 2 + k] / 127
            total += 2 * float((correlation * shared * change[:, a] * change[:, b]).sum())
    return total
