"""Write streamed SOG for scenes of millions of Gaussians: `lod-meta.json`, and a bundled SOG per part and level of
detail.

https://developer.playcanvas.com/user-manual/gaussian-splatting/formats/streamed-sog/ A viewer selects a level for every
leaf of the tree and loads the files that contain them, with one request per file, whose URL can be signed. Each file is
encoded separately, so that no more memory is needed than for the splat itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compressor.deliver.environment import MAX_ENVIRONMENT
from compressor.deliver.merge import contrast_of, group_order, merge_error, merged
from compressor.encode.arranged import Arranged, Sensitivity
from compressor.encode.encoder import Coarseness, quantise
from compressor.encode.harmonics import quantise_harmonics
from compressor.sog.codes import Float64
from compressor.sog.container import pack_files, zip_files
from splat.gaussians import Gaussians
from splat.stored import Marks

LOD_META = "lod-meta.json"  # viewers recognise the format by this name
ENVIRONMENT = "environment.sog"
THUMBNAILS = "thumbnails.bin"
_VERSION = 1
_GENERATOR = "spaceport"
_REACH = 3.0  # deviations of a Gaussian that are within its leaf's bounds
_MIN_PALETTE = 64
_COARSEST = 200_000  # a number of Gaussians that every phone can draw


@dataclass(frozen=True)
class Layout:
    """How a scene is divided: Gaussians per leaf (a multiple of a power of `group`), leaves per file, and levels."""

    leaf: int = 32768
    leaves_per_file: int = 8
    levels: int = 3
    group: int = 4  # Gaussians of a level that become one of the next

    @classmethod
    def of(cls, count: int) -> Layout:
        """The layout for a scene of `count` Gaussians, with enough levels that every device can draw the coarsest."""
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
    environment: NDArray[np.bool_] | None = None,
    thumbnails: bytes = b"",
) -> None:
    """Write the scene below `folder`, which is created, with the given `coarseness`; `lod-meta.json` is written last.

    `environment` (N,): Gaussians that are kept separate, at most MAX_ENVIRONMENT after merging. `thumbnails`: those of
    the photos, which our page loads when a point is first measured. `progress` receives the share done, 0..1.
    """
    folder.mkdir(parents=True, exist_ok=True)
    count = len(arranged)
    if environment is not None and environment.any():
        write_environment(folder, arranged.select(environment), coarseness, layout, count, marks)
        arranged = arranged.select(~environment)
    part = write_part(folder, arranged, coarseness, layout, progress, whole=count, marks=marks)
    write_meta(folder, [part], thumbnails)


def write_environment(
    folder: Path, apart: Arranged, coarseness: Coarseness, layout: Layout, whole: int, marks: Marks
) -> None:
    """Write the environment, merged to at most MAX_ENVIRONMENT Gaussians; `whole`: the number in the scene."""
    while len(apart) > MAX_ENVIRONMENT:
        apart, _ = _coarser(apart, layout.group, 0.0)
    _write_unit(folder / ENVIRONMENT, apart, _share(coarseness, len(apart), whole), marks)


@dataclass(frozen=True)
class Part:
    """A written part of a scene: its number of Gaussians by level, its file names, and its tree."""

    counts: list[int]
    filenames: list[str]
    tree: dict[str, Any]


def write_part(
    folder: Path,
    arranged: Arranged,
    coarseness: Coarseness,
    layout: Layout,
    progress: Callable[[float], None],
    *,
    whole: int,
    marks: Marks,
    before: Sequence[Part] = (),
) -> Part:
    """Write a part of a scene of `whole` Gaussians, after the parts `before`; all parts have the same layout."""
    filenames: list[str] = []
    first_file = sum(len(part.filenames) for part in before)
    starts = range(0, len(arranged), layout.leaf)
    leaves = [(start, min(start + layout.leaf, len(arranged))) for start in starts]
    nodes = [_bounds(arranged.gaussians, *leaf) for leaf in leaves]
    counts = [0] * layout.levels
    for level in range(layout.levels):
        # leaves of coarser levels are smaller, so their files contain more leaves
        per_file = layout.leaves_per_file * layout.group**level
        for number, first in enumerate(range(0, len(leaves), per_file)):
            chosen = range(first, min(first + per_file, len(leaves)))
            parts = []
            offset = 0
            for i in chosen:
                part, error = _at_level(_slice(arranged, *leaves[i]), level, layout.group)
                file = first_file + len(filenames)
                nodes[i]["lods"][str(level)] = {"file": file, "offset": offset, "count": len(part)}
                nodes[i]["errors"].append(float(f"{error:.7g}"))
                parts.append(part)
                offset += len(part)
            counts[level] += offset
            filenames.append(f"{level}_{number}.sog" if not before else f"{len(before)}_{level}_{number}.sog")
            _write_unit(folder / filenames[-1], _joined(parts), _share(coarseness, offset, whole), marks)
            progress((level + (chosen.stop / len(leaves))) / layout.levels)
    return Part(counts, filenames, _tree(nodes))


def write_meta(folder: Path, parts: Sequence[Part], thumbnails: bytes = b"") -> None:
    """Write lod-meta.json for all parts, after their files. `thumbnails`: those of the photos."""
    if thumbnails:
        (folder / THUMBNAILS).write_bytes(thumbnails)
    counts = np.sum([part.counts for part in parts], axis=0).tolist()
    meta = {
        "version": _VERSION,
        "asset": {"generator": _GENERATOR},
        "count": sum(counts),
        "counts": counts,
        "lodLevels": len(counts),
        "lodErrors": True,
        **({"environment": ENVIRONMENT} if (folder / ENVIRONMENT).is_file() else {}),
        **({"thumbnails": THUMBNAILS} if thumbnails else {}),
        "filenames": [name for part in parts for name in part.filenames],
        "tree": _tree([part.tree for part in parts]),
    }
    (folder / LOD_META).write_text(json.dumps(meta, separators=(",", ":")), encoding="utf-8")


def _slice(arranged: Arranged, start: int, end: int) -> Arranged:
    return arranged.select(np.arange(start, end))


def _at_level(part: Arranged, level: int, group: int) -> tuple[Arranged, float]:
    """A leaf at a level, and its error there (merge.merge_error)."""
    error, contrast = 0.0, contrast_of(part.gaussians)
    for _ in range(level):
        part, added = _coarser(part, group, contrast)
        error += added
    return part, error


def _coarser(part: Arranged, group: int, contrast: float) -> tuple[Arranged, float]:
    part = part.select(group_order(part.gaussians, group))
    gaussians = merged(part.gaussians, group)
    coarser = Arranged(gaussians, _merged_sensitivity(part.sensitivity, np.arange(0, len(part), group)))
    return coarser, merge_error(part.gaussians, gaussians, group, contrast)


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


def _write_unit(path: Path, part: Arranged, coarseness: Coarseness, marks: Marks) -> None:
    size, lambda_ = coarseness.palette_size, coarseness.label_lambda
    palette = quantise_harmonics(part.gaussians, part.sensitivity, size, lambda_) if size else None
    codes = quantise(part.gaussians, part.sensitivity, coarseness, palette)
    path.write_bytes(zip_files(pack_files(codes, marks)))


def _bounds(gaussians: Gaussians, start: int, end: int) -> dict[str, Any]:
    reach = _REACH * np.exp(gaussians.scales[start:end].astype(np.float64).max(axis=1))[:, None]
    low: Float64 = (gaussians.means[start:end] - reach).min(axis=0)
    high: Float64 = (gaussians.means[start:end] + reach).max(axis=0)
    return {"bound": {"min": _rounded(low), "max": _rounded(high)}, "lods": {}, "errors": []}


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
