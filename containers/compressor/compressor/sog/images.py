"""Lay out the images of a SOG file: pixel i, row by row, is Gaussian i in all of them except the palette's."""

from __future__ import annotations

import math

import numpy as np

from compressor.sog.codes import Codes, UInt8, UInt16

_PALETTE_COLUMNS = 64
MEANS = ("means_l.webp", "means_u.webp")
QUATS, SCALES, COLOURS = "quats.webp", "scales.webp", "sh0.webp"
PALETTE = ("shN_centroids.webp", "shN_labels.webp")


def image_size(count: int) -> tuple[int, int]:
    """Width and height, multiples of 4, of the nearly square image that holds `count` pixels."""
    width = math.ceil(math.sqrt(count) / 4) * 4
    return width, math.ceil(count / width / 4) * 4


def to_images(codes: Codes) -> dict[str, UInt8]:
    """Every image (H, W, 3 or 4) by file name."""
    images = {
        MEANS[0]: lay_out((codes.means & 255).astype(np.uint8)),
        MEANS[1]: lay_out((codes.means >> 8).astype(np.uint8)),
        QUATS: lay_out(codes.quats),
        SCALES: lay_out(codes.scales),
        COLOURS: lay_out(codes.colours),
    }
    if codes.palette is not None:
        images[PALETTE[0]] = palette_image(codes.palette.codes)
        images[PALETTE[1]] = labels_image(codes.palette.labels)
    return images


def labels_image(labels: UInt16) -> UInt8:
    """Image of the labels (N,): low byte in red, high byte in green."""
    pixels = np.zeros((len(labels), 3), dtype=np.uint8)
    pixels[:, 0], pixels[:, 1] = labels & 255, labels >> 8
    return lay_out(pixels)


def palette_image(codes: UInt8) -> UInt8:
    """Image of the palette (K, C, 3): 64 vectors per row, one pixel per coefficient."""
    rows = math.ceil(len(codes) / _PALETTE_COLUMNS)
    coefficients = codes.shape[1]
    grid = np.zeros((rows * _PALETTE_COLUMNS, coefficients, 3), dtype=np.uint8)
    grid[: len(codes)] = codes
    return grid.reshape(rows, _PALETTE_COLUMNS * coefficients, 3)


def pixels_of(image: UInt8, count: int, channels: int) -> UInt8:
    """The first `count` pixels (count, channels) of an image. Raises ValueError if it is smaller."""
    pixels = image.reshape(-1, 4)
    if len(pixels) < count:
        raise ValueError(f"an image of {len(pixels)} pixels for {count} Gaussians")
    return np.ascontiguousarray(pixels[:count, :channels])


def palette_from(centroids: UInt8, labels: UInt8, size: int, bands: int, count: int) -> tuple[UInt8, UInt16]:
    """Palette (size, C, 3) and labels (count,) from their images. Raises ValueError if they do not match."""
    coefficients = (bands + 1) ** 2 - 1
    rows = math.ceil(size / _PALETTE_COLUMNS)
    if centroids.shape[0] < rows or centroids.shape[1] != _PALETTE_COLUMNS * coefficients:
        raise ValueError(f"a palette image of {centroids.shape[1]} × {centroids.shape[0]} for {size} vectors")
    vectors = centroids[:rows, :, :3].reshape(-1, coefficients, 3)[:size]
    bytes_of = pixels_of(labels, count, 2).astype(np.uint16)
    found: UInt16 = np.bitwise_or(bytes_of[:, 0], bytes_of[:, 1] << 8, dtype=np.uint16)
    if found.size and int(found.max()) >= size:
        raise ValueError(f"label {int(found.max())} in a palette of {size}")
    return vectors, found


def lay_out(values: UInt8) -> UInt8:
    """Lay out pixels (N, C) row by row in an image (H, W, C); the last one fills the rest."""
    width, height = image_size(len(values))
    pixels = np.empty((width * height, values.shape[1]), dtype=np.uint8)
    pixels[: len(values)] = values
    pixels[len(values) :] = values[-1]
    return pixels.reshape(height, width, values.shape[1])
