"""Weigh the blocks of a large flight, and gather their models where the join finds them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from contract.blocks import BLOCKS_FILE, COARSE, BlockName
from contract.stages import Stage
from domain.blocks import read_plan
from domain.job import UploadedObject
from domain.layout import RESULT, joined_uri, split_uri
from domain.results import DamagedResult, output_from, read_result
from domain.stages import StageOutput, StageRun
from domain.uploads import copy_of
from settle_stage.settle import Settlement
from settle_stage.weigh import WeighRequest, cost_of_all, failure_of, folder_in_join, joined_result

Each = Callable[[Callable[[tuple[str, str]], None], Iterable[tuple[str, str]]], Iterator[None]]


class Joiner:
    """`s3` is a boto3 client; `each` maps a function over copies, maybe several at a time. Safe to repeat."""

    def __init__(self, s3: Any, results_bucket: str, each: Each = map) -> None:
        self._s3, self._bucket, self._each = s3, results_bucket, each

    def weigh(self, request: WeighRequest) -> Settlement:
        """The outcome of the flight's training. Where it succeeded, its output holds every kept block's model, the
        coarse model and the plan (contract/blocks.py), and a result.json of all.

        A SageMaker job has ten inputs at most, and a flight may have forty blocks: S3 copies them into one folder.
        """
        error = failure_of(request)
        if error is None:
            try:
                output = self._gather(request)
            except DamagedResult as damaged:
                error = damaged.error
            else:
                return Settlement(stage=Stage.TRAINING, attempt=1, succeeded=True, output=output)
        return Settlement(stage=Stage.TRAINING, attempt=1, succeeded=False, error=error)

    def _gather(self, request: WeighRequest) -> StageOutput:
        target = joined_uri(request.job_id, self._bucket)
        models: dict[BlockName, StageOutput] = {COARSE: request.coarse}
        models.update(request.kept.items())
        plan = read_plan(self._s3, request.scene)
        results = {block: self._result_of(request.job_id, block, output) for block, output in models.items()}
        folders = {block: folder_in_join(block) for block in models}
        copies = [(f"{request.scene}/{BLOCKS_FILE}", f"{target}/{BLOCKS_FILE}")]
        for block, output in models.items():
            paths = [*(file.path for file in results[block].files), RESULT]
            copies += [(f"{output.output_uri}/{path}", f"{target}/{folders[block]}/{path}") for path in paths]
        for _ in self._each(self._copy, copies):
            pass
        document = joined_result(request, plan, results, folders)
        bucket, key = split_uri(f"{target}/{RESULT}")
        body = json.dumps(document, indent=2, ensure_ascii=False).encode()
        self._s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json")
        joined = read_result(
            self._s3, target, StageRun(job_id=request.job_id, stage=Stage.TRAINING, attempt=document["attempt"])
        )
        assert joined is not None, "it was written a moment ago"
        seconds = sum(output.seconds for output in models.values())
        return output_from(joined, target, round(seconds, 1), cost_of_all(request))

    def _result_of(self, job_id: str, block: BlockName, output: StageOutput) -> Any:
        run = StageRun(job_id=job_id, stage=output.stage, attempt=output.attempt, block=block)
        result = read_result(self._s3, output.output_uri, run)
        if result is None:
            raise DamagedResult(f"{folder_in_join(block)}: {RESULT} is gone")
        return result

    def _copy(self, pair: tuple[str, str]) -> None:
        source, target = pair
        bucket, key = split_uri(source)
        etag = self._s3.head_object(Bucket=bucket, Key=key)["ETag"]
        copied = copy_of(self._s3, UploadedObject(bucket=bucket, key=key, etag=etag, version_id=None), target)
        if not copied:
            raise DamagedResult(f"{key} is gone")
