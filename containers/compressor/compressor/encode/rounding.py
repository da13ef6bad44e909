"""Rate-distortion rounding: each code minimises squared picture error + λ · bits.

The numbers of a Gaussian are rounded one after the other, and later ones compensate the errors of earlier ones: with
the Gauss-Newton matrix H = RᵀR, R lower triangular, the error is the sum of Rⱼⱼ²·(dⱼ + Σ Rⱼₖ/Rⱼⱼ·dₖ)², k < j, so number
j is rounded towards the value that makes its bracket zero (Babai, On Lovász' lattice reduction and the nearest lattice
point problem, 1986). Bits are those of an ideal entropy code for the codes chosen; codes and bits are optimised in turn
(Chou, Lookabaugh and Gray, Entropy-constrained vector quantization, 1989): rare codes give way to common ones where
pictures allow, and the images compress.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from compressor.encode.arranged import NUMBERS, Int8, Sensitivity
from compressor.sog.codes import CODEBOOK_SIZE, Float32, Float64, UInt8, UInt16
from compressor.sog.means import TOP, bounds_of
from compressor.sog.quats import component_codes
from splat.gaussians import Gaussians
from splat.kernels import kernel, parallel_kernel

_SHAPE = 9  # position, three components of the rotation, three scales
_TURNS = 12  # rounds after which bits and codes hardly change
_SAMPLE = 16384
_BLOCKS = 16
_TASK = 256  # Gaussians per task
_UNUSED = 1.0  # pseudo-count for unused codes, so that their bit cost is finite
# Largest change, beyond which the error is no longer quadratic: of a position, in standard deviations along the axis;
# of a component of the rotation; of a scale's logarithm; of an opacity's logit.
_MAX_MOVED, _MAX_TURNED, _MAX_GROWN, _MAX_FADED = 1.0, 0.15, 0.5, 1.0
_MIN_PIVOT = 1e-4  # of the diagonal

Bits = NDArray[np.float64]

# initial bit costs favour round codes: any choice that breaks the symmetry between codes would do
_ROUND = (1, 2, 4, 8, 16, 32)
_FIRST_BITS: Bits = -np.log2(
    np.mean([np.where(np.arange(CODEBOOK_SIZE) % step == 0, step / CODEBOOK_SIZE, 0) for step in _ROUND], axis=0)
)


@dataclass(frozen=True)
class Shapes:
    """Positions, rotations and scales of N Gaussians in codes, and opacities that compensate their rounding."""

    means: UInt16  # (N, 3)
    mins: Float64  # (3,)
    maxs: Float64  # (3,)
    rotations: UInt8  # (N, 3)
    scales: UInt8  # (N, 3)
    opacities: Float32  # (N,) logits


def round_shapes(gaussians: Gaussians, sensitivity: Sensitivity, scale_codebook: Float32, lambda_: float) -> Shapes:
    """Shapes of arranged Gaussians; `lambda_`: λ, the extra squared picture error accepted per bit saved."""
    low, high = bounds_of(gaussians.means)
    book = np.unique(scale_codebook).astype(np.float64)
    components = component_codes(CODEBOOK_SIZE)

    def rounded(g: Gaussians, s: Sensitivity, bits: Bits) -> tuple[UInt16, Float32]:
        codes, opacities = np.empty((len(g), _SHAPE), np.uint16), g.opacities.copy()
        _round_shapes(
            g.means, g.quats, g.scales, s.outlines, s.correlations, low, (high - low) / TOP, components, book, bits,
            lambda_, codes, opacities,
        )  # fmt: skip
        return codes, opacities

    bits = np.tile(_FIRST_BITS, (_SHAPE, 1))
    if lambda_ > 0:
        which = _sample(len(gaussians))
        some, weights = gaussians.select(which), sensitivity.select(which)
        for _ in range(_TURNS):
            bits = _bits(rounded(some, weights, bits)[0])
    codes, opacities = rounded(gaussians, sensitivity, bits)
    return Shapes(
        codes[:, :3].copy(), low, high, codes[:, 3:6].astype(np.uint8), codes[:, 6:].astype(np.uint8), opacities
    )


def round_numbers(values: Float32, sensitivity: Float32, codebook: Float32, lambda_: float) -> UInt8:
    """Codes (N, C) of `values` (N, C) in an ascending `codebook`; each has its `sensitivity` (N, C) and its own bits.

    Three channels are those of a colour, whose red and blue may be coded as their difference to green.
    """
    book = np.unique(codebook).astype(np.float64)
    bits = np.tile(_FIRST_BITS, (values.shape[1], 1))
    relative = np.zeros(values.shape[1], np.bool_)

    def rounded(which: slice | NDArray[np.int64]) -> UInt8:
        codes = np.empty(values[which].shape, np.uint8)
        _round_numbers(values[which], sensitivity[which], book, bits, relative, lambda_, codes)
        return codes

    if lambda_ > 0:
        some = _sample(len(values))
        for _ in range(_TURNS):
            codes = rounded(some)
            bits = _bits(codes)
            if values.shape[1] == 3:
                differences = _bits(codes - codes[:, 1:2])
                relative = _length(differences, codes - codes[:, 1:2]) < _length(bits, codes)
                relative[1] = False
                bits = np.where(relative[:, None], differences, bits)
    return rounded(slice(None))


def _sample(count: int) -> NDArray[np.int64]:
    """Indices of evenly spaced blocks of neighbours along the curve; all indices if there are few."""
    if count <= _SAMPLE:
        return np.arange(count)
    block = _SAMPLE // _BLOCKS
    starts = np.arange(_BLOCKS) * (count - block) // (_BLOCKS - 1)
    return (starts[:, None] + np.arange(block)).ravel()


def _bits(codes: NDArray[np.unsignedinteger[Any]]) -> Bits:
    """Bits (C, 256) of each low byte in an ideal code for those of `codes` (N, C)."""
    counts = np.stack([np.bincount(column & 255, minlength=CODEBOOK_SIZE) for column in codes.T]) + _UNUSED
    return np.asarray(-np.log2(counts / counts.sum(axis=1, keepdims=True)))


def _length(bits: Bits, codes: UInt8) -> Float64:
    return np.array([row[column].sum() for row, column in zip(bits, codes.T, strict=True)])


@parallel_kernel
def _round_shapes(
    means: Float32, quats: Float32, scales: Float32, outlines: Float32, correlations: Int8, low: Float64, unit: Float64,
    components: Float64, book: Float64, bits: Bits, lambda_: float, codes: UInt16, opacities: Float32,
) -> None:  # fmt: skip
    count = means.shape[0]
    for task in prange((count + _TASK - 1) // _TASK):
        r = np.empty((NUMBERS, NUMBERS), np.float64)
        x, reach, lost = np.empty(_SHAPE), np.empty(_SHAPE), np.empty(_SHAPE)
        for i in range(task * _TASK, min(count, (task + 1) * _TASK)):
            _factor(outlines[i], correlations[i], r)
            _numbers(means[i], quats[i], scales[i], x, reach)
            for j in range(_SHAPE):
                aim = x[j] - _shift(r, lost, j, reach[j])
                weight = r[j, j] * r[j, j]
                if j < 3:
                    code = _nearest_position(aim, weight, low[j], unit[j], bits[j], lambda_, reach[j])
                    lost[j] = _position(code, low[j], unit[j]) - x[j]
                else:
                    values = components if j < 6 else book
                    code = _cheapest(aim, weight, values, bits[j], 0, lambda_, x[j] - reach[j], x[j] + reach[j])
                    lost[j] = values[code] - x[j]
                codes[i, j] = code
            opacities[i] -= _shift(r, lost, _SHAPE, _MAX_FADED)


@parallel_kernel
def _round_numbers(
    values: Float32, sensitivity: Float32, book: Float64, bits: Bits, relative: NDArray[np.bool_], lambda_: float,
    codes: UInt8,
) -> None:  # fmt: skip
    count, channels = values.shape
    for task in prange((count + _TASK - 1) // _TASK):
        for i in range(task * _TASK, min(count, (task + 1) * _TASK)):
            for turn in range(channels):
                c = (turn + 1) % channels if channels == 3 else turn  # green first
                origin = int(codes[i, 1]) if relative[c] else 0
                codes[i, c] = _cheapest(
                    values[i, c], sensitivity[i, c], book, bits[c], origin, lambda_, -np.inf, np.inf
                )


@kernel
def _factor(outline: Float32, correlations: Int8, r: Float64) -> None:
    """R, lower triangular, of H = RᵀR."""
    for j in range(NUMBERS - 1, -1, -1):
        diagonal = np.float64(outline[j])
        pivot = diagonal
        for k in range(j + 1, NUMBERS):
            pivot -= r[k, j] * r[k, j]
        r[j, j] = np.sqrt(max(pivot, _MIN_PIVOT * diagonal))
        for i in range(j):
            rest = correlations[j * (j - 1) // 2 + i] / 127 * np.sqrt(diagonal * outline[i])
            for k in range(j + 1, NUMBERS):
                rest -= r[k, j] * r[k, i]
            r[j, i] = rest / r[j, j]


@kernel
def _shift(r: Float64, lost: Float64, j: int, most: float) -> float:
    """Minus the change of number j that compensates the rounding errors `lost` of those before it."""
    total = 0.0
    for k in range(j):
        total += r[j, k] * lost[k]
    return float(min(max(total / r[j, j], -most), most))


@kernel
def _numbers(mean: Float32, quat: Float32, scale: Float32, x: Float64, reach: Float64) -> None:
    """A Gaussian's nine numbers as SOG stores them, and the largest change of each."""
    w, a, b, c = np.float64(quat[0]), np.float64(quat[1]), np.float64(quat[2]), np.float64(quat[3])
    length = np.sqrt(w * w + a * a + b * b + c * c)
    w, a, b, c = w / length, a / length, b / length, c / length
    v0, v1, v2 = np.exp(2 * np.float64(scale[0])), np.exp(2 * np.float64(scale[1])), np.exp(2 * np.float64(scale[2]))
    x0, x1, x2 = 1 - 2 * (b * b + c * c), 2 * (a * b - w * c), 2 * (a * c + w * b)
    y0, y1, y2 = 2 * (a * b + w * c), 1 - 2 * (a * a + c * c), 2 * (b * c - w * a)
    z0, z1, z2 = 2 * (a * c - w * b), 2 * (b * c + w * a), 1 - 2 * (a * a + b * b)
    reach[0] = _MAX_MOVED * np.sqrt(x0 * x0 * v0 + x1 * x1 * v1 + x2 * x2 * v2)
    reach[1] = _MAX_MOVED * np.sqrt(y0 * y0 * v0 + y1 * y1 * v1 + y2 * y2 * v2)
    reach[2] = _MAX_MOVED * np.sqrt(z0 * z0 * v0 + z1 * z1 * v1 + z2 * z2 * v2)
    largest = 0
    for k in range(1, 4):
        if abs(quat[k]) > abs(quat[largest]):
            largest = k
    scaling = (-1.0 if quat[largest] < 0 else 1.0) / length
    place = 3
    for k in range(4):
        if k != largest:
            x[place] = quat[k] * scaling
            place += 1
    for k in range(3):
        x[k], x[6 + k] = mean[k], scale[k]
        reach[3 + k], reach[6 + k] = _MAX_TURNED, _MAX_GROWN


