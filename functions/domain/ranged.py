"""An S3 object as a seekable file that fetches only the ranges that are read."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from domain.job import UploadedObject
from domain.uploads import refused

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BLOCK_BYTES = 256 * 1024
# a longer list of files has far more entries than a job may have, and would need more memory than the function has
MAX_READ_BYTES = 16 * 1024**2
# of one object; all are kept in memory: 64 MiB, which S3 sends block by block in some ten seconds. The file decides how
# many places in it are read, and the function has one minute
MAX_BLOCKS = 256


class ReadTooLong(Exception):
    """A single read requested more than may be held in memory."""


class OutOfReach(Exception):
    """Answering needs more reading than preflight allows, or a library that it does not have."""


class RangedObject(io.RawIOBase):
    """Reads `size` bytes of one object version by ranged GETs of whole blocks, each fetched once.

    Raises botocore's ClientError for a version that is gone or was overwritten (If-Match fails), and UnreadableUpload
    for one that may not be read. A single read of more than MAX_READ_BYTES raises ReadTooLong before anything is
    fetched, even near the object's end; a read that needs more than MAX_BLOCKS blocks raises OutOfReach. An object that
    ends before `size` raises OSError.
    """

    def __init__(self, s3: Any, uploaded: UploadedObject, size: int) -> None:
        self._s3, self._uploaded, self._size = s3, uploaded, size
        self._position = 0
        self._blocks: dict[int, bytes] = {}

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError("seek before the start")
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int = -1) -> bytes:
        left = max(self._size - self._position, 0)
        wanted = left if size < 0 else size
        if wanted > MAX_READ_BYTES:
            raise ReadTooLong(f"{wanted} bytes at once")
        return super().read(min(wanted, left)) or b""

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill the buffer unless the object ends first: zipfile would treat a short read as a damaged archive."""
        view = memoryview(buffer).cast("B")
        wanted = min(len(view), max(self._size - self._position, 0))
        filled = 0
        while filled < wanted:
            index, offset = divmod(self._position, BLOCK_BYTES)
            chunk = self._block(index)[offset : offset + wanted - filled]
            if not chunk:
                raise OSError(f"the object ends at {self._position} of {self._size} bytes")
            view[filled : filled + len(chunk)] = chunk
            self._position += len(chunk)
            filled += len(chunk)
        return filled

    def _block(self, index: int) -> bytes:
        if index not in self._blocks:
            if len(self._blocks) == MAX_BLOCKS:
                raise OutOfReach
            first = index * BLOCK_BYTES
            last = min(first + BLOCK_BYTES, self._size) - 1
            version = {"VersionId": self._uploaded.version_id} if self._uploaded.version_id else {}
            try:
                response = self._s3.get_object(
                    Bucket=self._uploaded.bucket,
                    Key=self._uploaded.key,
                    Range=f"bytes={first}-{last}",
                    IfMatch=self._uploaded.etag,
                    **version,
                )
            except ClientError as error:
                raise refused(error) or error from error
            self._blocks[index] = response["Body"].read()
        return self._blocks[index]
