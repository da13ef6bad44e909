"""Prepare a large scene that comes with its cameras (a COLMAP model) for training in blocks.

Nothing is matched or mapped. The photos are undistorted and the flight is divided into blocks, so that training gets
the same input as from a flight of photos (docs/contracts.md, sfm).
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pycolmap
from PIL import Image

from contract.archive import inner_name
from contract.colmap import MIN_POINTS, MIN_POSED_PHOTOS
from contract.counts import MAX_STOPS
from contract.files import write_json
from contract.wanted import is_scene, model_folders, scene_of
from contract.warning_codes import WarningCode
from sfm.blocks import axes_of_plane, divide
from sfm.cloud import write_thumbnails
from sfm.flight import flight_of
from sfm.georegister import Georegistration
from sfm.masks import mask_of
from sfm.native import Send, run_native
from sfm.parallel import available_cores
from sfm.parts import part_progress
from sfm.plot import draw_scene
from sfm.remarks import upload_warnings
from sfm.stage import staged
from sfm.undistort import write_undistorted
from stage.archive import unpack
from stage.contract import StageContext
from stage.errors import ErrorCode, StageError
from stage.pictures import (
    MASKED_BELOW,
    TooManyPixelsError,
    UnusablePhotoError,
    has_alpha,
    open_picture,
    shown_in,
    to_rgb,
    why_unreadable,
)
from stage.result import StageOutcome, Warning

NO_PLACE = "the scene came without a georeference"


@dataclass(frozen=True)
class Given:
    """The usable part of a scene: original names by new names, and why each other photo cannot be used; `models`: how
    many the upload has.
    """

    names: Mapping[str, str]
    missing: list[str]
    models: int


def prepare_scene(context: StageContext) -> StageOutcome:
    """Undistort a scene's photos, each registered in its largest model, and plan its blocks.

    Parameters
    ----------
    context
        `folders.processing_input("upload")` holds the scene, or one ZIP of it: `images/` and a COLMAP model beside or
        below it. `folders.processing_output` receives what structure from motion leaves, without survey.json.

    Returns
    -------
    StageOutcome
        As for structure from motion, with 0 `pairs`.

    Raises
    ------
    StageError
        INVALID_SCENE where there is no model that can be trained on, and the codes of an unsafe archive.
    """
    folder, nested = _scene_in(context)
    photos, model = context.scratch / "photos", context.scratch / "model"
    with context.stopwatch("ingest"):
        given = _read(folder, photos, model, context)
    with staged(context.folders.processing_output) as output:
        with context.stopwatch("undistort"):
            progress = part_progress(context, "undistort", "correcting lens distortion", len(given.names))
            run_native(write_undistorted, (model, photos, output, available_cores()), progress)
        georeferenced = _pass_georeference(folder, output)
        stops = _stops_in(folder)
        rows = [
            {"name": name, "original": original, "registered": True, **_optional(stops.get(original))}
            for name, original in given.names.items()
        ]
        write_json(output / "photos.json", rows)
        scene = pycolmap.Reconstruction(output / "sparse" / "0")
        figures = _figures(output, scene, georeferenced=georeferenced)
        with context.stopwatch("blocks"):
            blocks, block_warnings = divide(
                output, len(given.names), context.options.blocks, georeferenced=georeferenced
            )
    photos_in_all = len(given.names) + len(given.missing)
    return StageOutcome(
        counts={
            "photos": photos_in_all,
            "usable": len(given.names),
            "registered": len(given.names),
            "points": scene.num_points3D(),
            "models": given.models,
            "cameras": scene.num_cameras(),
            "pairs": 0,
            "verifiedPairs": 0,
            "blocks": blocks,
        },
        metrics={**figures, "registeredShare": round(len(given.names) / photos_in_all, 4)},
        timings=context.stopwatch.seconds,
        warnings=[*_warnings(given), *upload_warnings([], [], nested), *block_warnings],
    )


def _scene_in(context: StageContext) -> tuple[Path, list[str]]:
    """The folder that holds `images` and a model, and the archives within the upload. Raises StageError."""
    channel, scratch = context.folders.processing_input("upload"), context.scratch / "scene"
    found, nested = _scene_below(channel), list[str]()
    archives = sorted(path for path in channel.glob("*") if path.is_file()) if found is None else []
    if len(archives) == 1:
        with context.stopwatch("unpack"):
            progress = part_progress(context, "unpack", "unpacking the upload")
            nested = unpack(archives[0], scratch, is_scene, progress=progress).nested
        found = _scene_below(scratch)
    if found is None:
        raise StageError(ErrorCode.INVALID_SCENE, "the upload holds no COLMAP model beside or below images/")
    return found, nested


def _scene_below(folder: Path) -> Path | None:
    scene = scene_of(_files(folder))
    return folder / scene.folder if scene is not None else None


def _files(folder: Path) -> list[PurePosixPath]:
    return [PurePosixPath(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]


def _read(folder: Path, photos: Path, model: Path, context: StageContext) -> Given:
    """Raises StageError(INVALID_SCENE) also where the model makes COLMAP's reader crash."""
    try:
        return run_native(read_given, (folder, photos, model), part_progress(context, "ingest", "checking photos"))
    except StageError as error:
        if error.code is not ErrorCode.INTERNAL:
            raise
        raise StageError(ErrorCode.INVALID_SCENE, f"the sparse model cannot be read ({error.message})") from error


