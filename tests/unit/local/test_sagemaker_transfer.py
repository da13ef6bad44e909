"""S3 prefixes as SageMaker reads them, and checkpoints, which are only ever added."""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from local.sagemaker.transfer import (
    Mirror,
    download_listed,
    download_prefix,
    local_name,
    split_uri,
    upload_archive,
    upload_folder,
)


@pytest.fixture
def s3() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y")
        client.create_bucket(Bucket="bucket")
        yield client


def files_below(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def keys(s3: Any) -> list[str]:
    return [entry["Key"] for entry in s3.list_objects_v2(Bucket="bucket").get("Contents", [])]


@pytest.mark.parametrize(
    ("key", "prefix", "name"),
    [
        ("photos.zip", "photos.zip", "photos.zip"),
        ("in/photos.zip", "in/photos.zip", "photos.zip"),
        ("jobs/1/a.txt", "jobs/1", "a.txt"),
        ("jobs/1/a.txt", "jobs/1/", "a.txt"),
        ("jobs/1/b/c.txt", "jobs/1", "b/c.txt"),
        ("jobs/10/a.txt", "jobs/1", "10/a.txt"),
        ("a.txt", "", "a.txt"),
    ],
)
def test_where_an_object_lies(key: str, prefix: str, name: str) -> None:
    assert local_name(key, prefix) == name


@given(st.lists(st.sampled_from(["a", "b", "ab", "1"]), min_size=1, max_size=5).map("/".join), st.data())
def test_no_object_lies_outside_its_folder(key: str, data: st.DataObject) -> None:
    prefix = key[: data.draw(st.integers(0, len(key)))]
    name = local_name(key, prefix)
    assert name
    assert key.endswith(name)
    assert not name.startswith("/")


def test_a_prefix_is_a_string_and_not_a_folder(s3: Any, tmp_path: Path) -> None:
    for key in ("jobs/1/a.txt", "jobs/1/", "jobs/10/a.txt", "jobs/2/a.txt"):
        s3.put_object(Bucket="bucket", Key=key, Body=key.encode())
    assert download_prefix(s3, "s3://bucket/jobs/1", tmp_path / "loose") == 2
    assert files_below(tmp_path / "loose") == {"a.txt": "jobs/1/a.txt", "10/a.txt": "jobs/10/a.txt"}
    assert download_prefix(s3, "s3://bucket/jobs/1/", tmp_path / "strict") == 1
    assert download_prefix(s3, "s3://bucket/nothing", tmp_path / "none") == 0


def test_a_folder_comes_back_as_it_went(s3: Any, tmp_path: Path) -> None:
    (tmp_path / "in/deep").mkdir(parents=True)
    (tmp_path / "in/deep/b.txt").write_text("b")
    (tmp_path / "in/a.txt").write_text("a")
    assert upload_folder(s3, tmp_path / "in", "s3://bucket/out/") == 2
    assert keys(s3) == ["out/a.txt", "out/deep/b.txt"]
    download_prefix(s3, "s3://bucket/out", tmp_path / "back")
    assert files_below(tmp_path / "back") == {"a.txt": "a", "deep/b.txt": "b"}


def test_the_bucket_itself_can_be_the_prefix(s3: Any, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    upload_folder(s3, tmp_path, "s3://bucket")
    assert keys(s3) == ["a.txt"]
    assert split_uri("s3://bucket") == ("bucket", "")


def test_an_archive_holds_the_folder(s3: Any, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/scene.ply").write_text("ply")
    upload_archive(s3, tmp_path / "model", "s3://bucket/out/model.tar.gz", tmp_path)
    s3.download_file("bucket", "out/model.tar.gz", str(tmp_path / "back.tar.gz"))
    with tarfile.open(tmp_path / "back.tar.gz") as archive:
        member = archive.extractfile("./scene.ply")
        assert member is not None
        assert member.read() == b"ply"


def test_a_mirror_copies_what_is_new_or_changed_and_deletes_nothing(s3: Any, tmp_path: Path) -> None:
    (tmp_path / "old.ckpt").write_text("from an attempt before")
    mirror = Mirror(s3, tmp_path, "s3://bucket/checkpoints")
    mirror.mark_known()
    assert mirror.sync() == 0
    (tmp_path / "100.ckpt").write_text("100")
    assert mirror.sync() == 1
    assert mirror.sync() == 0
    (tmp_path / "100.ckpt").write_text("100, longer")
    (tmp_path / "200.ckpt").write_text("200")
    assert mirror.sync() == 2
    (tmp_path / "100.ckpt").unlink()
    assert mirror.sync() == 0
    assert keys(s3) == ["checkpoints/100.ckpt", "checkpoints/200.ckpt"]


def test_what_a_manifest_lists_is_copied_and_nothing_that_begins_like_it(s3: Any, tmp_path: Path) -> None:
    for key in ("flights/a.zip", "flights/a.zip.bak", "flights/b.zip"):
        s3.put_object(Bucket="bucket", Key=key, Body=key.encode())
    listed = [{"prefix": "s3://bucket/flights/"}, "a.zip"]
    s3.put_object(Bucket="bucket", Key="list.manifest", Body=json.dumps(listed).encode())
    assert download_listed(s3, "s3://bucket/list.manifest", tmp_path) == 1
    assert files_below(tmp_path) == {"a.zip": "flights/a.zip"}
