"""The blocks of a large flight become one scene: their splats, faded already, and the coarse model around them.

What the compressor reads of a scene besides, it has from the coarse model: cameras and check photos of the whole
flight, horizon and sky, place.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from contract.blocks import BLOCKS_FILE, COARSE, BlockPlan, block_folder
from contract.warning_codes import WarningCode
from geo.boxes import along_axes, box_shares, hull_share
from splat.errors import InvalidSplatError
from splat.fading import with_shares
from splat.joined_ply import join_plys
from splat.ply import read_stored_ply, write_ply
from stage.errors import ErrorCode, StageError
from stage.result import Warning

_SPLAT, _POINTS, _RESULT = "scene.ply", "dense.ply", "result.json"


def is_divided(folder: Path) -> bool:
    """Whether the input is a large flight's blocks rather than one splat."""
    return (folder / COARSE / _SPLAT).is_file()


def join_blocks(folder: Path, target: Path) -> list[Warning]:
    """Write the scene in `target`, which is made, as one training would have left it; the blocks are below `folder`.

    A block that is not there is left to the coarse model. Returns a warning with the missing blocks, if any. Raises
    StageError: INVALID_SCENE where there is no plan, INVALID_SPLAT where no block is there or one cannot be joined.
    """
    coarse = folder / COARSE
    try:
        plan = BlockPlan.from_json(json.loads((coarse / BLOCKS_FILE).read_bytes()))
    except (OSError, ValueError) as error:
        raise StageError(ErrorCode.INVALID_SCENE, f"{BLOCKS_FILE} cannot be read ({error})") from error
    present = [block for block in plan.blocks if (folder / block_folder(block.id) / _SPLAT).is_file()]
    if not present:
        raise StageError(ErrorCode.INVALID_SPLAT, f"none of {len(plan.blocks)} blocks is there")
    blocks = [folder / block_folder(block.id) for block in present]
    shutil.copytree(coarse, target, ignore=shutil.ignore_patterns(_SPLAT, _POINTS, _RESULT, str(BLOCKS_FILE)))
    around = target / "around.ply"
    try:
        _write_around(plan, [plan.blocks.index(block) for block in present], coarse / _SPLAT, around)
        join_plys([around, *(block / _SPLAT for block in blocks)], target / _SPLAT)
        points = [block / _POINTS for block in blocks if (block / _POINTS).is_file()]
        if points:
            join_plys(points, target / _POINTS)
    except InvalidSplatError as error:
        raise StageError(ErrorCode.INVALID_SPLAT, str(error)) from error
    around.unlink()
    if (folder / _RESULT).is_file():  # of all trainings together: seconds, exposures, scores
        shutil.copyfile(folder / _RESULT, target / _RESULT)
    if len(present) == len(plan.blocks):
        return []
    missing = [str(block.id) for block in plan.blocks if block not in present]
    facts = f"{len(missing)} of {len(plan.blocks)} blocks missing: {', '.join(missing)}; the coarse model stands there"
    return [Warning(WarningCode.BLOCK_MISSING, facts)]


def _write_around(plan: BlockPlan, present: Sequence[int], coarse: Path, target: Path) -> None:
    """What of the coarse model no block owns: beyond the hull, and where a block is missing."""
    stored = read_stored_ply(coarse)
    places = along_axes(plan, stored.gaussians.means + np.array(stored.marks.offset))
    owned = hull_share(plan, places) * box_shares(plan, places)[list(present)].sum(axis=0)
    write_ply(target, with_shares(stored.gaussians, 1 - owned), stored.marks)
