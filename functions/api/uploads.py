"""Uploads directly into S3, in parts through signed links, which can be resumed after an interruption.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
"""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.header import Header
from typing import Any

from botocore.exceptions import ClientError

from api.caller import Caller
from api.models import PartLink, Upload, UploadRequest
from contract.codes import ErrorCode
from contract.counts import MAX_UPLOAD_BYTES
from contract.options import TEXTS
from domain.errors import RefusedRequest
from domain.job import OWNER_METADATA, UploadedObject

MIB = 1024 * 1024
MIN_PART_BYTES = 8 * MIB  # S3 accepts 5 MiB; fewer, larger parts need fewer round trips
MAX_PARTS = 10_000
MAX_LINKS = 100  # per answer
# names and values; S3 accepts 2 KB (https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html)
MAX_METADATA_BYTES = 2000
MAX_KEY_BYTES = 1024  # in UTF-8 (https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html)
LINK_SECONDS = 3600
_KEY = re.compile(r"users/[0-9a-f]{16}/[0-9a-f]{32}/(?P<bytes>[1-9][0-9]{0,11})/[^/]+", re.DOTALL | re.ASCII)
_GONE = ("NoSuchUpload", "404", "NoSuchKey")


@dataclass(frozen=True)
class Ticket:
    """The content of an uploadId. It is not encrypted: nothing in it is secret, and S3 checks all of it.

    S3 binds its upload to the key, and the key contains the number of bytes announced, so nobody can upload more.
    """

    key: str
    s3_upload: str

    @property
    def bytes(self) -> int:
        return int(_KEY.fullmatch(self.key)["bytes"])  # type: ignore[index]  # `decode` has checked it

    @property
    def part_bytes(self) -> int:
        return part_bytes_for(self.bytes)

    @property
    def part_count(self) -> int:
        return -(-self.bytes // self.part_bytes)

    def size_of(self, number: int) -> int:
        """Bytes of part `number`, counted from 1."""
        return min(self.part_bytes, self.bytes - (number - 1) * self.part_bytes)

    def encode(self) -> str:
        text = json.dumps([self.key, self.s3_upload], ensure_ascii=False)
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, upload_id: str) -> Ticket:
        """Raises RefusedRequest(NO_SUCH_UPLOAD) for anything that `encode` did not make."""
        try:
            padded = upload_id + "=" * (-len(upload_id) % 4)
            key, s3_upload = json.loads(base64.urlsafe_b64decode(padded))
            for word in (key, s3_upload):
                word.encode()
        except (ValueError, binascii.Error, TypeError, AttributeError, RecursionError):
            raise RefusedRequest(ErrorCode.NO_SUCH_UPLOAD) from None
        found = _KEY.fullmatch(key) if isinstance(key, str) and isinstance(s3_upload, str) else None
        if found is None or not 1 <= int(found["bytes"]) <= MAX_UPLOAD_BYTES:
            raise RefusedRequest(ErrorCode.NO_SUCH_UPLOAD)
        return cls(key, s3_upload)


