"""Sixteen lanes at once give what numpy computes element by element."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from splat.gaussians import Float32
from splat.kernels import parallel_kernel
from splat.lanes import LANES, bits, broadcast, greatest, lane_numbers, least, load, mask_of, select, store, total

numbers = st.floats(-1e3, 1e3, width=32)
rows = arrays(np.float32, LANES, elements=numbers)
HALF = np.float32(0.5)


Kernel = TypeVar("Kernel", bound=Callable[..., None])


def compiled(kernel: Kernel) -> Kernel:
    """Compiled by numba with the function's own type, but, unlike the project's kernels, not cached on disk."""
    made: Kernel = cast(Callable[[Kernel], Kernel], numba.njit)(kernel)
    return made


@parallel_kernel
def arithmetic(a: Float32, b: Float32, x: np.float32, out: Float32) -> None:
    for _ in numba.prange(1):
        p, q = load(a, 0), load(b, 0)
        s = broadcast(x)
        s += p - q
        store(out, 0, s)
        store(out, 16, p * q + lane_numbers())
        store(out, 32, p / (x * x + HALF) - x)
        store(out, 48, select(mask_of(bits(p < q) & bits(p >= x)), p, x))
        store(out, 64, select(mask_of(bits(p > q) & ~bits(p > x)), least(p, x), greatest(q, x)))
        out[80] = total(p)
        out[81] = np.float32(bits(p > q))


@settings(deadline=None)  # compiled at the first call
@given(a=rows, b=rows, number=numbers)
def test_lanes_agree_with_numpy(a: Float32, b: Float32, number: float) -> None:
    x = np.float32(number)
    out = np.empty(82, np.float32)
    arithmetic(a, b, x, out)
    wanted = np.concatenate(
        [
            x + (a - b),
            a * b + np.arange(LANES, dtype=np.float32),
            a / (x * x + HALF) - x,
            np.where((a < b) & (a >= x), a, x),
            np.where((a > b) & (a <= x), np.minimum(a, x), np.maximum(b, x)),
            [a.astype(np.float64).sum(), ((a > b) << np.arange(LANES)).sum()],
        ]
    )
    np.testing.assert_allclose(out, wanted, rtol=3e-6, atol=2e-3)  # products may be fused into sums


def test_loads_and_stores_need_no_alignment() -> None:
    source, target = np.arange(40, dtype=np.float32), np.zeros(40, np.float32)

    @compiled
    def shifted(a: Float32, b: Float32) -> None:
        store(b, 5, load(a, 3))

    shifted(source, target)
    np.testing.assert_array_equal(target[5:21], source[3:19])
    assert target[:5].sum() == target[21:].sum() == 0
