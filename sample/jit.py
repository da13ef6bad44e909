"""Compile this package's kernels with numba, typed so that callers stay checked.

Kernels are strict IEEE (no fastmath): the same seed gives the same bytes. The compiled code is cached beside the
source; numba notices edits to a kernel's own file only, so clear `__pycache__` after editing a kernel that others call.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

prange = numba.prange
config: Any = numba.config  # its attributes are made at import, where no type checker sees them
# TBB last, as in splat/kernels.py: it may spin for ever at the end of a process
config.THREADING_LAYER_PRIORITY = ["omp", "workqueue", "tbb"]


def compiled(function: Kernel) -> Kernel:
    """Compile a scalar function or a serial loop."""
    return cast(Kernel, numba.njit(cache=True, error_model="numpy", nogil=True)(function))


def compiled_as(signature: str) -> Callable[[Kernel], Kernel]:
    """Compile a scalar function for one signature. Without it numba makes one copy for every literal seed it meets,
    which costs most of a minute before the first photo."""

    def compile_once(function: Kernel) -> Kernel:
        return cast(Kernel, numba.njit(signature, cache=True, error_model="numpy", nogil=True)(function))

    return compile_once


def compiled_parallel(function: Kernel) -> Kernel:
    """Compile a loop over `prange`; each iteration must write only its own cells."""
    return cast(Kernel, numba.njit(cache=True, error_model="numpy", nogil=True, parallel=True)(function))
