"""Shared by all numba kernels: compiler options, and a writable cache folder that belongs to one state of the sources.

numba recompiles a cached kernel when its own file changes, but not when the options change, or a constant or helper in
another file. So each state of this package's sources has its own cache folder.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, cast

import numba
import numba.core.caching
import numpy as np

Scalar: TypeAlias = Any  # a float32 or an unsigned index inside a kernel, for which Python has no type
Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def cache_folder(package: Path, wanted: str, temporary: Path) -> Path:
    """The folder for the compiled kernels of `package`: below `wanted` (NUMBA_CACHE_DIR) if it is given, else in the
    package's `__pycache__` if that is writable, else below `temporary`.
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


caching: Any = numba.core.caching
config: Any = numba.config  # its attributes are created at import, so type checkers do not know them
config.CACHE_DIR = str(cache_folder(Path(__file__).parent, config.CACHE_DIR, Path(tempfile.gettempdir())))
# numba prefers TBB, which may or may not be installed, and whose threads were seen to spin forever when the process
# ended on a busy machine
config.THREADING_LAYER_PRIORITY = ["omp", "workqueue", "tbb"]


def _save(cache: Any, key: Any, data: Any) -> None:
    """Save a compiled kernel in a file of its own, and only then enter it into its index.

    numba numbers the files and enters them first. So two processes that compile a kernel for different types at the
    same time may write to one file, and a process that starts meanwhile loads what an older source left in it.
    """
    name = cache._load_index().get(key) or cache._data_name(uuid.uuid4().int)
    cache._save_data(name, data)
    cache._save_index({**cache._load_index(), key: name})


caching.IndexDataCacheFile.save = _save

# Arithmetic may be reordered and fused, which vectorisation needs; infinities and NaNs stay: kernels test for them.
_FAST_MATH = {"reassoc", "contract", "arcp", "nsz", "afn"}
# error_model numpy: a division by zero gives inf, as in numpy, without a branch to an exception at every division
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


# A bare Python float in a kernel is a float64 and would promote the arithmetic around it to float64.
ZERO = np.float32(0)
ONE = np.float32(1)
TWO = np.float32(2)
HALF = np.float32(0.5)
