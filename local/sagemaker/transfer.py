"""Copy between S3 and folders, interpreting prefixes as SageMaker does."""

from __future__ import annotations

import json
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


def split_uri(uri: str) -> tuple[str, str]:
    """Split an s3:// URI into bucket and key or prefix."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def check_key(uri: str) -> None:
    """Raise ValueError, in SageMaker's words, for a key that SageMaker does not transfer."""
    bucket, key = split_uri(uri)
    if "//" in key:
        raise ValueError(f"S3 key: s3://{bucket}/{key} has an illegal char sub-sequence '//' in it")


def local_name(key: str, prefix: str) -> str:
    """The path of an object below the folder to which `prefix` is copied.

    A prefix is a string, not a folder: `jobs/1` also matches `jobs/10/a`, which keeps what follows the last slash of
    the prefix. If the prefix is itself an object, the object keeps its name.
    """
    folder = prefix if prefix.endswith("/") or key.startswith(prefix + "/") else prefix[: prefix.rfind("/") + 1]
    return key[len(folder) :].lstrip("/")


def download_prefix(s3: Any, uri: str, folder: Path) -> int:
    """Copy every object whose key begins with the URI's prefix below `folder`; returns their number."""
    check_key(uri)
    bucket, prefix = split_uri(uri)
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            name = local_name(entry["Key"], prefix)
            if not name or name.endswith("/"):  # a console's marker of an empty folder
                continue
            check_key(f"s3://{bucket}/{entry['Key']}")
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            s3.download_file(bucket, entry["Key"], str(path))
            count += 1
    return count


def download_listed(s3: Any, uri: str, folder: Path) -> int:
    """Copy the objects named in the manifest at `uri` below `folder`, without their common prefix; returns their
    number.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_S3DataSource.html
    """
    bucket, key = split_uri(uri)
    common, *names = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    source, prefix = split_uri(common["prefix"])
    for name in names:
        check_key(f"s3://{source}/{prefix}{name}")
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        s3.download_file(source, prefix + name, str(path))
    return len(names)


def upload_folder(s3: Any, folder: Path, uri: str) -> int:
    """Copy every file below `folder` to keys below the URI; returns their number."""
    mirror = Mirror(s3, folder, uri)
    return mirror.sync()


def upload_archive(s3: Any, folder: Path, uri: str, scratch: Path) -> None:
    """Copy `folder` to the URI as one .tar.gz, packed in `scratch`."""
    bucket, key = split_uri(uri)
    archive = scratch / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, arcname=".")
    s3.upload_file(str(archive), bucket, key)
    archive.unlink()


@dataclass
class Mirror:
    """Keeps a prefix in S3 up to date with a folder, as SageMaker does with checkpoints: it adds, it never deletes."""

    s3: Any
    folder: Path
    uri: str
    _seen: dict[Path, tuple[int, int]] = field(default_factory=dict)

    def mark_known(self) -> None:
        """Regard the files that are in the folder now as already in S3."""
        self._seen = dict(self._states())

    def sync(self) -> int:
        """Upload what changed since the last time; returns the number of files."""
        bucket, prefix = split_uri(self.uri)
        count = 0
        for path, state in self._states():
            if self._seen.get(path) == state:
                continue
            key = "/".join(part for part in (prefix.rstrip("/"), path.relative_to(self.folder).as_posix()) if part)
            try:
                self.s3.upload_file(str(path), bucket, key)
            except FileNotFoundError:  # renamed or deleted by the container meanwhile
                continue
            self._seen[path] = state
            count += 1
        return count

    def _states(self) -> list[tuple[Path, tuple[int, int]]]:
        found = []
        for path in sorted(self.folder.rglob("*")):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            if path.is_file():
                found.append((path, (status.st_size, status.st_mtime_ns)))
        return found
