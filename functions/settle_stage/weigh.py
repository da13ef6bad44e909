"""What became of a large flight's training, from what became of its blocks. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from contract.blocks import COARSE, BlockName, BlockPlan, block_folder
from contract.codes import ErrorCode
from contract.stages import Stage
from contract.warning_codes import WARNINGS, WarningCode
from domain.errors import JobError
from domain.job import Camel
from domain.results import StageResult
from domain.stages import StageOutput

ENOUGH = 0.9  # of the blocks: where one is missing, the coarse model stands in its place
MOST = ("wallSeconds", "peakMemoryBytes")  # of the resources, those that machines side by side do not add up to
DEEPEST = ("steps",)  # of the counts, likewise


class BlockEnd(Camel):
    """What became of a block: its `output`, or the `error` that it was lost to, and what it has cost in vain."""

    block: int
    succeeded: bool
    output: StageOutput | None = None
    error: JobError | None = None
    cost: dict[str, float] = Field(default_factory=dict)


class WeighRequest(Camel):
    """`scene`: S3 folder of structure from motion's output, where the plan of the blocks is."""

    job_id: str
    scene: str
    coarse: StageOutput
    blocks: tuple[BlockEnd, ...]

    @property
    def kept(self) -> dict[int, StageOutput]:
        return {end.block: end.output for end in self.blocks if end.succeeded and end.output is not None}

    @property
    def lost(self) -> list[int]:
        return [end.block for end in self.blocks if end.block not in self.kept]


def failure_of(request: WeighRequest) -> JobError | None:
    """Why there are not enough blocks for a scene: what most of them were lost to. None where there are."""
    if len(request.kept) >= ENOUGH * len(request.blocks):
        return None
    codes = Counter(end.error.code if end.error else ErrorCode.INTERNAL for end in request.blocks if not end.succeeded)
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


def joined_result(
    request: WeighRequest, plan: BlockPlan, results: Mapping[BlockName, StageResult], folders: Mapping[BlockName, str]
) -> dict[str, Any]:
    """The result.json of the training that its blocks make up. `folders`: of each model, in the joined output.

    Counts add up. Figures are means by the blocks' shares; what is no figure of every block is the coarse model's, of
    the whole flight.
    """
    blocks = {block: result for block, result in results.items() if isinstance(block, int)}
    weights = {block: plan.block(block).weight for block in blocks}
    counts: Counter[str] = Counter()
    for result in blocks.values():
        for name, count in result.counts.items():
            counts[name] = max(counts[name], count) if name in DEEPEST else counts[name] + count
    return {
        "version": 1,
        "stage": Stage.TRAINING.value,
        "jobId": request.job_id,
        "attempt": 1,
        "counts": dict(counts),
        "metrics": _mean(results[COARSE].metrics, [(weights[k], result.metrics) for k, result in blocks.items()]),
        "timings": {},
        "resources": _resources(list(results.values())),
        "warnings": _warnings(request.lost, list(results.values())),
        "files": [
            {**file.model_dump(), "path": f"{folders[block]}/{file.path}"}
            for block, result in results.items()
            for file in result.files
        ],
    }


def folder_in_join(block: BlockName) -> str:
    """Of a model, in the join's input (contract/blocks.py)."""
    return COARSE if block == COARSE else str(block_folder(block))


def _mean(coarse: Mapping[str, Any], blocks: Sequence[tuple[float, Mapping[str, Any]]]) -> dict[str, Any]:
    total = sum(weight for weight, _ in blocks)
    figures = dict(coarse)
    for name in {name for _, metrics in blocks for name in metrics}:
        values = [metrics.get(name) for _, metrics in blocks]
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            mean = sum(weight * metrics[name] for weight, metrics in blocks) / total
            figures[name] = round(mean) if all(isinstance(value, int) for value in values) else mean
    return figures


def _resources(results: Sequence[StageResult]) -> dict[str, float]:
    names = {name for result in results for name in result.resources}
    used = {name: [result.resources.get(name, 0.0) for result in results] for name in sorted(names)}
    return {name: max(each) if name in MOST else sum(each) for name, each in used.items()}


def _warnings(lost: Sequence[int], results: Sequence[StageResult]) -> list[dict[str, Any]]:
    """Each code once."""
    found: dict[str, dict[str, Any]] = {}
    if lost:
        code = WarningCode.BLOCK_MISSING
        message = f"{WARNINGS[code].sentence} ({_listed(lost)})"
        found[code] = {"code": code.value, "message": message, "names": [str(block) for block in lost]}
    for result in results:
        for warning in result.warnings:
            found.setdefault(warning.code, warning.model_dump(mode="json"))
    return list(found.values())


def _listed(blocks: Sequence[int]) -> str:
    return ", ".join(map(str, blocks))
