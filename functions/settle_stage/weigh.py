"""Decide the outcome of a large flight's training from the outcomes of its blocks. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from contract.blocks import COARSE, BlockName, BlockPlan, block_folder
from contract.codes import ErrorCode
from domain.errors import JobError
from domain.job import Camel
from domain.joined_results import BlockResult, joined_result
from domain.results import StageResult
from domain.stages import StageOutput

ENOUGH = 0.9  # share of the work; the coarse model replaces missing blocks

Pixels = Mapping[str, int]  # size of the part of each photo that shows a block, by the photo's name


class BlockEnd(Camel):
    """The outcome of a block: its `output` if it was trained, otherwise the `error` that ended it and the `cost` of its
    attempts."""

    block: int
    output: StageOutput | None = None
    error: JobError | None = None
    cost: dict[str, float] = Field(default_factory=dict)


class WeighRequest(Camel):
    """`scene`: the S3 folder of structure from motion's output, which contains the plan of the blocks."""

    job_id: str
    scene: str
    coarse: StageOutput
    blocks: tuple[BlockEnd, ...] = Field(min_length=1)

    @property
    def kept(self) -> dict[int, StageOutput]:
        return {end.block: end.output for end in self.blocks if end.output is not None}

    @property
    def lost(self) -> list[int]:
        return [end.block for end in self.blocks if end.output is None]


def failure_of(request: WeighRequest, plan: BlockPlan) -> JobError | None:
    """Why there are not enough blocks for a scene: the most frequent error of the lost ones. None if the kept blocks
    hold enough of the flight's work."""
    if sum(plan.block(block).weight for block in request.kept) >= ENOUGH:
        return None
    lost = [end for end in request.blocks if end.output is None]
    codes = Counter(end.error.code if end.error else ErrorCode.INTERNAL for end in lost)
    ((code, _),) = codes.most_common(1)
    facts = f"{len(request.lost)} of {len(request.blocks)} blocks: {_listed(request.lost)}"
    return JobError.of(code, "" if code is ErrorCode.INTERNAL else facts)


def cost_of_all(request: WeighRequest) -> dict[str, float]:
    """Seconds and dollars of the coarse model and every attempt at every block; dollars only if all are known."""
    costs = [request.coarse.cost, *(end.output.cost if end.output else end.cost for end in request.blocks)]
    spent = [cost for cost in costs if cost.get("seconds")]
    total = {"seconds": round(sum(cost["seconds"] for cost in spent), 1)}
    if any("dollars" not in cost for cost in spent):
        return total
    return {**total, "dollars": round(sum(cost["dollars"] for cost in spent), 4)}


def result_of_all(
    request: WeighRequest, plan: BlockPlan, models: Mapping[BlockName, StageResult], pixels: Mapping[int, Pixels]
) -> dict[str, Any]:
    """The result.json of the training as a whole, from the kept models; its paths are those that the join expects.
    `pixels`: for each kept block, those of its photos."""
    blocks = [
        BlockResult(_json(model), plan.block(block).weight, pixels[block])
        for block, model in models.items()
        if isinstance(block, int)
    ]
    document = joined_result(_json(models[COARSE]), blocks)
    files = [
        {**file.model_dump(), "path": f"{folder_in_join(block)}/{file.path}"}
        for block, model in models.items()
        for file in model.files
    ]
    return {**document, "jobId": request.job_id, "files": files}


def folder_in_join(block: BlockName) -> str:
    """The folder of a model in the join's input (contract/blocks.py)."""
    return COARSE if block == COARSE else str(block_folder(block))


def _json(result: StageResult) -> dict[str, Any]:
    return result.model_dump(mode="json", by_alias=True)


def _listed(blocks: Sequence[int]) -> str:
    return ", ".join(map(str, blocks))
