"""The environment variables of the local cloud's processes."""

from __future__ import annotations

from collections.abc import Mapping


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that the local cloud's processes inherit: the machine's settings, but no accounts or servers."""
    names = {"PATH", "HOME", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH"}
    libraries = ("OMP_", "MKL_", "OPENBLAS_", "NUMBA_", "TORCH_", "CUDA_", "NVIDIA_")
    return {name: value for name, value in environ.items() if name in names or name.startswith(libraries)}
