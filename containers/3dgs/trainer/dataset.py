"""The scene a training run is given: posed photos, split into training and held-out views, and sparse points.

Training uses its own coordinate frame: the origin is in the middle of the points, and the unit is the typical distance
from a camera to what it sees. Learning rates therefore mean the same for a vase and a valley, and float32 is precise
enough even for scenes far from the world's origin.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from contract.blocks import BlockPhoto
from contract.colmap import MIN_POINTS, MIN_POSED_PHOTOS
from contract.split import HOLD_OUT_FIRST, Split, hold_out
from contract.wanted import is_scene, model_folders, scene_of
from contract.warning_codes import WarningCode
from splat.camera import Camera
from splat.files import below
from splat.stored import NOWHERE, Triple, offset_of
from stage.errors import ErrorCode, StageError
from stage.pictures import TooManyPixelsError, UnusablePhotoError, has_alpha, open_picture, why_unreadable
from stage.result import Warning
from trainer.colmap import Points, PosedImage, SparseModel, image_count, read_model
from trainer.distortion import Distortion, pinhole_in_place, undistorted
from trainer.stops import read_stops


@dataclass(frozen=True)
class Lens:
    """The camera that took a distorted photo, and its distortion."""

    camera: Camera
    distortion: Distortion


@dataclass(frozen=True, eq=False)
class Known:
    """A picture (height, width, 3) of bytes, and where it is `shown` (height, width) and not unknown."""

    picture: NDArray[np.uint8]
    shown: NDArray[np.bool_]


Crop = tuple[float, float, float, float]
_MAX_LOOKED_AT = 50_000  # points that all cameras look at, for the scale of the scene and how often a place is seen
VIRTUAL_SIZE = 0.5  # share of the photos' longer side that virtual views have
WHOLE: Crop = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Photo:
    """A photo's file, its camera in world coordinates at training resolution, whether it trains, and its mask's file:
    a picture of the photo's shape, black where pixels are ignored. `alpha`: whether transparent pixels are ignored.
    `lens`: how the file's picture is distorted; `camera` is the pinhole in its place. `stops`: log2 of the light that
    the camera took, as EXIF says. `part`: left, top, right and bottom of what `camera` sees of the file's picture, as
    shares of its sides. `virtual`: the picture of a virtual view, half as large as the photos, which has no file.
    """

    name: str
    path: Path
    camera: Camera
    split: Split
    mask: Path | None = None
    alpha: bool = False
    lens: Lens | None = None
    stops: float | None = None
    part: Crop = WHOLE
    virtual: Known | None = None

    def at(self, factor: float) -> Camera:
        """The camera at `factor` (0..1) times training resolution."""
        return self.camera.scaled(factor if self.virtual is None else min(1.0, factor / VIRTUAL_SIZE))

    @property
    def masked(self) -> bool:
        """Whether some pixels of the picture are ignored."""
        return self.mask is not None or self.alpha or self.virtual is not None

    def straight(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Undistort a picture that was decoded from the file."""
        if self.lens is None:
            return picture
        size = picture.shape[1], picture.shape[0]
        return undistorted(picture, self.camera.resized(*size), self.lens.camera.resized(*size), self.lens.distortion)


