"""Which files of an upload each pipeline step wants, by their names: photos, scenes, splats."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from contract.counts import MIN_PHOTOS
from contract.films import TELEMETRY_SUFFIX, is_film
from contract.stages import PipelineStep

JPEG_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".jif")  # browsers on Windows save JPEGs as .jfif
HEIF_SUFFIXES = (".heic", ".heif", ".hif")  # Canon, Fujifilm and Sony write .HIF
TIFF_SUFFIXES = (".tif", ".tiff")
RAW_SUFFIXES = (".dng",)
# what a camera develops first, raw files last: of one shot in several formats, the first counts
PHOTO_SUFFIXES = (*JPEG_SUFFIXES, *HEIF_SUFFIXES, ".webp", ".png", *TIFF_SUFFIXES, *RAW_SUFFIXES)
# pictures, films and documents that customers do send, but that no stage can read
CAMERA_RAW_SUFFIXES = frozenset(  # undeveloped photos
    {".cr2", ".cr3", ".nef", ".arw", ".raf", ".rw2", ".orf", ".pef", ".srw", ".gpr", ".iiq", ".3fr", ".fff"}
)
UNREADABLE_SUFFIXES = (
    CAMERA_RAW_SUFFIXES
    | {".gif", ".bmp", ".jxl", ".avif", ".jp2", ".psd"}
    | {".avi", ".mkv", ".webm", ".mts", ".insv", ".360", ".pdf"}
)
SPLAT_SUFFIX = ".ply"
SPLAT_SUFFIXES = frozenset({SPLAT_SUFFIX, ".spz", ".sog", ".splat"})
CONTROL_POINT_FILES = frozenset({"gcp_list.txt"})
SCENE_PHOTO_SUFFIXES = (*JPEG_SUFFIXES, ".webp", ".png", *TIFF_SUFFIXES)
SCENE_SUFFIXES = (*SCENE_PHOTO_SUFFIXES, ".bin", ".txt", ".json", SPLAT_SUFFIX)
# of a COLMAP model, binary or as text
MODEL_FILES = (
    ("cameras.bin", "images.bin", "points3D.bin"),
    ("cameras.txt", "images.txt", "points3D.txt"),
)
_ITERATION = re.compile(r"iteration_(\d{1,9})")
_OF_A_BLOCK = re.compile(r"(^|/)blocks/[0-9]{2}/")
_SIDE_FILES = ("thumbs.db", "desktop.ini")

Wanted = Callable[[PurePosixPath], bool]  # whether a file is to be unpacked


def is_side_file(path: PurePosixPath) -> bool:
    """Whether a file is what operating systems leave in ZIPs: __MACOSX/, ._photo.jpg, .DS_Store, Thumbs.db."""
    inside = "/".join(("", *path.parts, ""))
    return "/." in inside or "/__MACOSX/" in inside or path.name.lower() in _SIDE_FILES


def is_photo(path: PurePosixPath) -> bool:
    return path.suffix.lower() in PHOTO_SUFFIXES


def is_control_list(path: PurePosixPath) -> bool:
    """Whether a file is a list of control points."""
    return path.name.lower() in CONTROL_POINT_FILES


def is_survey(path: PurePosixPath) -> bool:
    """Whether structure from motion reads a file: a photo or a list of control points."""
    return is_photo(path) or is_control_list(path)


def is_footage(path: PurePosixPath) -> bool:
    """Whether structure from motion reads a file of an upload of films: a film or the telemetry beside it."""
    return is_film(path) or path.suffix.lower() == TELEMETRY_SUFFIX


def is_scene(path: PurePosixPath) -> bool:
    """Whether training reads a file: photos, their masks, a COLMAP model and what belongs to it."""
    return path.suffix.lower() in SCENE_SUFFIXES


def model_folders(paths: Iterable[PurePosixPath]) -> list[PurePosixPath]:
    """The folders that hold a whole COLMAP model, the ones nearest the top first. Beside a flight's own, those of its
    blocks (contract/blocks.py) are parts of it and none.
    """
    files: dict[PurePosixPath, set[str]] = {}
    for path in paths:
        files.setdefault(path.parent, set()).add(path.name)
    whole = [folder for folder, names in files.items() if any(names.issuperset(model) for model in MODEL_FILES)]
    own = [folder for folder in whole if not _OF_A_BLOCK.search(str(folder))]
    return sorted(own or whole, key=lambda folder: (len(folder.parts), str(folder)))


@dataclass(frozen=True)
class SceneFiles:
    """The folder that a scene's parts lie in: its photos below images/, its models anywhere in it, nearest the top
    first.
    """

    folder: PurePosixPath
    models: list[PurePosixPath]

    @property
    def images(self) -> PurePosixPath:
        return self.folder / "images"

    def is_photo(self, path: PurePosixPath) -> bool:
        """Whether training can read a file as one of the scene's photos."""
        return path.suffix.lower() in SCENE_PHOTO_SUFFIXES and self.images in path.parents


def scene_of(paths: Iterable[PurePosixPath]) -> SceneFiles | None:
    """The scene among `paths`: the folder nearest a model that also has images/. `sparse/0`, `sparse` and
    `colmap/sparse/0` are all in use.
    """
    files = list(paths)
    models = model_folders(files)
    with_images = {folder.parent for path in files for folder in path.parents if folder.name == "images"}
    for model in models:
        for folder in (model, *model.parents):
            if folder in with_images:
                return SceneFiles(folder, [other for other in models if folder in (other, *other.parents)])
    return None


def is_splat(path: PurePosixPath) -> bool:
    """Whether compression reads a file: a splat in one of the formats that tools export."""
    return path.suffix.lower() in SPLAT_SUFFIXES


def chosen_splats(paths: Iterable[PurePosixPath]) -> list[PurePosixPath]:
    """The splats among `paths` that compression may be about; of a training's output folder the last iteration's.

    The reference implementation leaves point_cloud/iteration_<n>/point_cloud.ply for several n, and the points that it
    began with as input.ply.
    """
    splats = sorted(path for path in paths if is_splat(path))
    iterations = {path: int(found[1]) for path in splats if (found := _ITERATION.fullmatch(path.parent.name))}
    return [max(iterations, key=lambda path: iterations[path])] if iterations else splats


# what is unpacked of an upload by the job's first stage
WANTED: dict[PipelineStep, Wanted] = {
    PipelineStep.FULL: is_survey,
    PipelineStep.SCENE: is_scene,
    PipelineStep.TRAINING: is_scene,
    PipelineStep.COMPRESSION: is_splat,
}


def wanted_of(step: PipelineStep, paths: Sequence[PurePosixPath]) -> Wanted:
    """What is unpacked of an upload that holds these files: films only where there are too few photos for a scene."""
    own = [path for path in paths if not is_side_file(path)]
    films = any(is_film(path) for path in own) and sum(is_photo(path) for path in own) < MIN_PHOTOS
    return is_footage if step is PipelineStep.FULL and films else WANTED[step]
