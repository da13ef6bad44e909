"""Read the stage's input: the splat, and the files that training left beside it."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from contract.archive import is_splat
from contract.warning_codes import WarningCode
from splat.camera import View, read_views
from splat.errors import InvalidSceneError, InvalidSplatError
from splat.footprint import is_georeferenced
from splat.gaussians import Gaussians, opacity_of, sound
from splat.ply import read_ply
from splat.surroundings import Surroundings, read_surroundings
from stage.archive import unpack
from stage.errors import ErrorCode, StageError
from stage.result import Warning

# below this the rasterisers of the reference implementation and of the viewers draw nothing
_VISIBLE = 1 / 255
_ANTIALIASED = {(b"antialiased",), (b"antialiased", b"1"), (b"splatrendermode:", b"mip")}


@dataclass(frozen=True)
class Source:
    """The splat's file, its cameras (none for a lone PLY), the folder of their photos, and what is known of it.

    `surroundings`: what training found to lie beyond the photos, None for a lone PLY or an older scene.
    `antialiased`: trained with opacities compensated for the projection's blur, which viewers must then do too.
    `training_seconds`: of CPU, None where no training says.
    """

    ply: Path
    gaussians: Gaussians
    views: list[View]
    folder: Path
    z_up: bool
    surroundings: Surroundings | None
    antialiased: bool
    training_seconds: float | None


def read_source(folder: Path, scratch: Path) -> Source:
    """Read scene.ply and its companions from `folder`, or the only PLY there, or the only one in the only ZIP there.

    Raises StageError: INVALID_SPLAT where there is no such PLY or it is malformed, INVALID_SCENE where a
    companion is; the codes of an unsafe archive.
    """
    ply = _find_ply(folder, scratch)
    try:
        return _read(ply)
    except InvalidSplatError as error:
        raise StageError(ErrorCode.INVALID_SPLAT, str(error)) from error
    except InvalidSceneError as error:
        raise StageError(ErrorCode.INVALID_SCENE, str(error)) from error


def _read(ply: Path) -> Source:
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
        training_seconds=_training_seconds(beside / "result.json"),
    )


def visible(gaussians: Gaussians) -> tuple[Gaussians, list[Warning]]:
    """The Gaussians that any renderer draws, and warnings with the numbers of those removed.

    Raises StageError(INVALID_SPLAT) where none is left.
    """
    whole, invalid = sound(gaussians)
    seen = opacity_of(whole.opacities) >= _VISIBLE
    hidden = int(np.count_nonzero(~seen))
    if hidden == len(whole):
        facts = f"of {len(gaussians)} Gaussians {invalid} have values that are no numbers, the others are transparent"
        raise StageError(ErrorCode.INVALID_SPLAT, facts)
    warnings = []
    if invalid:
        facts = f"{invalid} of {len(gaussians)} Gaussians with values that are not finite or no rotation were removed"
        warnings.append(Warning(WarningCode.INVALID_GAUSSIANS, facts))
    if hidden:
        facts = f"{hidden} Gaussians that no renderer draws were removed"
        warnings.append(Warning(WarningCode.TRANSPARENT_GAUSSIANS, facts))
    kept = whole.select(seen) if hidden else whole
    # an infinite logit is an opacity of exactly 1
    return replace(kept, opacities=np.minimum(kept.opacities, 80)), warnings


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
    """Whether the PLY's header says that opacities are compensated for the blur.

    `antialiased` is this project's mark, `antialiased 1` Postshot's, `SplatRenderMode: mip` that of Brush and gsplat.
    """
    with ply.open("rb") as stream:
        for line in itertools.takewhile(lambda line: line.strip() != b"end_header", stream):
            words = line.lower().split()
            if words[:1] == [b"comment"] and tuple(words[1:]) in _ANTIALIASED:
                return True
    return False


def _training_seconds(result: Path) -> float | None:
    """CPU seconds of the training by its result.json; None where there is none, or what it says makes no sense."""
    try:
        seconds = float(json.loads(result.read_bytes())["resources"]["cpuSeconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return seconds if 0 < seconds < math.inf else None
