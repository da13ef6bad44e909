"""The depth map of one photo: a sweep around a base surface, coarse to fine.

Per level, each source photo is warped onto the photo over hypotheses of inverse depth, given as shares of the base
surface's, and compared with it by normalised cross correlation; semi-global matching (Hirschmüller 2008) along four
paths smooths the volume, a parabola refines the winner. The first level's base is an affine fit to the sparse points,
the next one's the map so far.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter, uniform_filter

from trainer.stereo import kernels
from trainer.stereo.geometry import (
    Bool,
    Float32,
    Float64,
    Look,
    StereoPhoto,
    base_surface,
    inverse_step,
    pair_warp,
    resized,
)
from trainer.stereo.settings import Level, StereoSettings

_MIDDLE = 128  # grey levels are kept about it, so that float32 sums of squares stay exact enough


@dataclass(frozen=True)
class Sweep:
    """One level of one photo: (h, w) arrays of the photo, `others` (N, pixels) flat and padded to one length, and
    hypotheses."""

    grey: Float32
    mean: Float32
    contrast: Float32  # 1 / (standard deviation + 1) of the window; 0 where it is not wholly visible
    others: Float32
    sizes: NDArray[np.int64]
    matrices: Float32
    shifts: Float32
    base: Float32
    steps: Float32


Match = Callable[[Sweep, StereoSettings], tuple[Float32, Float32]]
"""Solves a sweep: the offset (h, w) from the base, as a share of it, and the NCC there."""


def depth_map(
    photo: StereoPhoto, sources: Sequence[StereoPhoto], positions: Float64, settings: StereoSettings, match: Match
) -> tuple[Float32, Float32]:
    """Inverse depth (h, w) of the photo's finest look, 0 where its mask hides, and the NCC of that depth."""
    inverse: Float32 | None = None
    score = np.zeros(0, np.float32)
    for number, level in enumerate(settings.levels):
        look, others = photo.looks[number], [source.looks[number] for source in sources]
        camera = look.camera
        cameras = [other.camera for other in others]
        if inverse is None:
            surface, deviation = base_surface(camera, positions[photo.observed])
            base = surface.astype(np.float32)
            step = level.pixels * _relative_step(look, others, base)
            steps = _wide_steps(deviation, step, level, settings)
        else:
            base = resized(inverse, camera.width, camera.height)
            step = level.pixels * _relative_step(look, others, base)
            steps = step * (np.arange(level.hypotheses, dtype=np.float64) - level.hypotheses // 2)
        warps = [pair_warp(camera, other) for other in cameras]
        mean, contrast = window(look)
        sweep = Sweep(
            centred(look),
            mean,
            contrast,
            stacked(others),
            np.array([other.grey.shape for other in others], dtype=np.int64),
            np.array([matrix for matrix, _ in warps], dtype=np.float32),
            np.array([shift for _, shift in warps], dtype=np.float32),
            base,
            steps.astype(np.float32),
        )
        offset, score = match(sweep, settings)
        inverse = median_filter(base * (1 + offset), 3, mode="nearest")
    if inverse is None:
        raise ValueError("the settings name no level")
    shown = photo.looks[-1].shown
    if shown is not None:
        inverse[~shown] = 0
    return inverse, score


def match_on_cpu(sweep: Sweep, settings: StereoSettings) -> tuple[Float32, Float32]:
    """Solve a sweep with the numba kernels."""
    height, width = sweep.grey.shape
    kinds = len(sweep.steps)
    volume = np.empty((kinds, height, width), np.float32)
    kernels.cost_volume(
        sweep.grey, sweep.mean, sweep.contrast, sweep.others, sweep.sizes, sweep.matrices, sweep.shifts, sweep.base,
        sweep.steps, volume,
    )  # fmt: skip
    cost = np.ascontiguousarray(volume.transpose(1, 2, 0))
    total = np.zeros_like(cost)
    small, large, edge = np.float32(settings.small_jump), np.float32(settings.large_jump), np.float32(settings.edge)
    kernels.paths_along_rows(cost, sweep.grey, small, large, edge, total)
    kernels.paths_along_columns(cost, sweep.grey, small, large, edge, total)
    offset, score = np.empty((height, width), np.float32), np.empty((height, width), np.float32)
    kernels.winner(total, cost, sweep.steps, offset, score)
    return offset, score


def _relative_step(look: Look, others: Sequence[Look], base: Float32) -> float:
    """The share of the base surface's inverse depth that moves the median source by one pixel."""
    middle = float(np.median(base))
    return inverse_step(look.camera, [other.camera for other in others], middle) / middle


def _wide_steps(deviation: Float64, step: float, level: Level, settings: StereoSettings) -> Float64:
    """Offsets that cover the settings' range of depth and what the sparse points deviate from the surface."""
    low, high = np.quantile(deviation, (0.003, 0.997))
    low = max(min(1.1 * low, 1 / settings.farthest - 1), -0.9)
    high = max(1.1 * high, 1 / settings.nearest - 1)
    step = max(step, (high - low) / (level.hypotheses - 1))
    return np.asarray(low + step * np.arange(max(3, math.ceil((high - low) / step - 1e-9) + 1)))


def centred(look: Look) -> Float32:
    """Grey levels about the middle, masked pixels marked."""
    grey = look.grey.astype(np.float32) - _MIDDLE
    if look.shown is not None:
        grey[~look.shown] = kernels.HIDDEN
    return grey


def stacked(looks: Sequence[Look]) -> Float32:
    stack = np.zeros((len(looks), max(look.grey.size for look in looks)), np.float32)
    for place, look in zip(stack, looks, strict=True):
        place[: look.grey.size] = centred(look).ravel()
    return stack


def window(look: Look) -> tuple[Float32, Float32]:
    """Mean and contrast of the photo's own windows."""
    radius, size = kernels.RADIUS, 2 * kernels.RADIUS + 1
    grey = look.grey.astype(np.float64) - _MIDDLE
    mean = uniform_filter(grey, size, mode="nearest")
    square = uniform_filter(grey * grey, size, mode="nearest")
    contrast = 1 / (np.sqrt(np.maximum(square - mean * mean, 0)) + 1)
    whole: Bool = np.zeros(grey.shape, bool)
    whole[radius:-radius, radius:-radius] = True
    if look.shown is not None:
        whole &= uniform_filter(look.shown.astype(np.float64), size, mode="nearest") > 1 - 0.5 / size**2
    return mean.astype(np.float32), np.where(whole, contrast, 0).astype(np.float32)
