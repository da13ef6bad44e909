"""An S3 object of any size that is all zeros except for some pieces, read by ranges. It records what was read."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any, BinaryIO, cast

from domain.job import UploadedObject
from domain.ranged import RangedObject

UPLOADED = UploadedObject(bucket="uploads", key="meadow.zip", version_id="v1", etag="e1")


class SparseS3:
    """Only get_object, with a range. `tail`: the object's last bytes; `pieces`: others, by their start."""

    def __init__(self, size: int, tail: bytes = b"", pieces: Mapping[int, bytes] | None = None) -> None:
        self.size = size
        self._pieces = [*(pieces or {}).items(), (size - len(tail), tail)]
        self.requests: list[dict[str, Any]] = []
        self.fetched = 0

    def get_object(self, **request: Any) -> dict[str, Any]:
        self.requests.append(request)
        first, last = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)", request["Range"]).groups())  # type: ignore[union-attr]
        assert last < self.size
        self.fetched += last + 1 - first
        body = bytearray(last + 1 - first)
        for begin, piece in self._pieces:
            low, high = max(begin, first), min(begin + len(piece), last + 1)
            if low < high:
                body[low - first : high - first] = piece[low - begin : high - begin]
        return {"Body": io.BytesIO(body)}


def ranged(s3: SparseS3) -> BinaryIO:
    """The object as preflight reads it."""
    return cast(BinaryIO, RangedObject(s3, UPLOADED, s3.size))


def uploaded(body: bytes) -> BinaryIO:
    """An object with this content, as preflight reads it."""
    return ranged(SparseS3(len(body), body))