def read_given(folder: Path, photos: Path, model: Path, send: Send) -> Given:
    """Write the largest model of the scene in `folder` with the photos that can be used, in the size of their files,
    to `model`, and these, by number, into `photos` (runs in a child process).

    Raises StageError(INVALID_SCENE) where fewer than half of the photos or too few points can be used.
    """
    folders = [folder / found for found in model_folders(_files(folder))]
    whole = max(map(pycolmap.Reconstruction, folders), key=lambda each: each.num_images())
    images = sorted((image for image in whole.images.values() if image.has_pose), key=lambda image: image.name)
    result, names, missing = _Copied(whole), dict[str, str](), list[str]()
    photos.mkdir(parents=True)
    for number, image in enumerate(images, start=1):
        name = f"{number:06d}.jpg"
        try:
            size = _take_photo(folder, image.name, whole.camera(image.camera_id), photos / name)
        except UnusablePhotoError as error:
            missing.append(str(error))
        else:
            result.add(image, name, size)
            names[name] = image.name
        send(number / len(images))
    if len(names) < max(MIN_POSED_PHOTOS, len(images) / 2):
        facts = f"{len(missing)} of {len(images)} photos cannot be used" + (f": {missing[0]}" if missing else "")
        raise StageError(ErrorCode.INVALID_SCENE, facts)
    copy = result.with_points()
    if copy.num_points3D() < MIN_POINTS:
        raise StageError(ErrorCode.INVALID_SCENE, f"{copy.num_points3D()} points; training needs {MIN_POINTS}")
    model.mkdir(parents=True)
    copy.write(model)
    return Given(names, missing, len(folders))


class _Copied:
    """A copy of `whole` with other names, and cameras in the size of the photos' files."""

    def __init__(self, whole: pycolmap.Reconstruction) -> None:
        self._whole, self._copy = whole, pycolmap.Reconstruction()
        self._cameras: dict[tuple[int, int, int], int] = {}

    def add(self, image: pycolmap.Image, name: str, size: tuple[int, int]) -> None:
        camera = self._whole.camera(image.camera_id)
        factors = np.array([size[0] / camera.width, size[1] / camera.height])
        key = (image.camera_id, *size)
        if key not in self._cameras:
            own = pycolmap.Camera(camera.todict())
            own.camera_id = self._cameras[key] = len(self._cameras) + 1
            own.rescale(*size)
            self._copy.add_camera_with_trivial_rig(own)
        points = np.array([point.xy for point in image.points2D]).reshape(-1, 2) * factors
        self._copy.add_image_with_trivial_frame(
            pycolmap.Image(name=name, keypoints=points, camera_id=self._cameras[key], image_id=image.image_id),
            image.cam_from_world(),
        )

    def with_points(self) -> pycolmap.Reconstruction:
        """The copy, with the finite points that two of its photos see."""
        for point in self._whole.points3D.values():
            elements = [element for element in point.track.elements if element.image_id in self._copy.images]
            if len({element.image_id for element in elements}) >= 2 and np.isfinite(point.xyz).all():
                track = pycolmap.Track()
                for element in elements:
                    track.add_element(element.image_id, element.point2D_idx)
                self._copy.add_point3D(point.xyz, track, point.color)
        return self._copy


