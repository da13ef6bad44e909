"""Read the stage's input: the splat, and the files that training left beside it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compressor.formats.reading import is_known_splat, read_splat
from compressor.join import is_divided, join_blocks
from contract.wanted import chosen_splats, is_splat
from contract.warning_codes import WarningCode
from geo.projected import Place
from splat.camera import View, read_views
from splat.errors import InvalidSceneError, InvalidSplatError
from splat.files import read_document
from splat.footprint import is_georeferenced
from splat.gaussians import Gaussians, opacity_of, sound
from splat.stored import Marks, Triple, survey_up
from splat.surroundings import Surroundings, read_surroundings
from stage.archive import nested_warnings, unpack
from stage.errors import ErrorCode, StageError
from stage.result import Warning

# the rasterisers of the reference implementation and of viewers do not draw lower opacities
_VISIBLE = 1 / 255


@dataclass(frozen=True)
class Source:
    """The splat's file, its cameras (none for a lone splat), the folder of their photos, and further data.

    `plain`: the file is a PLY that can be delivered unchanged. `georeference`: the content of georeference.json, empty
    without one; `place`: the origin's place on Earth, None if unknown. `surroundings`: from training, None for a lone
    splat or an older scene. `training_seconds`: CPU seconds of the training, None if unknown. `parts`: the PLYs of a
    scene that is too large for memory, whose `gaussians` are fewer than the file's (compressor.join).
    """

    file: Path
    plain: bool
    gaussians: Gaussians
    marks: Marks
    views: list[View]
    folder: Path
    z_up: bool
    place: Place | None
    georeference: Mapping[str, Any]
    surroundings: Surroundings | None
    training_seconds: float | None
    warnings: list[Warning] = field(default_factory=list)
    parts: tuple[Path, ...] = ()

    @property
    def heights(self) -> Mapping[str, Any]:
        """The datum of the scene's heights, from georeference.json."""
        return self.georeference.get("heights") or {}


def read_source(folder: Path, scratch: Path) -> Source:
    """Read a splat from `folder`: scene.ply and its companion files, the blocks of a large flight (joined in
    `scratch`), the only splat there, or the one in the only ZIP there.

    Raises StageError: INVALID_SPLAT if there is no such splat or it is malformed, INVALID_SCENE if a companion file is
    malformed, and the codes of an unsafe archive.
    """
    joined = join_blocks(folder, scratch / "joined") if is_divided(folder) else None
    if joined is not None:
        folder = scratch / "joined"
    file, remarks = _find_splat(folder, scratch)
    try:
        source = _read(file)
        if joined is None:
            return replace(source, warnings=[*remarks, *source.warnings])
        warnings = [*joined.warnings, *source.warnings]
        return replace(source, file=joined.whole, parts=joined.parts, warnings=warnings)
    except InvalidSplatError as error:
        raise StageError(ErrorCode.INVALID_SPLAT, str(error)) from error
    except InvalidSceneError as error:
        raise StageError(ErrorCode.INVALID_SCENE, str(error)) from error


def _read(file: Path) -> Source:
    beside = file.parent
    views = beside / "views.json"
    surroundings = beside / "surroundings.json"
    stored = read_splat(file)
    place, georeference = _place(beside / "georeference.json")
    warnings = []
    if stored.dropped_degrees:
        facts = "spherical harmonics above degree 3 were left out"
        warnings.append(Warning(WarningCode.HIGHER_DEGREES_DROPPED, facts))
    return Source(
        file=file,
        plain=stored.plain,
        gaussians=stored.gaussians,
        marks=replace(stored.marks, up=stored.marks.up or survey_up(stored.marks.offset)),
        views=[
            replace(view, camera=view.camera.about(stored.moved))
            for view in (read_views(views) if views.is_file() else [])
        ],
        folder=beside,
        z_up=is_georeferenced(beside / "georeference.json"),
        place=place,
        georeference=georeference,
        surroundings=_moved(read_surroundings(surroundings), stored.moved) if surroundings.is_file() else None,
        training_seconds=_training_seconds(beside / "result.json"),
        warnings=warnings,
    )


def _place(path: Path) -> tuple[Place | None, Mapping[str, Any]]:
    """The place of the scene's origin on Earth, and the file's content. Raises InvalidSceneError if it is malformed."""
    try:
        document = read_document(path)
        return Place.of(document), dict(document)
    except FileNotFoundError:
        return None, {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidSceneError(f"{path.name} is malformed ({error!r})") from error


def _moved(surroundings: Surroundings, offset: Triple) -> Surroundings:
    rise = float(surroundings.up @ offset)
    return replace(
        surroundings,
        ground=surroundings.ground - rise,
        ceiling=surroundings.ceiling - rise,
        footprint=surroundings.footprint - offset,
    )


def visible(gaussians: Gaussians) -> tuple[Gaussians, list[Warning]]:
    """The Gaussians that any renderer draws, and warnings that state how many were removed.

    Raises StageError(INVALID_SPLAT) if none is left.
    """
    whole, invalid = sound(gaussians)
    seen = _drawn(whole)
    hidden = int(np.count_nonzero(~seen))
    if hidden == len(whole):
        facts = f"of {len(gaussians)} Gaussians {invalid} have values that are not finite, the others are transparent"
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


def is_visible(gaussians: Gaussians) -> bool:
    """Whether any renderer draws any of the Gaussians."""
    return bool(_drawn(sound(gaussians)[0]).any())


def _drawn(gaussians: Gaussians) -> NDArray[np.bool_]:
    return np.asarray(opacity_of(gaussians.opacities) >= _VISIBLE)


def _find_splat(folder: Path, scratch: Path) -> tuple[Path, list[Warning]]:
    """The splat's file, and warnings that name what was not read of the ZIP that it was in."""
    scene, nested = folder / "scene.ply", list[str]()
    if scene.is_file():
        return scene, []
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(".")]
    names = {PurePosixPath(path.relative_to(folder)): path for path in files}
    splats = [names[name] for name in chosen_splats(list(names))]
    if not splats and len(files) == 1 and is_known_splat(files[0]):
        splats = files  # an upload may have lost its suffix: its content decides
    zips = files if len(files) == 1 else [path for path in files if path.suffix.lower() == ".zip"]
    if not splats and len(zips) == 1:
        unpacked = unpack(zips[0], scratch / "upload", is_splat)
        if unpacked.damaged:
            raise StageError(ErrorCode.INVALID_SPLAT, f"{', '.join(unpacked.damaged)} is damaged")
        nested = unpacked.nested
        found = {PurePosixPath(file.name): file.path for file in unpacked.files}
        splats = [found[name] for name in chosen_splats(list(found))]
    if len(splats) != 1:
        raise StageError(ErrorCode.INVALID_SPLAT, f"expected one splat, found {len(splats)}")
    return splats[0], nested_warnings(nested)


def _training_seconds(result: Path) -> float | None:
    """CPU seconds of the training according to its result.json; None if there is none or its value is implausible."""
    try:
        seconds = float(json.loads(result.read_bytes())["resources"]["cpuSeconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return seconds if 0 < seconds < math.inf else None
