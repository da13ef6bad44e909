"""Measure the errors of check points and the part that their marks cause, over many random draws of the marks' errors.

The marks of a check point in photos are no better than those of a control point. With the true cameras, its marks alone
set a lower bound for any adjustment; with exact marks of the check points, the remaining error is that of the model.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap
from numpy.typing import NDArray

from benchmarks.flights import camera_of, true_poses
from benchmarks.survey_truth import LIST, MARK_SIGMA, UPLOAD
from sample.camera import Camera
from sfm.control import fit_control_points
from sfm.gcp import ControlPoint, names_of_photos, parse_gcp_list
from sfm.geodesy import LocalFrame
from sfm.weighted import meet

DRAWINGS = 100
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Surveyed:
    """A flight's control and check points, marked exactly in its photos: `points`, their true `places` (3,) in ENU
    metres by name, the `model` that the sfm stage found, and the `true_cameras` by the names of its photos.
    """

    points: list[ControlPoint]
    places: dict[str, Vector]
    model: pycolmap.Reconstruction
    true_cameras: dict[str, Camera]
    gsd: float

    @classmethod
    def of(cls, folder: Path, cameras: Path) -> Surveyed:
        """Of the flight in `folder` and the `cameras` that the sfm stage found for its surveyed upload."""
        photos = json.loads((cameras / "photos.json").read_text(encoding="utf-8"))
        survey = json.loads((cameras / "survey.json").read_text(encoding="utf-8"))
        own = {photo["name"]: Path(photo["original"]).name for photo in photos}
        truth = {name: camera_of(pose, pose["width"]) for name, pose in true_poses(folder).items()}
        true_cameras = {name: truth[original] for name, original in own.items()}
        with zipfile.ZipFile(folder / UPLOAD) as archive:
            text = archive.read(LIST).decode("utf-8")
        points, _ = parse_gcp_list(text, names_of_photos({photo["original"]: photo["name"] for photo in photos}))
        origin = json.loads((folder / "poses.json").read_text(encoding="utf-8"))["origin"]
        frame = LocalFrame(origin["latitude"], origin["longitude"], origin["altitude"])
        places = {point.name: frame.to_enu(point.position) for point in points}
        exact = [_exact(point, places[point.name], true_cameras) for point in points]
        return cls(exact, places, _model(cameras, survey["cameras"]), true_cameras, float(survey["gsd_metres"]))


def check_points(surveyed: Surveyed) -> dict[str, Any]:
    """RMS in plan and in height, in ground sampling distances: `measured` with errors of all marks, `true_cameras` by
    the check points' marks alone, `exact_marks` with errors of the control points' marks alone, `bend` with exact marks
    of all.
    """
    exact, places, model = surveyed.points, surveyed.places, surveyed.model
    rng = np.random.default_rng(0)
    found: dict[str, list[Vector]] = {
        "measured": [], "true_cameras": [], "exact_marks": [], "bend": [_offsets(model, exact)],
    }  # fmt: skip
    for _ in range(DRAWINGS):
        drawn = [_scattered(point, rng) for point in exact]
        found["measured"].append(_offsets(model, drawn))
        found["exact_marks"].append(
            _offsets(model, [one if _is_check(one) else other for one, other in zip(exact, drawn, strict=True)])
        )
        checks = [point for point in drawn if _is_check(point)]
        found["true_cameras"].append(
            np.array(
                [_meeting(point, surveyed.true_cameras, places[point.name]) - places[point.name] for point in checks]
            )
        )
    return {name: _rms(np.concatenate(offsets), surveyed.gsd) for name, offsets in found.items()}


def exact_places(surveyed: Surveyed) -> tuple[Vector, Vector]:
    """Where the model of the sfm stage and the world have the control and check points, (N, 3) metres each, the
    former by exact marks: what is between the two is a similarity and the model's bend.
    """
    found = places_in(surveyed.model, surveyed.points)
    return np.array(list(found.values())), np.array([surveyed.places[name] for name in found])


def places_in(model: pycolmap.Reconstruction, points: Sequence[ControlPoint]) -> dict[str, Vector]:
    """Where the marks of the points meet in the `model`'s own frame, (3,) each, by name."""
    fit = fit_control_points(model, points)
    return {
        residual.name: (np.add(residual.place, residual.offset) - fit.translation) @ fit.rotation / fit.scale
        for residual in fit.residuals
    }


def _model(cameras: Path, found: Sequence[dict[str, Any]]) -> pycolmap.Reconstruction:
    """The stage's model with the photos' own camera in place of the undistorted one."""
    model = pycolmap.Reconstruction(cameras / "sparse" / "0")
    (own,) = found  # a generated flight has one
    for camera in model.cameras.values():
        camera.model = getattr(pycolmap.CameraModelId, own["kind"])
        camera.width, camera.height = own["width"], own["height"]
        camera.params = list(own["parameters"].values())
    return model


def _is_check(point: ControlPoint) -> bool:
    return point.name.endswith("_check")


def _exact(point: ControlPoint, place: Vector, cameras: dict[str, Camera]) -> ControlPoint:
    marks = []
    for mark in point.marks:
        (pixel,), _ = cameras[mark.photo].project(place[None])
        marks.append(replace(mark, column=float(pixel[0]), row=float(pixel[1])))
    return replace(point, marks=tuple(marks))


def _scattered(point: ControlPoint, rng: np.random.Generator) -> ControlPoint:
    off = rng.normal(0, MARK_SIGMA, (len(point.marks), 2))
    marks = [
        replace(mark, column=mark.column + x, row=mark.row + y)
        for mark, (x, y) in zip(point.marks, off.tolist(), strict=True)
    ]
    return replace(point, marks=tuple(marks))


def _offsets(model: pycolmap.Reconstruction, points: Sequence[ControlPoint]) -> Vector:
    """(checks, 3) metres east, north and up, as the stage reports them."""
    return np.array([residual.offset for residual in fit_control_points(model, points).residuals if residual.check])


def _meeting(point: ControlPoint, cameras: dict[str, Camera], near: Vector) -> Vector:
    centres, rays, sigmas = [], [], []
    for mark in point.marks:
        camera = cameras[mark.photo]
        local = np.array([(mark.column - camera.cx) / camera.fx, (mark.row - camera.cy) / camera.fy, 1.0])
        rays.append(camera.world_to_camera[:3, :3].T @ local / np.linalg.norm(local))
        centres.append(camera.centre)
        sigmas.append(MARK_SIGMA / camera.fx)
    return meet(np.array(centres), np.array(rays), np.array(sigmas), near)[0]


def _rms(offsets: Vector, gsd: float) -> dict[str, float]:
    east, north, up = np.sqrt(np.mean(np.square(offsets), axis=0)) / gsd
    return {"plan": round(float(np.hypot(east, north)), 3), "height": round(float(up), 3)}
