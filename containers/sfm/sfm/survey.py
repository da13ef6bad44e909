"""Write survey.json: the figures of a flight that a surveyor's report states (docs/contracts.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pycolmap
from numpy.typing import NDArray

from sfm.georegister import Georegistration
from sfm.overlap import ENOUGH, OverlapMap
from sfm.photos import Photo

Vector = NDArray[np.float64]

PARTS = (16, 12)  # parts of a photo across and down; a mean residual in one is an error of the lens model
MIN_IN_PART = 30  # observations; the mean of fewer is mostly chance
ERROR_BIN, ERROR_BINS = 0.1, 20  # pixels; the last bin includes all larger errors
MAX_TRACK = 20  # the last entry of the table includes all longer tracks
# radii that hold 90 %, in σ: of a two-dimensional normal distribution with equal axes, and of a one-dimensional one
CE90_OF_SIGMA, LE90_OF_SIGMA = 2.1460, 1.6449


def survey(
    model: pycolmap.Reconstruction, photos: Sequence[Photo], georegistration: Georegistration, overlap: OverlapMap
) -> dict[str, Any]:
    """The content of survey.json, from the placed `model` with the photos' own (distorted) cameras."""
    by_name = {photo.name: photo for photo in photos}
    images = sorted((image for image in model.images.values() if image.has_pose), key=lambda image: image.name)
    metric = georegistration.origin is not None
    depths, pixels = [], []
    residuals, shares = [np.zeros((0, 2))], [np.zeros((0, 2))]
    for image in images:
        camera = model.camera(image.camera_id)
        offsets, seen, depth = _observations(model, image)
        residuals.append(offsets)
        shares.append(seen / (camera.width, camera.height))
        depths.append(depth)
        pixels.append(depth / camera.mean_focal_length())
    taken = sorted(by_name[image.name].metadata.taken_at for image in images if by_name[image.name].metadata.taken_at)
    heights = [float(image.projection_center()[2]) for image in images]
    points = georegistration.control_points
    return {
        "version": 1,
        "gsd_metres": _rounded(_median(pixels)) if metric else None,
        "flight_height_metres": _rounded(float(np.median(heights))) if metric else None,
        "area_square_metres": _areas(overlap) if metric else None,
        "captured": {"first": taken[0], "last": taken[-1]} if taken else None,
        "cameras": [_camera(model, camera_id, images, by_name) for camera_id in sorted(model.cameras)],
        "reprojection_pixels": _histogram(np.linalg.norm(np.concatenate(residuals), axis=1)),
        "systematic_pixels": _systematic(np.concatenate(residuals), np.concatenate(shares)),
        "observations_median": round(float(np.median([len(part) for part in depths]))) if depths else 0,
        "track_lengths": _track_lengths(model),
        "gps": _gps(images, by_name, georegistration),
        "control": _accuracy([point.offset for point in points if point.used]),
        "check": _accuracy([point.offset for point in points if point.check]),
    }


def _observations(model: pycolmap.Reconstruction, image: pycolmap.Image) -> tuple[Vector, Vector, Vector]:
    """For the points that a photo observes: residuals (N, 2) and image positions (N, 2), both in pixels, and depths
    (N,).
    """
    observed = [(point.xy, model.point3D(point.point3D_id).xyz) for point in image.points2D if point.has_point3D()]
    if not observed:
        return np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0)
    seen, points = (np.array(column, dtype=np.float64) for column in zip(*observed, strict=True))
    pose = image.cam_from_world()
    local = points @ pose.rotation.matrix().T + pose.translation
    expected = np.asarray(model.camera(image.camera_id).img_from_cam(local), dtype=np.float64).reshape(-1, 2)
    finite = np.isfinite(expected).all(axis=1)
    return (expected - seen)[finite], seen[finite], local[:, 2]


def _systematic(residuals: Vector, shares: Vector) -> float | None:
    """The length in pixels of the largest mean residual of any part of the photos; None if no part has enough
    observations. `shares` (N, 2): image positions as shares of width and height.
    """
    across, down = PARTS
    columns, rows = np.clip((shares * PARTS).astype(np.int64), 0, np.array(PARTS) - 1).T
    part = rows * across + columns
    counts = np.bincount(part, minlength=across * down)
    sums = np.column_stack([np.bincount(part, axis, minlength=across * down) for axis in residuals.T])
    enough = counts >= MIN_IN_PART
    return _rounded(float(np.linalg.norm(sums[enough] / counts[enough, None], axis=1).max())) if enough.any() else None


