"""Decide whether enough blocks of a large flight were trained, and gather their models for the join."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from contract.blocks import COARSE, JOINED_FILES, BlockName, BlockPlan
from contract.stages import Stage
from domain.blocks import read_block_photos, read_plan
from domain.copying import head_object, managed_copy
from domain.layout import RESULT, joined_uri, split_uri
from domain.results import DamagedResult, StageResult, output_from, read_result
from domain.stages import StageOutput, StageRun
from settle_stage.settle import Settlement
from settle_stage.weigh import Pixels, WeighRequest, cost_of_all, failure_of, folder_in_join, result_of_all

Each = Callable[[Callable[[tuple[str, str]], None], Iterable[tuple[str, str]]], Iterator[None]]


def _as_joined(block: BlockName, result: StageResult) -> StageResult:
    """The result with only those of its files that the join reads."""
    return result.model_copy(update={"files": [file for file in result.files if _is_joined(block, file.path)]})


def _is_joined(block: BlockName, path: str) -> bool:
    return path != "dense.ply" if block == COARSE else path in JOINED_FILES


class Joiner:
    """`s3` is a boto3 client; `each` maps a function over copies, possibly in parallel. Safe to repeat."""

    def __init__(self, s3: Any, results_bucket: str, each: Each = map) -> None:
        self._s3, self._bucket, self._each = s3, results_bucket, each

    def weigh(self, request: WeighRequest) -> Settlement:
        """The outcome of the flight's training. If it succeeded, its output holds the files of every kept block that
        the join reads, the coarse model (contract/blocks.py), and a result.json for all.

        They are copied into one folder, because a SageMaker job has at most ten inputs, and a flight up to forty
        blocks.
        """
        output: StageOutput | None = None
        try:
            plan = read_plan(self._s3, request.scene)
            error = failure_of(request, plan)
            if error is None:
                output = self._gather(request, plan)
        except DamagedResult as damaged:
            error = damaged.error
        return Settlement(stage=Stage.TRAINING, attempt=1, succeeded=output is not None, output=output, error=error)

    def _gather(self, request: WeighRequest, plan: BlockPlan) -> StageOutput:
        target = joined_uri(request.job_id, self._bucket)
        outputs: dict[BlockName, StageOutput] = {COARSE: request.coarse}
        outputs.update(request.kept.items())
        models = {block: self._result_of(request.job_id, block, output) for block, output in outputs.items()}
        pixels = {block: self._pixels(request.scene, block) for block in request.kept}
        copies = [
            (f"{output.output_uri}/{path}", f"{target}/{folder_in_join(block)}/{path}")
            for block, output in outputs.items()
            for path in (RESULT, *(file.path for file in models[block].files))
        ]
        for _ in self._each(self._copy, copies):
            pass
        document = result_of_all(request, plan, models, pixels)
        bucket, key = split_uri(f"{target}/{RESULT}")
        body = json.dumps(document, indent=2, ensure_ascii=False).encode()
        self._s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json")
        seconds = round(sum(output.seconds for output in outputs.values()), 1)
        return output_from(StageResult.model_validate(document), target, seconds, cost_of_all(request))

    def _result_of(self, job_id: str, block: BlockName, output: StageOutput) -> StageResult:
        run = StageRun(job_id=job_id, stage=output.stage, attempt=output.attempt, block=block)
        result = read_result(self._s3, output.output_uri, run)
        if result is None:
            raise DamagedResult(f"{folder_in_join(block)}: {RESULT} is gone")
        return _as_joined(block, result)

    def _pixels(self, scene: str, block: int) -> Pixels:
        return {photo.name: photo.pixels for photo in read_block_photos(self._s3, scene, block)}

    def _copy(self, pair: tuple[str, str]) -> None:
        source, target = pair
        bucket, key = split_uri(source)
        head = head_object(self._s3, Bucket=bucket, Key=key)
        if head is None or not managed_copy(self._s3, {"Bucket": bucket, "Key": key}, head["ETag"], target):
            raise DamagedResult(f"{key} is gone")
