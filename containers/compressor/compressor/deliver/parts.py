"""Write the levels of detail of a scene too large for memory, one block of a large flight after the other.

Each block is measured, arranged and written separately, so memory grows with the largest block, not with the scene.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from compressor.deliver.environment import far_of
from compressor.deliver.streamed import Layout, Part, write_environment, write_meta, write_part
from compressor.encode.encoder import Coarseness, arrange
from compressor.encode.pace import Pace
from compressor.encode.prepared import measured
from compressor.framing import Framing
from compressor.source import is_visible, visible
from splat.camera import View
from splat.gaussians import Gaussians
from splat.joined_ply import vertices_of
from splat.ply import read_stored_ply
from splat.stored import Marks
from splat.surroundings import Surroundings

_VIEWS = 12  # views from which a block's sensitivities are measured
_MIN_SEEN = 0.02  # share of a block that a photo must show for its view to be used
_SAMPLE = 2_000


def write_parts(
    folder: Path,
    paths: Sequence[Path],
    views: Sequence[View],
    framing: Framing,
    surroundings: Surroundings,
    coarseness: Coarseness,
    progress: Callable[[float], None],
    *,
    marks: Marks,
    thumbnails: bytes = b"",
) -> None:
    """Write the scene of the PLYs at `paths` below `folder`; the first PLY is the part around the others."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes = [vertices_of(path) for path in paths]
    whole, parts = sum(sizes), list[Part]()
    layout = Layout.of(whole)
    for number, (path, size) in enumerate(zip(paths, sizes, strict=True)):
        stored = _part_of(path, marks) if size else None
        if stored is None or not is_visible(stored):  # of the coarse model, only traces at seams may be left
            continue
        gaussians = arrange(visible(stored)[0])
        pace = Pace(check_stop=partial(progress, number / len(paths)))
        arranged, _ = measured(
            gaussians, seeing(views, gaussians), framing, pace, _VIEWS, antialiased=marks.antialiased
        )
        if number == 0:
            far = far_of(arranged.gaussians, surroundings)
            if far.any():
                write_environment(folder, arranged.select(far), coarseness, layout, whole, marks)
                arranged = arranged.select(~far)
        if len(arranged):
            parts.append(
                write_part(
                    folder, arranged, coarseness, layout,
                    _share_of(progress, number, len(paths)),
                    whole=whole, marks=marks, before=parts,
                )
            )  # fmt: skip
    write_meta(folder, parts, thumbnails)


def _part_of(path: Path, marks: Marks) -> Gaussians:
    """The Gaussians of the PLY at `path` in the coordinates of the scene with these `marks`."""
    stored = read_stored_ply(path, centre=False)
    shift = np.subtract(stored.marks.offset, marks.offset)
    return replace(stored.gaussians, means=(stored.gaussians.means + shift).astype(np.float32))


def _share_of(progress: Callable[[float], None], done: int, parts: int) -> Callable[[float], None]:
    return lambda share: progress((done + share) / parts)


def seeing(views: Sequence[View], gaussians: Gaussians) -> list[View]:
    """The views that show a part of the scene; all views if none does."""
    some = gaussians.means[:: max(1, len(gaussians) // _SAMPLE)].astype(np.float64)
    found = [view for view in views if view.camera.contains(*view.camera.project(some)).mean() >= _MIN_SEEN]
    return found or list(views)
