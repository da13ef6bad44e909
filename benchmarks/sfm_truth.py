"""Measure the errors of a model of the sample against the true poses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pycolmap
from numpy.typing import NDArray

Vector = NDArray[np.float64]


def pose_errors(scene: Path, truth: Path) -> dict[str, float | int | str | None]:
    """Mean error of camera centres in percent of the flight's span, of rotations in degrees, after the best similarity
    (Umeyama 1991): `scene` is the stage's output, `truth` the sample's poses.json.
    """
    original = {row["name"]: Path(row["original"]).name for row in json.loads((scene / "photos.json").read_text())}
    true = {photo["name"]: np.array(photo["world_to_camera"]) for photo in json.loads(truth.read_text())["photos"]}
    model = pycolmap.Reconstruction(scene / "sparse" / "0")
    images = [image for image in model.images.values() if image.has_pose]
    views = np.array([true[original[image.name]] for image in images])
    expected = -np.einsum("nji,nj->ni", views[:, :3, :3], views[:, :3, 3])
    found = np.array([image.projection_center() for image in images])
    errors, turn, span = aligned(found, expected)
    rotations = np.array([image.cam_from_world().rotation.matrix() @ turn.T for image in images])
    traces = np.einsum("nij,nij->n", rotations, views[:, :3, :3])
    angles = np.rad2deg(np.arccos(np.clip((traces - 1) / 2, -1, 1)))
    return {
        "truth_centres_mean_percent": round(100 * float(errors.mean()) / span, 5),
        "truth_centres_max_percent": round(100 * float(errors.max()) / span, 5),
        "truth_rotations_mean_degrees": round(float(angles.mean()), 5),
        "truth_rotations_max_degrees": round(float(angles.max()), 5),
    }


def aligned(found: Vector, expected: Vector) -> tuple[Vector, Vector, float]:
    """Distances (N,) of points `found` (N, 3) from where they are `expected` after the best similarity, its rotation
    (3, 3), and the span of the expected ones. Raises ValueError where there is no similarity.
    """
    similarity = pycolmap.estimate_sim3d(found, expected)
    if similarity is None:
        raise ValueError("the cameras all stand in one place")
    errors = np.linalg.norm(np.array([similarity * centre for centre in found]) - expected, axis=1)
    return errors, similarity.rotation.matrix(), float(np.linalg.norm(np.ptp(expected, axis=0)))
