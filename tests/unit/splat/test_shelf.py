"""Arrays on a shelf keep their values and use only memory that the operating system can reclaim."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from splat.shelf import Shelf

SMAPS = Path("/proc/self/smaps_rollup")
kinds = st.sampled_from([np.float32, np.float16, np.uint8, np.bool_, np.float64])
any_array = kinds.flatmap(lambda kind: arrays(kind, array_shapes(max_dims=3, max_side=9)))


@given(st.lists(any_array, max_size=12))
def test_every_array_keeps_its_kind_shape_and_values(given_arrays: list[NDArray[np.generic]]) -> None:
    shelf = Shelf(first_chunk=256)
    kept = [shelf.keep(values) for values in given_arrays]
    for values, place in zip(given_arrays, kept, strict=True):
        np.testing.assert_array_equal(values, place)
        assert place.dtype == values.dtype
        assert type(place) is np.ndarray, "numba compiles for it what it has compiled for others"
        assert place.flags.writeable
        assert place.flags.c_contiguous


def test_arrays_that_are_transposed_or_empty_are_kept_too() -> None:
    shelf = Shelf()
    upright = np.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(shelf.keep(upright.T), upright.T)
    assert shelf.keep(np.zeros((0, 3))).shape == (0, 3)


def test_the_arrays_outlive_their_shelf() -> None:
    kept = Shelf().keep(np.arange(1000))
    gc.collect()
    assert kept.sum() == 499_500


@pytest.mark.skipif(not SMAPS.exists(), reason="needs Linux's /proc")
def test_what_is_kept_is_no_memory_of_the_process() -> None:
    shelf, values = Shelf(), np.ones(1 << 23)  # 64 MiB
    before = anonymous()
    kept = [shelf.keep(values) for _ in range(4)]
    assert anonymous() - before < 16 << 20
    assert sum(float(each.sum()) for each in kept) == 4 * len(values)


def anonymous() -> int:
    """Bytes of this process that belong to no file."""
    (line,) = [line for line in SMAPS.read_text().splitlines() if line.startswith("Anonymous:")]
    return 1024 * int(line.split()[1])


def test_the_file_doubles_from_a_megabyte_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "shelf"
    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: path.open("w+b"))
    shelf, sizes = Shelf(), []
    for _ in range(12):  # of half a megabyte each
        shelf.keep(np.ones(1 << 16))
        sizes.append(path.stat().st_size >> 20)
    assert sizes == [1, 1, 2, 2, 4, 4, 4, 4, 8, 8, 8, 8]


def test_a_full_disk_is_an_error_and_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: open("/dev/full", "r+b", buffering=0))  # noqa: SIM115, PTH123
    with pytest.raises(OSError, match="No space left"):
        Shelf().keep(np.ones(10))
