"""What the stage was handed: the splat, and whatever else the training left beside it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from compressor.sog.encoder import opacity_of
from contract.archive import is_splat
from contract.codes import WarningCode
from splat.camera import View, read_views
from splat.footprint import is_georeferenced
from splat.gaussians import Gaussians
from splat.ply import read_ply
from splat.surroundings import Surroundings, read_surroundings
from stage.archive import unpack
from stage.errors import ErrorCode, StageError
from stage.result import Warning

# below this the rasterisers of the reference implementation and of the viewers draw nothing
_VISIBLE = 1 / 255


@dataclass(frozen=True)
class Source:
    """The splat's file, its cameras (none for a lone PLY), the folder of their photos, and what is known of it.

    `surroundings`: what training found to lie beyond the photos, None for a lone PLY or an older scene.
    `antialiased`: trained with opacities compensated for the projection's blur, which viewers must then do too.
    """

    ply: Path
    gaussians: Gaussians
    views: list[View]
    folder: Path
    z_up: bool
    surroundings: Surroundings | None
    antialiased: bool


def read_source(folder: Path, scratch: Path) -> Source:
    """Read scene.ply and its companions from `folder`, or the only PLY there, or the only one in the only ZIP there.

    Raises StageError: INVALID_SPLAT where there is no such PLY or it is malformed; the codes of an unsafe archive.
    """
    ply = _find_ply(folder, scratch)
    beside = ply.parent
    views = beside / "views.json"
    surroundings = beside / "surroundings.json"
    return Source(
        ply=ply,
        gaussians=read_ply(ply),
        views=read_views(views) if views.is_file() else [],
        folder=beside,
        z_up=is_georeferenced(beside / "georeference.json"),
        surroundings=read_surroundings(surroundings) if surroundings.is_file() else None,
        antialiased=_is_antialiased(ply),
    )


def visible(gaussians: Gaussians) -> tuple[Gaussians, list[Warning]]:
    """The Gaussians that any renderer draws, and a warning with the number of those left out.

    Raises StageError(INVALID_SPLAT) where none is left.
    """
    seen = opacity_of(gaussians.opacities) >= _VISIBLE
    left_out = int(np.count_nonzero(~seen))
    if left_out == len(gaussians):
        raise StageError(ErrorCode.INVALID_SPLAT, f"all {len(gaussians)} Gaussians are transparent")
    if not left_out:
        return gaussians, []
    kept = gaussians.select(seen)
    # an infinite logit is an opacity of exactly 1
    return replace(kept, opacities=np.minimum(kept.opacities, 80)), [
        Warning(WarningCode.TRANSPARENT_GAUSSIANS, f"{left_out} Gaussians that no renderer draws were left out")
    ]


def _find_ply(folder: Path, scratch: Path) -> Path:
    scene = folder / "scene.ply"
    if scene.is_file():
        return scene
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(".")]
    plys = [path for path in files if is_splat(PurePosixPath(path.name))]
    zips = [path for path in files if path.suffix.lower() == ".zip"]
    if not plys and len(files) == 1 and not zips:
        zips = files  # an upload may have lost its suffix: its content decides
    if not plys and len(zips) == 1:
        unpacked = unpack(zips[0], scratch, is_splat)
        if unpacked.damaged:
            raise StageError(ErrorCode.INVALID_SPLAT, f"{', '.join(unpacked.damaged)} is damaged")
        plys = [file.path for file in unpacked.files]
    if len(plys) != 1:
        raise StageError(ErrorCode.INVALID_SPLAT, f"expected one PLY with a splat, found {len(plys)}")
    return plys[0]


def _is_antialiased(ply: Path) -> bool:
    """Whether the PLY's header has the comment that training writes for an opacity compensated for the blur."""
    with ply.open("rb") as stream:
        for line in itertools.takewhile(lambda line: line.strip() != b"end_header", stream):
            if line.split() == [b"comment", b"antialiased"]:
                return True
    return False
