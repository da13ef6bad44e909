"""Gather what the stages left into one folder, by the pipeline's own delivery: the same names, the same report."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from contract.stages import Stage
from deliver.deliver import Deliverer, DeliverRequest
from domain.job import Job
from domain.layout import split_uri
from domain.results import output_from, read_result
from local.folders import move
from spaceport.stages import FinishedStage

BUCKET = "run"


class FolderStore:
    """The two calls of S3 that delivery makes, on a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        """Raises ClientError(NoSuchKey), as S3 does."""
        assert Bucket == BUCKET
        try:
            return {"Body": io.BytesIO((self._folder / Key).read_bytes())}
        except FileNotFoundError as error:
            raise ClientError({"Error": {"Code": "NoSuchKey", "Message": Key}}, "GetObject") from error

    def put_object(self, Bucket: str, Key: str, Body: bytes, ContentType: str) -> None:
        assert Bucket == BUCKET
        assert ContentType
        path = self._folder / Key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(Body)


@dataclass(frozen=True)
class Delivered:
    """The names of the delivered files, and the figures of the job's end."""

    names: list[str]
    metrics: dict[str, Any]


def deliver(job: Job, work: Path, finished: Sequence[FinishedStage], folder: Path) -> Delivered:
    """Write the report and move the delivered files from `work` to `folder`, which must not exist yet or be empty.

    Raises OSError; `folder` then is not there, or not whole.
    """
    store = FolderStore(work)
    stages: dict[Stage, Any] = {}
    for done in finished:
        uri = f"s3://{BUCKET}/{done.folder.relative_to(work).as_posix()}"
        result = read_result(store, uri, done.run)
        assert result is not None  # a stage that ended with code 0 has written one
        stages[done.run.stage] = output_from(result, uri, done.seconds, {"seconds": round(done.seconds, 1)})
    request = DeliverRequest(
        **job.model_dump(),
        stages={stage.state_key: output.model_dump(by_alias=True, mode="json") for stage, output in stages.items()},
    )
    delivery = Deliverer(store, BUCKET).deliver(request)
    partial = work / "delivered"
    for name, uri in delivery.outputs.items():
        target = partial / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (work / split_uri(uri)[1]).rename(target)
    move(partial, folder)
    return Delivered(sorted(delivery.outputs), delivery.metrics)
