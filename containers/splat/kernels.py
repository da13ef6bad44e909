"""What every numba kernel here shares: compiler options and a cache folder that can be written.

numba keeps compiled kernels in `__pycache__` beside the source. Where that folder is read-only (a container image)
it wants `NUMBA_CACHE_DIR`; where nobody set that, a folder below the system's temporary one serves.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, cast

import numba
import numpy as np

Scalar: TypeAlias = Any  # a float32 or an unsigned index inside a kernel, for which Python has no type
Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def cache_folder(package: Path, wanted: str, temporary: Path) -> str:
    """Where numba should cache: `wanted` if given, "" for numba's own choice, else a folder below `temporary`."""
    if wanted or os.access(package, os.W_OK):
        return wanted
    return str(temporary / f"spaceport-numba-{os.getuid()}")


config: Any = numba.config  # its attributes are made at import, where no type checker sees them
config.CACHE_DIR = cache_folder(Path(__file__).parent, config.CACHE_DIR, Path(tempfile.gettempdir()))

# error_model numpy: a division by zero gives inf as in numpy instead of a branch and an exception at every division
_OPTIONS: dict[str, Any] = {"fastmath": True, "error_model": "numpy", "cache": True, "boundscheck": False}


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
