"""The stage's work from archive to scene: each step once, in order, with the gate before anything is delivered."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pycolmap

from sfm import gate
from sfm.account import account
from sfm.cloud import cloud_json, write_thumbnails
from sfm.database import write_database
from sfm.features import extract_all, features_per_photo
from sfm.georegister import Georegistration, PosedPhoto, georegister
from sfm.ingest import ingest
from sfm.mapping import Mapped, map_scene
from sfm.matching import match_pairs
from sfm.native import run_native
from sfm.pairs import choose_pairs
from sfm.parallel import available_cores
from sfm.photos import PHOTO_SUFFIXES, Photo, SkippedPhoto
from sfm.plot import plot_cameras
from sfm.undistort import write_undistorted
from stage.archive import unpack
from stage.contract import StageContext
from stage.errors import ErrorCode, StageError
from stage.result import StageOutcome, Warning, write_json

# where each part begins on the way from 0 to 1, by its measured share of the time
PARTS = {
    "unpack": 0.0,
    "ingest": 0.02,
    "features": 0.05,
    "matching": 0.25,
    "mapping": 0.6,
    "undistort": 0.9,
    "end": 0.99,
}


def reconstruct_scene(context: StageContext) -> StageOutcome:
    """Read the ZIP below processing/input/upload and fill processing/output (docs/contracts.md, sfm).

    Nothing appears in the output folder unless the whole stage succeeded. Raises StageError.
    """
    threads = available_cores()
    photos, skipped = _read_photos(context, threads)
    gate.check_photos(len(photos) + len(skipped), len(photos), skipped)
    database, pairs, feature_counts = _describe_photos(context, photos, threads)
    verified, mapped, model_folder = _map_photos(context, photos, database, pairs, threads)
    placed = set(mapped.models[0] if mapped.models else [])
    unregistered = [photo for photo in photos if photo.name not in placed]
    sizes = [len(names) for names in mapped.models]
    warnings = gate.check_registration(
        gate.Registration(len(photos), verified, sizes, [photo.original for photo in unregistered])
    )
    model = pycolmap.Reconstruction(model_folder)
    with context.stopwatch("georegister"):
        georegistration = _place(model, photos)
    with _staged(context.folders.processing_output) as output:
        _deliver(context, output, model, photos[0].path.parent, georegistration, threads)
        features = dict(zip((photo.name for photo in photos), feature_counts, strict=True))
        write_json(output / "photos.json", account(photos, skipped, mapped.models, features))
        write_json(output / "georeference.json", georegistration.as_json())
    return StageOutcome(
        counts={
            "photos": len(photos) + len(skipped),
            "usable": len(photos),
            "registered": len(placed),
            "points": model.num_points3D(),
            "models": len(sizes),
            "cameras": model.num_cameras(),
            "pairs": len(pairs),
            "verifiedPairs": verified,
        },
        metrics={
            "reprojectionError": round(model.compute_mean_reprojection_error(), 4),
            "meanTrackLength": round(model.compute_mean_track_length(), 3),
            "registeredShare": round(len(placed) / len(photos), 4),
            "gpsRms": georegistration.as_json()["rms_metres"],
            "calibration": mapped.calibration,
        },
        timings=context.stopwatch.seconds,
        warnings=warnings + _warnings(photos, skipped, unregistered, georegistration),
    )


def _read_photos(context: StageContext, threads: int) -> tuple[list[Photo], list[SkippedPhoto]]:
    archive = _only_file(context.folders.processing_input("upload"))
    with context.stopwatch("unpack"):
        unpacked = unpack(
            archive, context.scratch / "archive", is_photo, progress=_part(context, "unpack", 1.0, "unpacking")
        )
    with context.stopwatch("ingest"):
        total = len(unpacked.files) + len(unpacked.damaged)
        progress = _part(context, "ingest", total, "checking photos")
        return ingest(unpacked.files, unpacked.damaged, context.scratch / "photos", threads, progress)


def _describe_photos(
    context: StageContext, photos: Sequence[Photo], threads: int
) -> tuple[Path, list[tuple[str, str]], list[int]]:
    """The database with features, the pairs of names to match, and the number of features by photo."""
    with context.stopwatch("features"):
        progress = _part(context, "features", len(photos), "finding features")
        features = extract_all(photos, features_per_photo(len(photos)), threads, progress)
        counts = [len(found.keypoints) for found in features]
        gate.check_features(counts)
        database = context.scratch / "colmap.db"
        write_database(database, photos, features)
    with context.stopwatch("pairs"):
        pairs = [(photos[i].name, photos[j].name) for i, j in choose_pairs(photos, features)]
    return database, pairs, counts


def _map_photos(
    context: StageContext, photos: Sequence[Photo], database: Path, pairs: Sequence[tuple[str, str]], threads: int
) -> tuple[int, Mapped, Path]:
    """Match and map in child processes: verified pairs, the models found, the folder of the largest."""
    with context.stopwatch("matching"):
        progress = _part(context, "matching", 1.0, "matching photos")
        verified = run_native(match_pairs, (database, pairs, threads), progress)
    folder = context.scratch / "model"
    with context.stopwatch("mapping"):
        progress = _part(context, "mapping", 1.0, "placing cameras")
        arguments = (database, photos[0].path.parent, folder, len(photos), threads)
        return verified, run_native(map_scene, arguments, progress), folder


def _place(model: pycolmap.Reconstruction, photos: Sequence[Photo]) -> Georegistration:
    """Georegister the model and move it there."""
    metadata = {photo.name: photo.metadata for photo in photos}
    posed = [
        PosedPhoto(
            image.name,
            image.cam_from_world().rotation.matrix(),
            image.projection_center(),
            metadata[image.name].position,
            metadata[image.name].gimbal,
        )
        for image in sorted(model.images.values(), key=lambda image: image.name)
        if image.has_pose
    ]
    result = georegister(posed, _points(model))
    model.transform(pycolmap.Sim3d(result.scale, pycolmap.Rotation3d(result.rotation), result.translation))
    return result


def _deliver(
    context: StageContext,
    output: Path,
    model: pycolmap.Reconstruction,
    photos: Path,
    georegistration: Georegistration,
    threads: int,
) -> None:
    with context.stopwatch("undistort"):
        progress = _part(context, "undistort", model.num_reg_images(), "undistorting photos")
        write_undistorted(model, photos, output, threads, progress)
    with context.stopwatch("plot"):
        images = sorted((image for image in model.images.values() if image.has_pose), key=lambda image: image.name)
        names = [image.name for image in images]
        centres = np.array([image.projection_center() for image in images])
        forward = np.array([image.viewing_direction() for image in images])
        points = _points(model)
        colors = np.array([point.color for point in model.points3D.values()], dtype=np.float64).reshape(-1, 3)
        metric = georegistration.origin is not None
        plot_cameras(output / "cameras.png", centres, forward, points, colors, metric)
        write_json(output / "cloud.json", cloud_json(names, centres, forward, points, colors, metric))
        write_thumbnails(output / "thumbnails.jpg", [output / "images" / name for name in names])


def _points(model: pycolmap.Reconstruction) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([point.xyz for point in model.points3D.values()], dtype=np.float64).reshape(-1, 3)


def _warnings(
    photos: Sequence[Photo],
    skipped: Sequence[SkippedPhoto],
    unregistered: Sequence[Photo],
    georegistration: Georegistration,
) -> list[Warning]:
    warnings = []
    if skipped:
        reasons = "; ".join(f"{photo.original}: {photo.reason}" for photo in skipped)
        warnings.append(Warning("PHOTOS_SKIPPED", reasons, [photo.original for photo in skipped]))
    if unregistered:
        names = [photo.original for photo in unregistered]
        warnings.append(Warning("PHOTOS_NOT_REGISTERED", f"{len(names)} photos could not be placed", names))
    if georegistration.reason:
        warnings.append(Warning("NOT_GEOREFERENCED", georegistration.reason))
    if georegistration.outliers:
        names = [photo.original for photo in photos if photo.name in georegistration.outliers]
        warnings.append(Warning("GPS_OUTLIERS", f"the GPS of {len(names)} photos disagrees with the model", names))
    return warnings


def is_photo(name: PurePosixPath) -> bool:
    """Whether an entry of the archive is a photo, by its suffix."""
    return name.suffix.lower() in PHOTO_SUFFIXES


def _only_file(folder: Path) -> Path:
    files = sorted(path for path in folder.glob("*") if path.is_file()) if folder.is_dir() else []
    if len(files) != 1:
        raise StageError(ErrorCode.NOT_A_ZIP, f"expected one uploaded file, found {len(files)}")
    return files[0]


def _part(context: StageContext, name: str, total: float, message: str) -> Callable[[float], None]:
    """Progress of one part: takes how much of `total` is done; stops the stage when it was asked to."""
    names = list(PARTS)
    low, high = PARTS[name], PARTS[names[names.index(name) + 1]]

    def progress(done: float) -> None:
        context.check_stop()
        share = min(done / max(total, 1e-9), 1.0)
        text = f"{message} {done:.0f}/{total:.0f}" if total > 1 else message
        context.progress.report(low + (high - low) * share, text)

    return progress


@contextmanager
def _staged(folder: Path) -> Iterator[Path]:
    """A folder whose content moves into `folder` when the block succeeds, and that vanishes when it fails."""
    staging = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder))
    try:
        yield staging
        for path in staging.iterdir():
            path.replace(folder / path.name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