def _median(parts: Sequence[Vector]) -> float:
    values = np.concatenate([np.zeros(0), *parts])
    return float(np.median(values)) if len(values) else 0.0


def _areas(overlap: OverlapMap) -> dict[str, float]:
    """Square metres of ground that at least one photo sees, and that at least ENOUGH photos see."""
    cell = overlap.cell**2
    enough = float((overlap.counts >= ENOUGH).sum() * cell)
    return {"seen": round(float(overlap.seen.sum() * cell), 1), "seen_by_three": round(enough, 1)}


def _camera(
    model: pycolmap.Reconstruction, camera_id: int, images: Sequence[pycolmap.Image], by_name: Mapping[str, Photo]
) -> dict[str, Any]:
    """A camera's data from the photos' metadata, and the parameters found, by COLMAP's names (lengths in pixels)."""
    camera = model.camera(camera_id)
    own = [by_name[image.name] for image in images if image.camera_id == camera_id]
    focal = next((photo.metadata.focal for photo in own if photo.metadata.focal), None)
    names = [name.strip() for name in camera.params_info.split(",")]
    return {
        "make": own[0].metadata.make if own else "",
        "model": own[0].metadata.model if own else "",
        "photos": len(own),
        "width": camera.width,
        "height": camera.height,
        "kind": camera.model_name,
        "initial_focal_pixels": None if focal is None else round(focal, 3),
        "focal_pixels": round(float(camera.mean_focal_length()), 3),
        "parameters": {name: float(value) for name, value in zip(names, camera.params, strict=True)},
    }


def _histogram(errors: Vector) -> dict[str, Any]:
    bins = np.minimum((errors / ERROR_BIN).astype(np.int64), ERROR_BINS - 1)
    mean, rms = (float(errors.mean()), float(np.sqrt(np.mean(errors**2)))) if len(errors) else (0.0, 0.0)
    return {
        "mean": round(mean, 4),
        "rms": round(rms, 4),
        "bin": ERROR_BIN,
        "counts": np.bincount(bins, minlength=ERROR_BINS).tolist(),
    }


def _track_lengths(model: pycolmap.Reconstruction) -> list[dict[str, int]]:
    lengths = np.array([min(point.track.length(), MAX_TRACK) for point in model.points3D.values()], dtype=np.int64)
    counts = np.bincount(lengths, minlength=MAX_TRACK + 1)
    return [{"photos": photos, "points": int(counts[photos])} for photos in range(2, MAX_TRACK + 1)]


def _gps(
    images: Sequence[pycolmap.Image], by_name: Mapping[str, Photo], georegistration: Georegistration
) -> dict[str, Any] | None:
    """The offsets of the cameras from their GPS positions, without outliers, and without heights that are unknown."""
    frame = georegistration.origin
    if frame is None:
        return None
    offsets = []
    for image in images:
        position = by_name[image.name].metadata.position
        if position is not None and image.name not in georegistration.outliers:
            offset = image.projection_center() - frame.to_enu(position)
            known = position.altitude is not None and georegistration.altitude_known
            offsets.append((*offset[:2], offset[2] if known else np.nan))
    return _accuracy(offsets)


def _accuracy(offsets: Sequence[tuple[float, ...]]) -> dict[str, Any] | None:
    """Mean, standard deviation and RMS by axis (east, north, up) in metres, and the radii that hold 90 percent of a
    normal distribution with these RMS values. None without offsets.
    """
    if not offsets:
        return None
    values = np.array(offsets, dtype=np.float64)
    known = np.isfinite(values).any(axis=0)
    mean, deviation, rms = np.full((3, 3), np.nan)
    mean[known] = np.nanmean(values[:, known], axis=0)
    deviation[known] = np.nanstd(values[:, known], axis=0)
    rms[known] = np.sqrt(np.nanmean(values[:, known] ** 2, axis=0))
    return {
        "count": len(values),
        "mean_metres": [_rounded(value) for value in mean],
        "sigma_metres": [_rounded(value) for value in deviation],
        "rms_metres": [_rounded(value) for value in rms],
        "ce90_metres": _rounded(CE90_OF_SIGMA * float(np.hypot(rms[0], rms[1])) / np.sqrt(2)),
        "le90_metres": _rounded(LE90_OF_SIGMA * float(rms[2])),
    }


def _rounded(value: float) -> float | None:
    return round(float(value), 5) if np.isfinite(value) else None
