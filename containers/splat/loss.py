"""The photometric loss of Gaussian splatting, (1 - λ)·L1 + λ·(1 - SSIM), and its gradient, in three passes over rows.

Wang et al., Image Quality Assessment: From Error Visibility to Structural Similarity, 2004: an 11 by 11 Gaussian
window of 1.5 pixels, and zeros beyond the picture's edges. A photo's own window means never change: they are computed
once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import prange
from numpy.typing import NDArray

from splat.gaussians import Float32
from splat.kernels import ONE, TWO, ZERO, Scalar, kernel, parallel_kernel

SSIM_WEIGHT = 0.2  # λ, Kerbl et al. 2023
_MIN_SQUARE = 1e-10  # identical pictures: 100 dB
_RADIUS = 5
_C1, _C2 = np.float32(0.01**2), np.float32(0.03**2)
_WINDOW = np.exp(-0.5 * (np.arange(-_RADIUS, _RADIUS + 1) / 1.5) ** 2)
_W0, _W1, _W2, _W3, _W4, _W5 = (np.float32(w) for w in (_WINDOW / _WINDOW.sum())[: _RADIUS + 1])


def psnr(mean_squared_error: float) -> float:
    """PSNR in dB of pictures with values 0..1, at most 100."""
    return -10 * math.log10(max(mean_squared_error, _MIN_SQUARE))


@dataclass(frozen=True)
class Target:
    """A photo to match: planes (3, height, width), 0..1, and the window means of these and of their squares."""

    planes: Float32
    means: Float32
    mean_squares: Float32

    @classmethod
    def of(cls, photo: Float32) -> Target:
        """The target for a picture (height, width, 3), 0..1."""
        planes = np.ascontiguousarray(photo.transpose(2, 0, 1), dtype=np.float32)
        return cls(planes, window_means(planes), window_means(planes * planes))


class Buffers:
    """Scratch memory for the loss, which grows to the largest picture compared. A fresh allocation in each step would
    cost more time than the arithmetic, and one per picture size more memory than the photos.
    """

    def __init__(self) -> None:
        self._memory = np.empty(0, np.float32)
        self._size = (0, 0)

    @property
    def nbytes(self) -> int:
        return self._memory.nbytes

    def of(self, height: int, width: int) -> tuple[Float32, Float32, Float32]:
        """The picture's channels (3, height, width), and two arrays (3 kinds, 3 channels, height + 10, width) of values
        blurred along rows, whose first and last 5 rows are zero. Valid until the next call.
        """
        plane, padded = (3, height, width), (3, 3, height + 2 * _RADIUS, width)
        planes, rows = math.prod(plane), math.prod(padded)
        if self._memory.size < planes + 2 * rows:
            self._memory = np.empty(planes + 2 * rows, np.float32)
        by_row, by_row_back = self._memory[planes : planes + 2 * rows].reshape(2, *padded)
        if self._size != (height, width):
            self._size = (height, width)
            for blurred in (by_row, by_row_back):
                blurred[:, :, :_RADIUS] = blurred[:, :, -_RADIUS:] = 0
        return self._memory[:planes].reshape(plane), by_row, by_row_back


@dataclass(frozen=True)
class PhotometricLoss:
    """The loss, its parts, the mean squared error, and the gradient with respect to the picture (height, width, 3)."""

    value: float
    l1: float
    ssim: float
    mse: float
    gradient: Float32


def photometric_loss(image: Float32, target: Target, buffers: Buffers, weight: float = SSIM_WEIGHT) -> PhotometricLoss:
    """Compare `image` (height, width, 3) with `target`; `weight` is λ, the weight of SSIM. `buffers` can be reused for
    pictures of any size.
    """
    height, width, _ = image.shape
    planes, by_row, by_row_back = buffers.of(height, width)
    gradient = np.empty_like(image)
    sums = np.empty((height, 3), np.float64)
    _loss(
        image, target.planes, target.means, target.mean_squares, np.float32(weight),
        planes, by_row, by_row_back, sums, gradient,
    )  # fmt: skip
    ssim, l1, mse = (float(total) / image.size for total in sums.sum(axis=0))
    return PhotometricLoss((1 - weight) * l1 + weight * (1 - ssim), l1, ssim, mse, gradient)


def window_means(planes: Float32) -> Float32:
    """Means of `planes` (C, height, width) under the window."""
    channels, height, width = planes.shape
    by_row = np.zeros((channels, height + 2 * _RADIUS, width), np.float32)
    means = np.empty_like(planes)
    _window_means(planes, by_row, means)
    return means


@kernel
def _blur_row(padded: Float32, out: Float32) -> None:
    """Blur a row padded by the radius on both sides."""
    for x in range(np.uint64(out.shape[0])):
        out[x] = (
            _W0 * (padded[x] + padded[x + np.uint64(10)])
            + _W1 * (padded[x + np.uint64(1)] + padded[x + np.uint64(9)])
            + _W2 * (padded[x + np.uint64(2)] + padded[x + np.uint64(8)])
            + _W3 * (padded[x + np.uint64(3)] + padded[x + np.uint64(7)])
            + _W4 * (padded[x + np.uint64(4)] + padded[x + np.uint64(6)])
            + _W5 * padded[x + np.uint64(5)]
        )


@kernel
def _blur_column(rows: Float32, out: Float32) -> None:
    """Blur 11 consecutive rows (11, width) into the middle one."""
    r0, r1, r2, r3, r4, r5 = rows[0], rows[1], rows[2], rows[3], rows[4], rows[5]
    r6, r7, r8, r9, r10 = rows[6], rows[7], rows[8], rows[9], rows[10]
    for x in range(np.uint64(out.shape[0])):
        out[x] = (
            _W0 * (r0[x] + r10[x])
            + _W1 * (r1[x] + r9[x])
            + _W2 * (r2[x] + r8[x])
            + _W3 * (r3[x] + r7[x])
            + _W4 * (r4[x] + r6[x])
            + _W5 * r5[x]
        )


@parallel_kernel
def _window_means(planes: Float32, by_row: Float32, means: Float32) -> None:
    channels, height, width = planes.shape
    for y in prange(height):
        padded = np.zeros(width + 2 * _RADIUS, np.float32)
        for c in range(channels):
            padded[_RADIUS : _RADIUS + width] = planes[c, y]
            _blur_row(padded, by_row[c, y + _RADIUS])
    for y in prange(height):
        for c in range(channels):
            _blur_column(by_row[c, y : y + 2 * _RADIUS + 1], means[c, y])


@kernel
def _ssim_row(
    ex: Float32, exx: Float32, exy: Float32, ey: Float32, eyy: Float32, by_x: Float32, by_xx: Float32, by_xy: Float32
) -> Scalar:
    """SSIM summed over a row of window means, and its gradients with respect to the means of x, x² and xy."""
    total = ZERO
    for i in range(np.uint64(ex.shape[0])):
        mx, my = ex[i], ey[i]
        a1, a2 = TWO * mx * my + _C1, TWO * (exy[i] - mx * my) + _C2
        b1, b2 = mx * mx + my * my + _C1, exx[i] - mx * mx + eyy[i] - my * my + _C2
        scale = ONE / (b1 * b2)
        ssim = a1 * a2 * scale
        total += ssim
        by_variance, by_covariance = -ssim * b1 * scale, TWO * a1 * scale
        by_x[i] = TWO * (my * a2 * scale - mx * ssim * b2 * scale - mx * by_variance) - my * by_covariance
        by_xx[i] = by_variance
        by_xy[i] = by_covariance
    return total


@kernel
def _split_row(pixels: Float32, target: Float32, plane: Float32, x: Float32, xx: Float32, xy: Float32) -> None:
    """Copy one channel of a row from `pixels`, with its square and its product with the target."""
    for i in range(np.uint64(target.shape[0])):
        value = pixels[i]
        plane[i] = value
        x[i], xx[i], xy[i] = value, value * value, value * target[i]


@kernel
def _combine_row(
    x: Float32, y: Float32, by_x: Float32, by_xx: Float32, by_xy: Float32, weight: Scalar, scale: Scalar, out: Float32
) -> tuple[Scalar, Scalar]:
    """Write the gradient of the whole loss for one channel of a row; return the sums of absolute and squared errors."""
    absolute, squared = ZERO, ZERO
    for i in range(np.uint64(x.shape[0])):
        error = x[i] - y[i]
        absolute += abs(error)
        squared += error * error
        sign = ONE if error > ZERO else (-ONE if error < ZERO else ZERO)
        by_ssim = by_x[i] + TWO * x[i] * by_xx[i] + y[i] * by_xy[i]
        out[i] = scale * ((ONE - weight) * sign - weight * by_ssim)
    return absolute, squared


@parallel_kernel
def _loss(
    image: Float32, target: Float32, target_means: Float32, target_squares: Float32, weight: Scalar,
    planes: Float32, by_row: Float32, by_row_back: Float32, sums: NDArray[np.float64], gradient: Float32,
) -> None:  # fmt: skip
    height, width, _ = image.shape
    scale = ONE / np.float32(3 * height * width)
    end = _RADIUS + width
    for y in prange(height):
        padded = np.zeros((3, width + 2 * _RADIUS), np.float32)
        for c in range(3):
            _split_row(
                image[y, :, c],
                target[c, y],
                planes[c, y],
                padded[0, _RADIUS:end],
                padded[1, _RADIUS:end],
                padded[2, _RADIUS:end],
            )
            for kind in range(3):
                _blur_row(padded[kind], by_row[kind, c, y + _RADIUS])
    for y in prange(height):
        means = np.empty((3, width), np.float32)
        padded = np.zeros((3, width + 2 * _RADIUS), np.float32)
        ssim = ZERO
        for c in range(3):
            for kind in range(3):
                _blur_column(by_row[kind, c, y : y + 2 * _RADIUS + 1], means[kind])
            ssim += _ssim_row(
                means[0], means[1], means[2], target_means[c, y], target_squares[c, y],
                padded[0, _RADIUS:end], padded[1, _RADIUS:end], padded[2, _RADIUS:end],
            )  # fmt: skip
            for kind in range(3):
                _blur_row(padded[kind], by_row_back[kind, c, y + _RADIUS])
        sums[y, 0] = ssim
    for y in prange(height):
        back = np.empty((3, width), np.float32)
        absolute, squared = ZERO, ZERO
        for c in range(3):
            for kind in range(3):
                _blur_column(by_row_back[kind, c, y : y + 2 * _RADIUS + 1], back[kind])
            a, s = _combine_row(planes[c, y], target[c, y], back[0], back[1], back[2], weight, scale, gradient[y, :, c])
            absolute += a
            squared += s
        sums[y, 1], sums[y, 2] = absolute, squared