@dataclass(frozen=True)
class Frame:
    """The frame of training: world = centre + scale · trained."""

    centre: NDArray[np.float64]
    scale: float

    def camera(self, camera: Camera) -> Camera:
        """A world camera in this frame."""
        matrix = camera.world_to_camera.copy()
        matrix[:3, 3] = (camera.rotation @ self.centre + camera.translation) / self.scale
        return replace(camera, world_to_camera=matrix)

    def in_world(self, camera: Camera) -> Camera:
        """A camera in this frame in the world."""
        matrix = camera.world_to_camera.copy()
        matrix[:3, 3] = self.scale * camera.translation - camera.rotation @ self.centre
        return replace(camera, world_to_camera=matrix)

    def points(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """World points (P, 3) in this frame."""
        return (positions - self.centre) / self.scale


@dataclass(frozen=True)
class Scene:
    """Photos in order of their names; points (P, 3) in the world with colours (P, 3) 0..255; the frame of training.

    `observed[name]` are the indices of the points that structure from motion found in a photo. `warnings`: what of the
    upload was not used. `offset`: what was subtracted from the model's coordinates, where they lie far from their
    origin (UTM, earth-centred): what is written in float32 keeps its millimetres.
    """

    photos: list[Photo]
    positions: NDArray[np.float64]
    colours: NDArray[np.uint8]
    observed: dict[str, NDArray[np.int64]]
    frame: Frame
    warnings: list[Warning] = field(default_factory=list)
    offset: Triple = NOWHERE

    def at_most(self, long_edge: int) -> Scene:
        """The same scene with photos of at most `long_edge` pixels."""
        photos = []
        for photo in self.photos:
            factor = min(1.0, long_edge / max(photo.camera.width, photo.camera.height))
            photos.append(replace(photo, camera=photo.camera.scaled(factor)))
        return replace(self, photos=photos)

    @property
    def stops(self) -> dict[str, float | None]:
        """The photos' exposures by name, in order of names."""
        return {photo.name: photo.stops for photo in self.photos}

    def split(self, split: Split) -> list[Photo]:
        return [photo for photo in self.photos if photo.split == split]


def find_scene(channel: Path, scratch: Path) -> tuple[Path, list[Warning]]:
    """The folder with `images` and a COLMAP model, below `channel` or in the one ZIP there, unpacked to `scratch`; and
    warnings that name what was not read of the ZIP.

    Raises StageError(INVALID_SCENE) if there is none, and the errors of `unpack`.
    """
    found, warnings = _scene_folder(channel), list[Warning]()
    if found is None:
        archives = sorted(path for path in channel.glob("*") if path.is_file() and path.suffix.lower() == ".zip")
        if len(archives) == 1:
            from stage.archive import nested_warnings, unpack  # need decoders that a machine for measurements lacks

            unpacked = unpack(archives[0], scratch, is_scene)
            found = _scene_folder(scratch)
            warnings = [*nested_warnings(unpacked.nested), *_damage(unpacked.damaged)]
    if found is None:
        raise StageError(
            ErrorCode.INVALID_SCENE, "the input holds no COLMAP model beside or below images/, nor one ZIP that does"
        )
    return found, warnings


def _damage(damaged: Sequence[str]) -> list[Warning]:
    """Name the damaged masks of an archive: damaged photos are missed by the model, which names them."""
    masks = [name for name in damaged if "masks" in PurePosixPath(name).parts[:-1]]
    return [Warning(WarningCode.MASKS_UNUSED, f"{len(masks)} masks are damaged", masks)] if masks else []


def _scene_folder(below: Path) -> Path | None:
    scene = scene_of(_files(below))
    return below / scene.folder if scene is not None else None


def _models(folder: Path) -> list[Path]:
    return [folder / model for model in model_folders(_files(folder))]


def _files(folder: Path) -> list[PurePosixPath]:
    return [PurePosixPath(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]


@dataclass(frozen=True)
class Listed:
    """Of a part of a large flight: the folder of its model; the only photos to take, by name, each held out or not as
    it says and cut to its part; the middle of the flight, about which all parts are trained where that lies far away.
    """

    model: Path
    photos: Mapping[str, BlockPhoto]
    middle: NDArray[np.float64]


def load_scene(folder: Path, long_edge: int, fold: int = HOLD_OUT_FIRST, listed: Listed | None = None) -> Scene:
    """Read the scene's largest model; the photos' cameras are scaled to at most `long_edge` pixels.

    `fold`: number of the first photo that is held out, 0 to 7. A photo that is missing, unreadable or of another shape
    than its camera is left out with a warning. `listed`: of a part of a large flight.

    Raises StageError(INVALID_SCENE) where the model is missing, corrupt or too small, or fewer than half of its photos
    can be used.
    """
    models = [listed.model] if listed else sorted(_models(folder), key=image_count, reverse=True)
    if not models:
        raise StageError(ErrorCode.INVALID_SCENE, "there is no COLMAP model")
    whole = read_model(models[0])
    model, offset = _near_origin(whole, offset_of(listed.middle[None] if listed else whole.points.positions))
    if listed is not None:
        model = replace(model, images=[image for image in model.images if image.name in listed.photos])
    if len(model.images) < MIN_POSED_PHOTOS:
        facts = f"{len(model.images)} posed photos; training needs {MIN_POSED_PHOTOS}"
        raise StageError(ErrorCode.INVALID_SCENE, facts)
    usable, missing = _usable(folder, model)
    photos, stops = [], read_stops(folder)
    for (image, photo), split in zip(usable, hold_out(len(usable), fold), strict=True):
        factor = min(1.0, long_edge / max(photo.camera.width, photo.camera.height))
        chosen = replace(photo, split=split, stops=stops.get(photo.name))
        if listed is not None:
            chosen = cut(chosen, listed.photos[photo.name], image.camera)
        photos.append(replace(chosen, camera=chosen.camera.scaled(factor)))
    training = {image.identifier for (image, _), photo in zip(usable, photos, strict=True) if photo.split == "train"}
    used = _trained_points(model.points, training)
    positions, colours = model.points.positions[used], model.points.colours[used]
    if len(positions) < MIN_POINTS:
        raise StageError(ErrorCode.INVALID_SCENE, f"{len(positions)} usable points; training needs {MIN_POINTS}")
    frame = training_frame([photo.camera for photo in photos], positions)
    warnings = _warnings(folder, models, whole, missing)
    observed = _observed(model, used)
    if listed is not None:
        observed = {photo.name: _in_part(photo, positions, observed[photo.name]) for photo in photos}
    return Scene(photos, positions, colours, observed, frame, warnings, offset)


def cut(photo: Photo, to: BlockPhoto, camera: Camera) -> Photo:
    """The part of a photo that shows a block, as an exact pinhole whose principal point has moved; `camera`: the
    model's, in whose pixels the part is given. Raises StageError(INVALID_SCENE) where it is not in the picture.
    """
    left, top, right, bottom = to.rect
    if right > camera.width or bottom > camera.height:
        facts = f"{photo.name} has {camera.width} by {camera.height} pixels; its part ends at {right}, {bottom}"
        raise StageError(ErrorCode.INVALID_SCENE, facts)
    of_model = replace(photo.camera.resized(camera.width, camera.height), width=right - left, height=bottom - top)
    at_place = replace(of_model, cx=of_model.cx - left, cy=of_model.cy - top)
    across, down = photo.camera.width / camera.width, photo.camera.height / camera.height
    size = max(1, round(at_place.width * across)), max(1, round(at_place.height * down))
    part = (left / camera.width, top / camera.height, right / camera.width, bottom / camera.height)
    return replace(photo, camera=at_place.resized(*size), split=to.split, part=part)


def _in_part(photo: Photo, positions: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which of the points `rows` that a photo observes are in its part."""
    return rows[photo.camera.contains(*photo.camera.project(positions[rows]))]


def _near_origin(model: SparseModel, offset: Triple) -> tuple[SparseModel, Triple]:
    """The model with `offset` subtracted, and `offset`."""
    if offset == NOWHERE:
        return model, offset
    images = [replace(image, camera=image.camera.about(offset)) for image in model.images]
    points = replace(model.points, positions=model.points.positions - offset)
    return SparseModel(images, points), offset


def _usable(folder: Path, model: SparseModel) -> tuple[list[tuple[PosedImage, Photo]], list[str]]:
    """The model's photos that can be trained on, at their own size, and why each of the others cannot be."""
    usable: list[tuple[PosedImage, Photo]] = []
    missing = []
    for image in model.images:
        try:
            usable.append((image, _photo(folder, image)))
        except UnusablePhotoError as error:
            missing.append(str(error))
    if len(usable) < max(MIN_POSED_PHOTOS, len(model.images) / 2):
        raise StageError(
            ErrorCode.INVALID_SCENE, f"{len(missing)} of {len(model.images)} photos cannot be used: {missing[0]}"
        )
    return usable, missing


def _photo(folder: Path, image: PosedImage) -> Photo:
    """The photo of `image` in the size of its file. Raises UnusablePhotoError."""
    try:
        path = below(folder / "images", image.name)
    except ValueError as error:
        raise StageError(ErrorCode.INVALID_SCENE, str(error)) from error
    size, alpha = _look(path, image.camera)
    mask = _mask(folder / "masks", image.name)
    if mask is not None:
        _look(mask, image.camera)
    camera, lens = image.camera.resized(*size), None
    if image.distortion is not None:
        lens = Lens(camera, image.distortion)
        try:
            camera = pinhole_in_place(camera, image.distortion)
        except ValueError as error:
            raise UnusablePhotoError(f"{image.name}: {error}") from error
    return Photo(image.name, path, camera, "train", mask, alpha, lens)


def _mask(folder: Path, photo: str) -> Path | None:
    """The mask named after a photo, with or without its suffix; a name too long for another suffix has none."""
    for name in (f"{photo}.png", str(PurePosixPath(photo).with_suffix(".png"))):
        try:
            path = below(folder, name)
        except ValueError:
            continue
        if path.is_file():
            return path
    return None


def _look(path: Path, camera: Camera) -> tuple[tuple[int, int], bool]:
    """Size and transparency of a picture that has its camera's shape: scaled by one factor, to the pixel, will do."""
    try:
        with open_picture(path) as picture:
            size, alpha = picture.size, has_alpha(picture)
    except FileNotFoundError:
        raise UnusablePhotoError(f"the model names {path.name}, which is not in images/") from None
    except (OSError, ValueError, SyntaxError, TooManyPixelsError) as error:  # what Pillow raises on broken headers
        raise UnusablePhotoError(f"{path.name} {why_unreadable(path, error)}") from error
    if abs(size[0] * camera.height - size[1] * camera.width) > max(*size, camera.width, camera.height):
        raise UnusablePhotoError(
            f"{path.name} has {size[0]} by {size[1]} pixels, its camera {camera.width} by {camera.height}"
        )
    return size, alpha


def _warnings(folder: Path, models: Sequence[Path], model: SparseModel, missing: list[str]) -> list[Warning]:
    found = []
    if missing:
        found.append(Warning(WarningCode.PHOTOS_SKIPPED, f"{len(missing)} photos of the model were left out", missing))
    if len(models) > 1:
        names = [path.relative_to(folder).as_posix() for path in models[1:]]
        facts = f"{models[0].relative_to(folder).as_posix()} has the most photos of {len(models)} models"
        found.append(Warning(WarningCode.SMALLER_MODELS, facts, names))
    if any((folder / "masks").rglob("*.*")) and not any(_mask(folder / "masks", image.name) for image in model.images):
        found.append(Warning(WarningCode.MASKS_UNUSED, "no file in masks/ is named after a photo"))
    return found


def _trained_points(points: Points, training: set[int]) -> NDArray[np.bool_]:
    """The finite points that at least two training photos see; points must not come from held-out photos alone."""
    seen = np.isin(points.track_images, sorted(training))
    pairs = np.unique(np.stack([points.track_points[seen], points.track_images[seen]]), axis=1)
    views = np.bincount(pairs[0], minlength=len(points.positions))
    return (views >= 2) & np.isfinite(points.positions).all(axis=1)


def _observed(model: SparseModel, used: NDArray[np.bool_]) -> dict[str, NDArray[np.int64]]:
    renumbered = np.cumsum(used) - 1
    kept = used[model.points.track_points]
    points, images = model.points.track_points[kept], model.points.track_images[kept]
    order = np.argsort(images, kind="stable")
    points, images = renumbered[points[order]], images[order]
    identifiers = [image.identifier for image in model.images]
    first, end = (np.searchsorted(images, identifiers, side) for side in ("left", "right"))
    return {image.name: np.unique(points[a:b]) for image, a, b in zip(model.images, first, end, strict=True)}


def training_frame(cameras: Sequence[Camera], positions: NDArray[np.float64]) -> Frame:
    """Origin at the points' median; unit the median distance at which the cameras see points."""
    some = _some(positions)
    seen = np.concatenate([_depths_seen(camera, some) for camera in cameras])
    scale = float(np.median(seen)) if len(seen) else 0.0
    if not (math.isfinite(scale) and scale > 0):
        raise StageError(ErrorCode.INVALID_SCENE, "no camera sees any of the points")
    return Frame(np.median(positions, axis=0), scale)


def views_per_point(cameras: Sequence[Camera], positions: NDArray[np.float64]) -> float:
    """How many of the cameras have a point in their picture, on average over the points (P, 3)."""
    some = _some(positions)
    return sum(len(_depths_seen(camera, some)) for camera in cameras) / len(some)


def _some(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Every n-th of many points: 5,000 cameras that look at four million take hours."""
    return positions[:: math.ceil(len(positions) / _MAX_LOOKED_AT)]


def _depths_seen(camera: Camera, positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Depths of the points that fall into the camera's picture."""
    pixels, depths = camera.project(positions)
    inside = camera.contains(pixels, depths)
    return depths[inside]