def _take_photo(folder: Path, name: str, camera: pycolmap.Camera, target: Path) -> tuple[int, int]:
    """Put a photo at `target` and its mask, of the customer's or its own transparency, where masks lie; its size.

    Raises UnusablePhotoError.
    """
    try:
        source = folder / "images" / inner_name(name)
    except ValueError as error:
        raise UnusablePhotoError(str(error)) from error
    try:
        with open_picture(source) as picture:
            size = picture.size
            if abs(size[0] * camera.height - size[1] * camera.width) > max(*size, camera.width, camera.height):
                facts = f"{name} has {size[0]} by {size[1]} pixels, its camera {camera.width} by {camera.height}"
                raise UnusablePhotoError(facts)
            shown = np.array(picture.convert("RGBA").getchannel("A")) >= MASKED_BELOW if has_alpha(picture) else None
            picture.load()  # Pillow raises on truncated data
            if picture.format == "JPEG" and picture.mode in ("RGB", "L"):
                _link(source, target)  # its pixels as they are
            else:
                to_rgb(picture).save(target, "PNG", compress_level=1)
    except FileNotFoundError:
        raise UnusablePhotoError(f"the model names {name}, which is not in images/") from None
    except (OSError, ValueError, SyntaxError, TooManyPixelsError) as error:  # what Pillow raises on broken files
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:  # no fault of the photo's
            raise
        raise UnusablePhotoError(f"{name} {why_unreadable(source, error)}") from error
    _take_mask(folder / "masks", name, size, shown, mask_of(target))
    return size


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without links
        shutil.copyfile(source, target)


def _take_mask(masks: Path, photo: str, size: tuple[int, int], shown: Any, target: Path) -> None:
    for name in (f"{photo}.png", str(PurePosixPath(photo).with_suffix(".png"))):
        path = masks / inner_name(name)
        if path.is_file():
            try:
                with open_picture(path) as picture:
                    resized = picture.resize(size, Image.Resampling.NEAREST)
                    own = shown_in(resized)
            except (OSError, ValueError, SyntaxError, TooManyPixelsError):
                continue
            shown = own if shown is None else shown & own
            break
    if shown is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.where(shown, 255, 0).astype(np.uint8)).save(target, "PNG")


def _pass_georeference(folder: Path, output: Path) -> bool:
    """Copy the scene's georeference.json, or write that there is none; returns whether the scene is georeferenced.

    Raises StageError(INVALID_SCENE) for a malformed one.
    """
    path = folder / "georeference.json"
    if not path.is_file():
        write_json(output / path.name, _unplaced().as_json())
        return False
    try:
        georeferenced = bool(json.loads(path.read_bytes())["georeferenced"])
    except (ValueError, KeyError, TypeError) as error:
        raise StageError(ErrorCode.INVALID_SCENE, f"{path.name} is malformed ({error!r})") from error
    shutil.copyfile(path, output / path.name)
    return georeferenced


def _unplaced() -> Georegistration:
    return Georegistration(1.0, np.eye(3), np.zeros(3), reason=NO_PLACE)


def _stops_in(folder: Path) -> dict[str, float]:
    """Exposures by photo, where the scene is one that structure from motion has left."""
    try:
        rows = json.loads((folder / "photos.json").read_bytes())
        found = {str(row["name"]): float(row["stops"]) for row in rows if row.get("stops") is not None}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {name: stops for name, stops in found.items() if abs(stops) <= MAX_STOPS}


def _optional(stops: float | None) -> dict[str, float]:
    return {} if stops is None else {"stops": stops}


def _figures(output: Path, scene: pycolmap.Reconstruction, *, georeferenced: bool) -> dict[str, Any]:
    """Draw the scene from above, whatever its axes are; returns the measurements."""
    if not georeferenced:
        flight = flight_of(scene)
        upright = np.array(axes_of_plane(flight.positions, flight.centres))
        heights = [float(upright[2] @ point.xyz) for point in scene.points3D.values()]
        ground = np.array([0.0, 0.0, np.median(heights)])  # the map of overlap lies at height 0
        scene.transform(pycolmap.Sim3d(1.0, pycolmap.Rotation3d(upright), -ground))
    names = sorted(image.name for image in scene.images.values())
    write_thumbnails(output / "thumbnails.jpg", [output / "images" / name for name in names])
    overlap = draw_scene(output, scene, _unplaced(), np.zeros((0, 2)))
    return {
        "reprojectionError": round(scene.compute_mean_reprojection_error(), 4),
        "meanTrackLength": round(scene.compute_mean_track_length(), 3),
        "gpsRms": None,
        "meanOverlap": round(overlap.mean, 2),
        "overlapShare": round(overlap.enough_share, 4),
    }


def _warnings(given: Given) -> list[Warning]:
    found = []
    if given.missing:
        facts = f"{len(given.missing)} photos of the model were left out"
        found.append(Warning(WarningCode.PHOTOS_SKIPPED, facts, given.missing))
    if given.models > 1:
        facts = f"of {given.models} models the one with the most photos is used"
        found.append(Warning(WarningCode.SMALLER_MODELS, facts))
    return found
