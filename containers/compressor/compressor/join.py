"""Join the blocks of a large flight into one scene: their splats, already faded, and the coarse model around them.

The coarse model also provides the other data that the compressor reads: cameras and check photos of the entire flight,
horizon and sky, and place on Earth.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from compressor.deliver.merge import group_order, merged
from compressor.encode.encoder import arrange
from contract.blocks import BLOCKS_FILE, COARSE, BlockPlan, block_folder
from contract.ply import MAX_GAUSSIANS
from contract.warning_codes import WarningCode
from geo.boxes import along_axes, box_shares, hull_share
from splat.camera import read_views, write_views
from splat.errors import InvalidSceneError, InvalidSplatError
from splat.fading import with_shares
from splat.gaussians import Gaussians, joined, sound
from splat.joined_ply import join_plys, vertices_of
from splat.ply import read_stored_ply, write_ply
from stage.errors import ErrorCode, StageError
from stage.result import Warning

_SPLAT, _POINTS, _VIEWS, _RESULT = "scene.ply", "dense.ply", "views.json", "result.json"
_WHOLE, _AROUND = "whole.ply", "around.ply"
MAX_HELD = MAX_GAUSSIANS
"""The most Gaussians of a scene that are held in memory at once, at 1.2 GB per million."""
REDUCED = 10_000_000
"""The most Gaussians of the reduced scene that replaces a larger one in memory."""
_SLICE = 1 << 18  # Gaussians that are merged at a time


@dataclass(frozen=True)
class Joined:
    """`whole`: the PLY of all Gaussians. `parts`: if the scene is too large for memory, the PLYs that it consists of
    (first the one around the blocks); scene.ply then has fewer Gaussians in their place."""

    whole: Path
    parts: tuple[Path, ...]
    warnings: list[Warning]


def is_divided(folder: Path) -> bool:
    """Whether the input is a large flight's blocks rather than one splat."""
    return (folder / COARSE / _SPLAT).is_file()


def join_blocks(folder: Path, target: Path) -> Joined:
    """Write the scene to the new folder `target`, as a single training would have left it; the blocks are in `folder`.

    The coarse model takes the place of a missing block, with a warning. A scene of more than MAX_HELD Gaussians is
    reduced, one block after another. Raises StageError: INVALID_SCENE if there is no plan, INVALID_SPLAT if there is no
    block or one cannot be joined.
    """
    coarse = folder / COARSE
    try:
        plan = BlockPlan.from_json(json.loads((coarse / BLOCKS_FILE).read_bytes()))
    except (OSError, ValueError) as error:
        raise StageError(ErrorCode.INVALID_SCENE, f"{BLOCKS_FILE} cannot be read ({error})") from error
    present = [block for block in plan.blocks if (folder / block_folder(block.id) / _SPLAT).is_file()]
    if not present:
        raise StageError(ErrorCode.INVALID_SPLAT, f"none of {len(plan.blocks)} blocks was found")
    blocks = [folder / block_folder(block.id) for block in present]
    shutil.copytree(coarse, target, ignore=shutil.ignore_patterns(_SPLAT, _POINTS, _RESULT, str(BLOCKS_FILE)))
    around, whole, warnings = target / _AROUND, target / _SPLAT, list[Warning]()
    parts = (around, *(block / _SPLAT for block in blocks))
    try:
        if (target / _VIEWS).is_file():
            _enlarge_views(target / _VIEWS, [block / _VIEWS for block in blocks])
        _write_around(plan, [plan.blocks.index(block) for block in present], coarse / _SPLAT, around)
        count = join_plys(parts, whole)
        if count > MAX_HELD:
            whole = whole.rename(target / _WHOLE)
            left = _write_reduced(parts, target / _SPLAT)
            facts = f"{left:,} of {count:,} Gaussians; the streamed scene has all of them"
            warnings.append(Warning(WarningCode.SCENE_REDUCED, facts))
        else:
            around.unlink()
            parts = ()
        points = [block / _POINTS for block in blocks if (block / _POINTS).is_file()]
        if points:
            join_plys(points, target / _POINTS)
    except InvalidSplatError as error:
        raise StageError(ErrorCode.INVALID_SPLAT, str(error)) from error
    except InvalidSceneError as error:
        raise StageError(ErrorCode.INVALID_SCENE, str(error)) from error
    if (folder / _RESULT).is_file():  # the joint result of all trainings: seconds, exposures, scores
        shutil.copyfile(folder / _RESULT, target / _RESULT)
    missing = [str(block.id) for block in plan.blocks if block not in present]
    if missing:
        names = ", ".join(missing)
        facts = f"{len(missing)} of {len(plan.blocks)} blocks missing: {names}; the coarse model replaces them"
        warnings.append(Warning(WarningCode.BLOCK_MISSING, facts))
    return Joined(whole, parts, warnings)


def _enlarge_views(views: Path, of_blocks: Sequence[Path]) -> None:
    """Rewrite `views`, the coarse model's, with photos as large as blocks saw them: from their size the page takes the
    ground sampling distance, and the order in which it lists photos, held-out ones among them. The pictures of held-out
    photos keep the coarse model's size, at which they are compared (compressor.encode.quality).
    """
    coarse = {view.name: view for view in read_views(views)}
    ratios = [
        view.camera.fx / coarse[view.name].camera.fx
        for path in of_blocks
        if path.is_file()
        for view in read_views(path)
        if view.name in coarse
    ]
    if ratios:
        factor = float(np.median(ratios))
        write_views(views, [replace(view, camera=view.camera.scaled(factor)) for view in coarse.values()])


def _group(around: int, blocks: Sequence[int]) -> int:
    """How many neighbours become one Gaussian, so that no more than REDUCED are left of `blocks` with so many each,
    beside the `around` that stay as they are; the last group of a slice may be smaller."""
    slices = sum(-(-count // _SLICE) for count in blocks)
    return -(-sum(blocks) // max(1, REDUCED - around - slices))


def _write_reduced(parts: Sequence[Path], target: Path) -> int:
    """Write the splats of `parts` with one Gaussian for each group of neighbours of similar colour; returns their
    number.
    """
    around, *blocks = parts
    group = _group(vertices_of(around), [vertices_of(path) for path in blocks])
    reduced = [around]
    for number, path in enumerate(blocks):
        stored = read_stored_ply(path, centre=False)
        arranged = arrange(sound(stored.gaussians)[0])
        pieces = [
            _merged(arranged.select(np.arange(start, min(start + _SLICE, len(arranged)))), group)
            for start in range(0, len(arranged), _SLICE)
        ]
        reduced.append(target.with_name(f"reduced-{number}.ply"))
        write_ply(reduced[-1], joined(pieces), stored.marks)
    left = join_plys(reduced, target)
    for path in reduced[1:]:
        path.unlink()
    return left


def _merged(gaussians: Gaussians, group: int) -> Gaussians:
    return merged(gaussians.select(group_order(gaussians, group)), group)


def _write_around(plan: BlockPlan, present: Sequence[int], coarse: Path, target: Path) -> None:
    """Write the part of the coarse model that belongs to no block: beyond the hull, and in place of missing blocks."""
    stored = read_stored_ply(coarse, centre=False)
    places = along_axes(plan, stored.gaussians.means + np.array(stored.marks.offset))
    owned = hull_share(plan, places) * box_shares(plan, places)[list(present)].sum(axis=0)
    write_ply(target, with_shares(stored.gaussians, 1 - owned), stored.marks)
