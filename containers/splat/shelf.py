"""Arrays that lie in a file instead of in memory, of which the operating system keeps what there is room for."""

from __future__ import annotations

import tempfile
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)
_ALIGNMENT = 64  # bytes: a cache line
# bytes that are mapped at once: as many again as there are, so that a small scene writes little and a large one needs
# few of the 65,000 mappings that a process may have
_FIRST_CHUNK, _MAX_CHUNK = 1 << 20, 64 << 20


class Shelf:
    """Takes arrays and gives them back as arrays in a nameless file below the temporary folder.

    The file lives as long as any of its arrays. It grows by chunks that are written before they are mapped, so that a
    full disk is an OSError and not the end of the process.
    """

    def __init__(self, first_chunk: int = _FIRST_CHUNK) -> None:
        """`first_chunk`: bytes that the file grows by at first."""
        self._file = tempfile.TemporaryFile(prefix="spaceport-")  # noqa: SIM115  lives as long as its mappings
        self._bytes, self._first_chunk = 0, first_chunk
        self._free: NDArray[np.uint8] = np.zeros(0, np.uint8)

    def keep(self, values: NDArray[Number]) -> NDArray[Number]:
        """A writable copy of `values` in the file, in C order. Raises OSError where the disk is full."""
        if values.nbytes > len(self._free):
            self._grow(max(min(self._bytes or self._first_chunk, _MAX_CHUNK), values.nbytes))
        place: NDArray[Any] = self._free[: values.nbytes].view(values.dtype).reshape(values.shape)
        place[...] = values
        self._free = self._free[-(-values.nbytes // _ALIGNMENT) * _ALIGNMENT :]
        return place

    def _grow(self, size: int) -> None:
        self._file.seek(self._bytes)
        self._file.write(bytes(size))
        self._file.flush()
        mapped = np.memmap(self._file, np.uint8, "r+", self._bytes, (size,))
        self._free = np.asarray(mapped)
        self._bytes += size
