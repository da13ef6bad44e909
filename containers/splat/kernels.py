"""What every numba kernel here shares: compiler options and a cache folder that fits the sources and can be written.

numba recompiles a cached kernel when its own file changes, but not when a constant or a helper from another file does,
nor when the options do. So the kernels of each state of this package have a cache folder of their own.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, cast

import numba
import numpy as np

Scalar: TypeAlias = Any  # a float32 or an unsigned index inside a kernel, for which Python has no type
Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def cache_folder(package: Path, wanted: str, temporary: Path) -> Path:
    """Where to cache the kernels of `package`: below `wanted` (NUMBA_CACHE_DIR) if that is given, else in the package's
    `__pycache__`, else, where that cannot be written, below `temporary`.
    """
    digest = hashlib.sha256()
    for source in sorted(package.glob("*.py")):
        digest.update(source.read_bytes())
    name = f"numba-{digest.hexdigest()[:16]}"
    if wanted:
        return Path(wanted) / name
    if os.access(package, os.W_OK):
        return package / "__pycache__" / name
    return temporary / f"spaceport-{os.getuid()}" / name


config: Any = numba.config  # its attributes are made at import, where no type checker sees them
config.CACHE_DIR = str(cache_folder(Path(__file__).parent, config.CACHE_DIR, Path(tempfile.gettempdir())))
# numba's own first choice, TBB, comes and goes with what else is installed, and its threads were seen to spin for ever
# when the process ended on a busy machine
config.THREADING_LAYER_PRIORITY = ["omp", "workqueue", "tbb"]

# Arithmetic may be reordered and fused, which vectors need; infinities and NaNs stay: kernels test for them.
_FAST_MATH = {"reassoc", "contract", "arcp", "nsz", "afn"}
# error_model numpy: a division by zero gives inf as in numpy instead of a branch and an exception at every division
_OPTIONS: dict[str, Any] = {"fastmath": _FAST_MATH, "error_model": "numpy", "cache": True, "boundscheck": False}


def kernel(function: Kernel) -> Kernel:
    """Compile a serial kernel."""
    return cast(Kernel, numba.njit(**_OPTIONS)(function))


def parallel_kernel(function: Kernel) -> Kernel:
    """Compile a kernel whose `prange` loops run on numba's threads."""
    return cast(Kernel, numba.njit(parallel=True, **_OPTIONS)(function))


def inlined(function: Kernel) -> Kernel:
    """Compile a helper into every kernel that calls it."""
    return cast(Kernel, numba.njit(inline="always", **_OPTIONS)(function))


# A bare Python float in a kernel is float64 and would drag the arithmetic with it.
ZERO = np.float32(0)
ONE = np.float32(1)
TWO = np.float32(2)
HALF = np.float32(0.5)
