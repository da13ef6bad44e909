"""Greyscale pictures of more than 8 bits: stretched by the plain formula, with a limited amount of memory."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from stage.pictures import shown_in, to_rgb

SIDE = 2000  # four million pixels: several bands of rows


def grey(kind: str) -> Image.Image:
    values: NDArray[Any] = np.random.default_rng(3).integers(0, 40_000, (SIDE, SIDE))
    values[:3] = 0  # one whole band differs from the others
    return Image.fromarray(values.astype({"I;16": np.uint16, "I": np.int32, "F": np.float32}[kind]))


@pytest.mark.parametrize("kind", ["I;16", "I", "F"])
def test_a_grey_is_stretched_over_its_own_range(kind: str) -> None:
    picture = grey(kind)
    values = np.asarray(picture, np.float64)
    low, high = np.percentile(values, (0.1, 99.9))
    twin = np.clip((values - low) / (high - low) * 255, 0, 255).astype(np.uint8)
    assert picture.mode == kind
    assert np.array_equal(np.asarray(to_rgb(picture))[..., 0], twin)


def test_a_grey_is_stretched_over_what_is_a_number_in_it() -> None:
    """Thermal programs write NaN where a picture was cropped or not measured."""
    values = np.asarray(grey("F")).copy()
    values[:300] = np.nan
    values[300:310] = np.inf
    found = np.asarray(to_rgb(Image.fromarray(values)))[..., 0]
    low, high = np.percentile(values[310:], (0.1, 99.9))
    twin = np.clip((values[310:].astype(np.float64) - low) / (high - low) * 255, 0, 255).astype(np.uint8)
    assert np.array_equal(found[310:], twin)
    assert set(np.unique(found[:310])) == {0, 255}
    assert not np.asarray(to_rgb(Image.fromarray(np.full((4, 4), np.nan, np.float32)))).any()


@pytest.mark.parametrize("kind", ["I;16", "F"])
def test_a_mask_is_read_in_its_own_range(kind: str) -> None:
    values = np.asarray(grey(kind), np.float64)
    assert np.array_equal(shown_in(grey(kind)), values * (255 / values.max()) >= 128)


@pytest.mark.parametrize(("kind", "most"), [("I;16", 16), ("I", 20), ("F", 20)])
def test_a_large_grey_takes_a_few_bytes_a_pixel(kind: str, most: float) -> None:
    """For pictures of 250 megapixels, eight at a time: as float64, they took 32 bytes per pixel, 64 GB in total."""
    picture = grey(kind)
    tracemalloc.start()
    to_rgb(picture)
    shown_in(picture)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak / SIDE**2 < most