@kernel
def _position(code: int, low: float, unit: float) -> float:
    value = low + code * unit
    return float(np.copysign(np.exp(abs(value)) - 1, value))


@kernel
def _nearest_position(
    aim: float, weight: float, low: float, unit: float, bits: Bits, lambda_: float, reach: float
) -> int:
    """The position's code with the lowest error + λ · bits; the bits are those of its low byte."""
    value = np.copysign(np.log1p(abs(aim)), aim)
    exact = (value - low) / unit
    step = np.exp(abs(value)) * unit  # of one code, in world units
    middle = int(min(max(np.rint(exact), 0.0), float(TOP)))
    best, found = np.inf, middle
    farthest = min(int(reach / step), 255)
    for away in range(farthest + 1):
        if away > 0:
            least = (away - 0.5) * step
            if weight * least * least >= best:
                break
        for code in (middle - away, middle + away):
            if 0 <= code <= TOP:
                error = (code - exact) * step
                cost = weight * error * error + lambda_ * bits[code & 255]
                if cost < best:
                    best, found = cost, code
    return found


@kernel
def _cheapest(
    aim: float, weight: float, values: Float64, bits: Bits, origin: int, lambda_: float, low: float, high: float
) -> int:  # fmt: skip
    """The index of the value (ascending, within bounds) with the least error + λ · bits; the nearest if none is
    allowed.

    Its bits are those of its distance to `origin`, modulo 256.
    """
    after = np.searchsorted(values, aim)
    found = min(after, values.shape[0] - 1)
    if found > 0 and aim - values[found - 1] < values[found] - aim:
        found -= 1
    error = values[found] - aim
    best = weight * error * error + lambda_ * bits[(found - origin) & 255]
    for code in range(after, values.shape[0]):
        error = values[code] - aim
        if weight * error * error >= best or values[code] > high:
            break
        cost = weight * error * error + lambda_ * bits[(code - origin) & 255]
        if cost < best:
            best, found = cost, code
    for code in range(after - 1, -1, -1):
        error = values[code] - aim
        if weight * error * error >= best or values[code] < low:
            break
        cost = weight * error * error + lambda_ * bits[(code - origin) & 255]
        if cost < best:
            best, found = cost, code
    return int(found)
