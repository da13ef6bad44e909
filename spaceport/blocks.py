"""Train a large flight in blocks on this machine: the coarse model, one block after the other, one result of all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from contract.blocks import BLOCKS_FILE, COARSE, COARSE_CHANNEL, BlockPhoto, BlockPlan, photos_file
from contract.files import write_json
from contract.stages import Stage
from domain.blocks import COARSE_SHARE
from domain.joined_results import BlockResult, joined_result
from domain.layout import RESULT
from spaceport.stages import FinishedStage, Stages


def is_divided(scene: Path) -> bool:
    """Whether structure from motion has planned blocks for the scene that it left."""
    return (scene / BLOCKS_FILE).is_file()


def train_in_blocks(stages: Stages, scene: Path) -> FinishedStage:
    """Train the scene's coarse model and every block. The folder holds their outputs, and one result.

    Raises what `Stages.run` raises.
    """
    plan = BlockPlan.from_json(json.loads((scene / BLOCKS_FILE).read_bytes()))
    coarse = stages.run(Stage.TRAINING, scene, block=COARSE, span=(0.0, COARSE_SHARE))
    results, seconds, done = [], coarse.seconds, 0.0
    for block in plan.blocks:
        weight = 1 - done if block is plan.blocks[-1] else block.weight
        begin, end = (COARSE_SHARE + (1 - COARSE_SHARE) * share for share in (done, done + weight))
        behind = {COARSE_CHANNEL: coarse.folder}
        trained = stages.run(Stage.TRAINING, scene, behind, block=block.id, span=(begin, end))
        results.append(BlockResult(_read(trained.folder / RESULT), block.weight, _pixels(scene, block.id)))
        seconds, done = seconds + trained.seconds, done + weight
    folder = coarse.folder.parent
    files = [
        {"path": path.relative_to(folder).as_posix(), "bytes": path.stat().st_size}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    write_json(folder / RESULT, {**joined_result(_read(coarse.folder / RESULT), results), "files": files})
    return FinishedStage(coarse.run.model_copy(update={"block": None, "attempt": 1}), folder, seconds)


def _pixels(scene: Path, block: int) -> dict[str, int]:
    photos = [BlockPhoto.from_json(row) for row in json.loads((scene / photos_file(block)).read_bytes())]
    return {photo.name: photo.pixels for photo in photos}


def _read(path: Path) -> Any:
    return json.loads(path.read_bytes())