def part_bytes_for(size: int) -> int:
    """The smallest part size, in whole MiB from 8 on, with which 10,000 parts hold `size` bytes."""
    return max(MIN_PART_BYTES, -(-size // MAX_PARTS // MIB) * MIB)


def metadata_of(request: UploadRequest, caller: Caller) -> dict[str, str]:
    """The object's metadata in ASCII, because it is sent as HTTP headers; other letters are encoded by RFC 2047, as S3
    itself does it. Mails go to the caller's verified address unless the request has an `email`; null means no mails.

    Raises RefusedRequest(INVALID_OPTION) if it is more than S3 keeps, which long texts of four-byte letters can be.
    """
    options = request.model_dump(by_alias=True, mode="json", exclude_none=True, exclude={"file_name", "bytes"})
    if caller.email and "email" not in request.model_fields_set:
        options["email"] = caller.email
    metadata = {name: _ascii(str(value)) for name, value in options.items()} | {OWNER_METADATA: caller.subject}
    if sum(len(name) + len(value) for name, value in metadata.items()) > MAX_METADATA_BYTES:
        raise RefusedRequest(
            ErrorCode.INVALID_OPTION, f"{', '.join(TEXTS)}: together too long for the upload's metadata"
        )
    return metadata


def _ascii(text: str) -> str:
    # text that looks like an encoded word is encoded too, as it would be decoded when read
    return text if text.isascii() and "=?" not in text else Header(text, "utf-8", maxlinelen=10_000).encode()


class Uploads:
    """`s3` is a boto3 client; `clock` returns the time in UTC."""

    def __init__(self, s3: Any, bucket: str, clock: Callable[[], datetime]) -> None:
        self._s3, self._bucket, self._clock = s3, bucket, clock

    def begin(self, request: UploadRequest, caller: Caller) -> Upload:
        """Begin an upload. Raises RefusedRequest: INVALID_OPTION, or INVALID_REQUEST for a name that is too long."""
        key = f"{caller.prefix}{uuid.uuid4().hex}/{request.bytes}/{request.file_name}"
        if len(key.encode()) > MAX_KEY_BYTES:
            raise RefusedRequest(ErrorCode.INVALID_REQUEST, "fileName: is too long")
        answer = self._s3.create_multipart_upload(
            Bucket=self._bucket, Key=key, Metadata=metadata_of(request, caller), ContentType="application/zip"
        )
        ticket = Ticket(key, answer["UploadId"])
        return self._state(ticket, {})

    def look(self, upload_id: str, caller: Caller) -> Upload:
        """The parts that have arrived, and links for the next missing ones. Raises RefusedRequest(NO_SUCH_UPLOAD)."""
        ticket = _own(upload_id, caller)
        return self._state(ticket, self._received(ticket))

    def complete(self, upload_id: str, caller: Caller) -> UploadedObject:
        """Combine the parts into one object; safe to repeat.

        Raises RefusedRequest: UPLOAD_INCOMPLETE, which names missing parts, or NO_SUCH_UPLOAD.
        """
        ticket = _own(upload_id, caller)
        try:
            received = self._received(ticket)
        except RefusedRequest:
            return self._completed(ticket)
        missing = [number for number in range(1, ticket.part_count + 1) if number not in received]
        if missing:
            some = ", ".join(map(str, missing[:10])) + (" …" if len(missing) > 10 else "")
            raise RefusedRequest(ErrorCode.UPLOAD_INCOMPLETE, f"{len(missing)} of {ticket.part_count}: {some}")
        self._s3.complete_multipart_upload(
            Bucket=self._bucket,
            Key=ticket.key,
            UploadId=ticket.s3_upload,
            MultipartUpload={"Parts": [{"PartNumber": n, "ETag": received[n]} for n in sorted(received)]},
        )
        return self._completed(ticket)

    def abandon(self, upload_id: str, caller: Caller) -> None:
        """Abort the upload, if it still exists. Raises RefusedRequest(NO_SUCH_UPLOAD) for somebody else's."""
        ticket = _own(upload_id, caller)
        try:
            self._s3.abort_multipart_upload(Bucket=self._bucket, Key=ticket.key, UploadId=ticket.s3_upload)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _GONE:
                raise

    def _completed(self, ticket: Ticket) -> UploadedObject:
        """The object that this or an earlier call has completed, as S3's event to start_job describes it."""
        try:
            head = self._s3.head_object(Bucket=self._bucket, Key=ticket.key)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _GONE:
                raise
            raise RefusedRequest(ErrorCode.NO_SUCH_UPLOAD) from None
        return UploadedObject(
            bucket=self._bucket, key=ticket.key, version_id=head.get("VersionId"), etag=head["ETag"].strip('"')
        )

    def _received(self, ticket: Ticket) -> dict[int, str]:
        """ETags of the parts that have arrived completely, by part number."""
        where = {"Bucket": self._bucket, "Key": ticket.key, "UploadId": ticket.s3_upload}
        found: dict[int, str] = {}
        marker = 0
        while True:
            try:
                answer = self._s3.list_parts(**where, PartNumberMarker=marker)
            except ClientError as error:
                if error.response["Error"]["Code"] not in _GONE:
                    raise
                raise RefusedRequest(ErrorCode.NO_SUCH_UPLOAD) from None
            for part in answer.get("Parts", []):
                number = part["PartNumber"]
                if number <= ticket.part_count and part["Size"] == ticket.size_of(number):
                    found[number] = part["ETag"]
            if not answer.get("IsTruncated"):
                return found
            marker = answer["NextPartNumberMarker"]

    def _state(self, ticket: Ticket, received: Mapping[int, str]) -> Upload:
        missing = (number for number in range(1, ticket.part_count + 1) if number not in received)
        next_ones = itertools.islice(missing, MAX_LINKS)
        return Upload(
            upload_id=ticket.encode(),
            bytes=ticket.bytes,
            part_bytes=ticket.part_bytes,
            part_count=ticket.part_count,
            received=sorted(received),
            links=[PartLink(number=number, url=self._link(ticket, number)) for number in next_ones],
            expires_at=self._clock() + timedelta(seconds=LINK_SECONDS),
        )

    def _link(self, ticket: Ticket, number: int) -> str:
        where = {
            "Bucket": self._bucket,
            "Key": ticket.key,
            "UploadId": ticket.s3_upload,
            "PartNumber": number,
            "ContentLength": ticket.size_of(number),  # signed: S3 refuses a part of another length
        }
        url: str = self._s3.generate_presigned_url("upload_part", Params=where, ExpiresIn=LINK_SECONDS)
        return url


def _own(upload_id: str, caller: Caller) -> Ticket:
    """Decode a ticket. Raises RefusedRequest(NO_SUCH_UPLOAD), also for somebody else's upload."""
    ticket = Ticket.decode(upload_id)
    if not ticket.key.startswith(caller.prefix):
        raise RefusedRequest(ErrorCode.NO_SUCH_UPLOAD)
    return ticket
