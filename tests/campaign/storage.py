"""S3 in memory, and mail."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from tests.campaign.world import World
from tests.support.cloud import RESULTS, UPLOADS
from tests.support.fakes import aws_error
from tests.support.sam_template import Template


@dataclass(frozen=True)
class Version:
    number: int
    body: bytes
    metadata: Mapping[str, str]
    at: datetime

    @property
    def etag(self) -> str:
        return hashlib.md5(self.body, usedforsecurity=False).hexdigest()


class Storage:
    """Every version of every object; `None` marks a deletion. Objects expire as the template's lifecycles say."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._lifetimes = {UPLOADS: lifetimes("UploadsBucket"), RESULTS: lifetimes("ResultsBucket")}
        self.objects: dict[tuple[str, str], list[Version | None]] = {}
        self.unreadable: set[str] = set()  # ETags of objects encrypted with a key of the customer's

    def put_object(self, Bucket: str, Key: str, Body: bytes, Metadata: Any = None, **_: Any) -> dict[str, str]:
        versions = self.objects.setdefault((Bucket, Key), [])
        version = Version(len(versions) + 1, bytes(Body), Metadata or {}, self._world.at())
        versions.append(version)
        return {"VersionId": f"v{version.number}", "ETag": f'"{version.etag}"'}

    def delete_object(self, Bucket: str, Key: str) -> None:
        self.objects[Bucket, Key].append(None)

    def copy(
        self, CopySource: Mapping[str, str], Bucket: str, Key: str, ExtraArgs: Mapping[str, str], Config: Any = None
    ) -> None:
        found = self._find(CopySource["Bucket"], CopySource["Key"], CopySource.get("VersionId"), "404")
        if ExtraArgs["CopySourceIfMatch"].strip('"') != found.etag:
            raise aws_error("PreconditionFailed", "CopyObject")
        self.put_object(Bucket=Bucket, Key=Key, Body=found.body)

    def head_object(self, Bucket: str, Key: str, VersionId: str | None = None) -> dict[str, Any]:
        found = self._find(Bucket, Key, VersionId, "404")
        return {
            "ContentLength": len(found.body),
            "ETag": f'"{found.etag}"',
            "VersionId": f"v{found.number}",
            "LastModified": found.at,
            "Metadata": dict(found.metadata),
        }

    def get_object(
        self, Bucket: str, Key: str, Range: str = "", IfMatch: str = "", VersionId: str | None = None
    ) -> dict[str, Any]:
        found = self._find(Bucket, Key, VersionId, "NoSuchKey")
        if IfMatch and IfMatch.strip('"') != found.etag:
            raise aws_error("PreconditionFailed", "GetObject")
        if found.etag in self.unreadable:
            raise aws_error("AccessDenied", "GetObject")
        body = found.body
        if Range:
            first, last = Range.removeprefix("bytes=").split("-")
            body = body[int(first) : int(last) + 1]
        return {"Body": io.BytesIO(body)}

    def generate_presigned_url(self, _operation: str, Params: Mapping[str, str], ExpiresIn: int) -> str:
        return f"https://s3.test/{Params['Bucket']}/{Params['Key']}?expires={ExpiresIn}"

    def _find(self, bucket: str, key: str, version_id: str | None, code: str) -> Version:
        versions = self.objects.get((bucket, key), [])
        found = versions[-1] if versions else None
        if version_id is not None:
            found = next((one for one in versions if one and f"v{one.number}" == version_id), None)
        if found is None or self._expired(bucket, key, found):
            raise aws_error(code, "S3")
        return found

    def _expired(self, bucket: str, key: str, version: Version) -> bool:
        age = self._world.at() - version.at
        rules = self._lifetimes.get(bucket, {})
        return any(key.startswith(prefix) and age > timedelta(days=days) for prefix, days in rules.items())


@cache
def lifetimes(bucket: str) -> dict[str, int]:
    """Days by prefix, as template.yaml sets them for a bucket."""
    rules = Template.load().resources[bucket]["Properties"]["LifecycleConfiguration"]["Rules"]
    return {rule.get("Prefix", ""): rule["ExpirationInDays"] for rule in rules if "ExpirationInDays" in rule}


class Mail:
    """SES. `about`: the final events being handled, the innermost call last; `sent`: those whose mail was sent."""

    def __init__(self) -> None:
        self.about: list[tuple[str, str]] = []
        self.sent: list[tuple[str, str]] = []
        self.unrecorded = Counter[tuple[str, str]]()  # ends accepted by SES but not recorded: may be mailed again

    def send_email(self, **_: Any) -> dict[str, str]:
        self.sent.append(self.about[-1])
        return {"MessageId": f"mail-{len(self.sent)}"}
