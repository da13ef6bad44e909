"""Streamed SOG for scenes of millions: `lod-meta.json`, and unbundled SOGs of a part at a level of detail each.

https://developer.playcanvas.com/user-manual/gaussian-splatting/formats/streamed-sog/ A viewer picks a level for every
leaf of the tree and loads the files that hold them. Each part is encoded by itself, so memory does not grow with the
scene beyond the splat's own.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from compressor.deliver.merge import group_order, merged
from compressor.encode.arranged import Arranged, Sensitivity
from compressor.encode.encoder import Coarseness, quantise
from compressor.encode.harmonics import quantise_harmonics
from compressor.sog.codes import Float64
from compressor.sog.container import META, pack_files
from splat.gaussians import Gaussians
from splat.stored import Marks

LOD_META = "lod-meta.json"
_VERSION = 1
_GENERATOR = "spaceport"
_REACH = 3.0  # deviations of a Gaussian that its leaf's bounds hold
_MIN_PALETTE = 64
_COARSEST = 200_000  # Gaussians that every phone can draw


@dataclass(frozen=True)
class Layout:
    """How a scene is cut: Gaussians a leaf (a power of `group`, times whatever), leaves a file, and the levels."""

    leaf: int = 32768
    leaves_per_file: int = 8
    levels: int = 3
    group: int = 4  # Gaussians of a level that become one of the next

    @classmethod
    def of(cls, count: int) -> Layout:
        """Of a scene of `count` Gaussians: levels until the coarsest has so few that every device can draw it."""
        levels, left = 1, float(count)
        while left > _COARSEST:
            levels, left = levels + 1, left / cls.group
        return cls(levels=max(levels, cls.levels))


def write_streamed(
    folder: Path,
    arranged: Arranged,
    coarseness: Coarseness,
    layout: Layout,
    progress: Callable[[float], None],
    *,
    marks: Marks,
) -> None:
    """Write the scene below `folder` at a `coarseness`; `lod-meta.json` last. `progress` gets the share done."""
    count = len(arranged)
    starts = range(0, count, layout.leaf)
    leaves = [(start, min(start + layout.leaf, count)) for start in starts]
    filenames: list[str] = []
    nodes = [_bounds(arranged.gaussians, *leaf) for leaf in leaves]
    counts = [0] * layout.levels
    for level in range(layout.levels):
        # a coarser level's leaves are smaller: its files hold more of them
        per_file = layout.leaves_per_file * layout.group**level
        for number, first in enumerate(range(0, len(leaves), per_file)):
            chosen = range(first, min(first + per_file, len(leaves)))
            parts = [_at_level(_slice(arranged, *leaves[i]), level, layout.group) for i in chosen]
            offset = 0
            for i, part in zip(chosen, parts, strict=True):
                nodes[i]["lods"][str(level)] = {"file": len(filenames), "offset": offset, "count": len(part)}
                offset += len(part)
            counts[level] += offset
            name = f"{level}_{number}/{META}"
            filenames.append(name)
            _write_unit((folder / name).parent, _joined(parts), _share(coarseness, offset, count), marks)
            progress((level + (chosen.stop / len(leaves))) / layout.levels)
    meta = {
        "version": _VERSION,
        "asset": {"generator": _GENERATOR},
        "count": sum(counts),
        "counts": counts,
        "lodLevels": layout.levels,
        "filenames": filenames,
        "tree": _tree(nodes),
    }
    (folder / LOD_META).write_text(json.dumps(meta, separators=(",", ":")), encoding="utf-8")


def _slice(arranged: Arranged, start: int, end: int) -> Arranged:
    return arranged.select(np.arange(start, end))


def _at_level(part: Arranged, level: int, group: int) -> Arranged:
    for _ in range(level):
        part = part.select(group_order(part.gaussians, group))
        gaussians = merged(part.gaussians, group)
        starts = np.arange(0, len(part), group)
        part = Arranged(gaussians, _merged_sensitivity(part.sensitivity, starts))
    return part


def _merged_sensitivity(sensitivity: Sensitivity, starts: Any) -> Sensitivity:
    """The sensitivity of a merged Gaussian is the sum of its members'."""

    def total(values: Any) -> Any:
        return np.add.reduceat(values, starts, axis=0)

    return replace(
        sensitivity,
        outlines=total(sensitivity.outlines),
        correlations=np.zeros((len(starts), sensitivity.correlations.shape[1]), np.int8),
        colours=total(sensitivity.colours),
        directions=total(sensitivity.directions),
        seen=np.logical_or.reduceat(sensitivity.seen, starts),
    )


def _joined(parts: list[Arranged]) -> Arranged:
    def join(pieces: list[Any]) -> dict[str, Any]:
        values = [vars(piece) for piece in pieces]
        return {name: np.concatenate([value[name] for value in values]) for name in values[0] if name != "harmonics"}

    gaussians = Gaussians(**join([part.gaussians for part in parts]))
    whole = parts[0].sensitivity.harmonics
    return Arranged(gaussians, Sensitivity(**join([part.sensitivity for part in parts]), harmonics=whole))


def _share(coarseness: Coarseness, part: int, whole: int) -> Coarseness:
    """The same λ for a part of the scene, with its share of the palette."""
    size = coarseness.palette_size
    share = min(1.0, part / whole)
    return replace(coarseness, palette_size=max(_MIN_PALETTE, round(size * share)) if size else 0)


def _write_unit(folder: Path, part: Arranged, coarseness: Coarseness, marks: Marks) -> None:
    size, lambda_ = coarseness.palette_size, coarseness.label_lambda
    palette = quantise_harmonics(part.gaussians, part.sensitivity, size, lambda_) if size else None
    codes = quantise(part.gaussians, part.sensitivity, coarseness, palette)
    folder.mkdir(parents=True)
    for name, data in pack_files(codes, marks).items():
        (folder / name).write_bytes(data)


def _bounds(gaussians: Gaussians, start: int, end: int) -> dict[str, Any]:
    reach = _REACH * np.exp(gaussians.scales[start:end].astype(np.float64).max(axis=1))[:, None]
    low: Float64 = (gaussians.means[start:end] - reach).min(axis=0)
    high: Float64 = (gaussians.means[start:end] + reach).max(axis=0)
    return {"bound": {"min": _rounded(low), "max": _rounded(high)}, "lods": {}}


def _rounded(values: Float64) -> list[float]:
    return [float(f"{value:.7g}") for value in values]


def _tree(nodes: list[dict[str, Any]]) -> dict[str, Any]:
    """Halve the row of leaves, neighbours along the curve, until one is left."""
    if len(nodes) == 1:
        return nodes[0]
    middle = len(nodes) // 2
    children = [_tree(nodes[:middle]), _tree(nodes[middle:])]
    bounds = [child["bound"] for child in children]
    low = np.min([bound["min"] for bound in bounds], axis=0).tolist()
    high = np.max([bound["max"] for bound in bounds], axis=0).tolist()
    return {"bound": {"min": low, "max": high}, "children": children}
