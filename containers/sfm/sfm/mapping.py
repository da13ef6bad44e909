"""Incremental mapping of the verified pairs and a last adjustment of the largest model (runs in a child process).

Schönberger & Frahm 2016, as implemented by COLMAP. Global bundle adjustment at 1.4 times the photos (COLMAP: 1.1) and with two
refinements (five) halves the time and gives the same model.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap
from numpy.typing import NDArray

from sfm.native import Send

GLOBAL_ADJUSTMENT_RATIO = 1.4
GLOBAL_REFINEMENTS = 2
SMALLEST_MODEL = 3
RANDOM_SEED = 1
# a principal point can only be told from a shift of the camera when photos look in different directions
OBLIQUE_SPREAD_DEGREES = 15.0
LARGEST_PRINCIPAL_POINT_SHIFT = 0.1  # of the image size
MAX_REPROJECTION_ERROR = 4.0  # pixels, COLMAP's own filter
MIN_TRIANGULATION_DEGREES = 1.5
MAPPING_SHARE = 0.9  # of this step's time; the rest is the last adjustment


@dataclass(frozen=True)
class Mapped:
    """Photos in each model found, largest first; whether the principal point was refined in the largest."""

    model_sizes: list[int]
    refined_principal_point: bool


def map_scene(database: Path, photos: Path, output: Path, count: int, threads: int, send: Send) -> Mapped:
    """Map the `count` photos in `database` and write the largest model to `output`. No model leaves `output` empty."""
    pycolmap.logging.minloglevel = pycolmap.logging.WARNING
    pycolmap.set_random_seed(RANDOM_SEED)
    options = pycolmap.IncrementalPipelineOptions(
        num_threads=threads,
        random_seed=RANDOM_SEED,
        min_model_size=SMALLEST_MODEL,
        ba_global_frames_ratio=GLOBAL_ADJUSTMENT_RATIO,
        ba_global_points_ratio=GLOBAL_ADJUSTMENT_RATIO,
        ba_global_max_refinements=GLOBAL_REFINEMENTS,
    )
    registered = 0

    def on_photo() -> None:
        nonlocal registered
        registered += 1
        send(MAPPING_SHARE * min(registered / count, 1.0))

    every = output / "every"
    every.mkdir(parents=True)
    models = pycolmap.incremental_mapping(
        database, photos, every, options, initial_image_pair_callback=on_photo, next_image_callback=on_photo
    )
    if not models:
        return Mapped([], False)
    ranked = sorted(models.values(), key=lambda m: (m.num_reg_images(), m.num_points3D()), reverse=True)
    best = ranked[0]
    refined = None
    if view_spread_degrees(viewing_directions(best)) > OBLIQUE_SPREAD_DEGREES:
        refined = _with_principal_point(best, threads)
    (refined or best).write(output)
    send(1.0)
    return Mapped([model.num_reg_images() for model in ranked], refined is not None)


def viewing_directions(model: pycolmap.Reconstruction) -> NDArray[np.float64]:
    """(N, 3) unit vectors along the optical axes of the registered photos."""
    return np.array([image.viewing_direction() for image in model.images.values() if image.has_pose])


def view_spread_degrees(directions: NDArray[np.float64]) -> float:
    """Root mean square angle of viewing directions from their mean: near 0 for a nadir flight."""
    mean = directions.mean(axis=0)
    length = float(np.linalg.norm(mean))
    if length < 1e-9:
        return 180.0
    cosines = np.clip(directions @ mean / length, -1, 1)
    return float(np.rad2deg(np.sqrt(np.mean(np.arccos(cosines) ** 2))))


def _with_principal_point(model: pycolmap.Reconstruction, threads: int) -> pycolmap.Reconstruction | None:
    """The model adjusted with the principal point free; None if that ran away."""
    adjusted = pycolmap.Reconstruction(model)
    options = pycolmap.BundleAdjustmentOptions(refine_principal_point=True, print_summary=False)
    options.ceres.solver_options.num_threads = threads
    pycolmap.bundle_adjustment(adjusted, options)
    for camera in adjusted.cameras.values():
        shift_x = abs(camera.principal_point_x / camera.width - 0.5)
        shift_y = abs(camera.principal_point_y / camera.height - 0.5)
        if max(shift_x, shift_y) > LARGEST_PRINCIPAL_POINT_SHIFT:
            return None
    pycolmap.ObservationManager(adjusted).filter_all_points3D(MAX_REPROJECTION_ERROR, MIN_TRIANGULATION_DEGREES)
    return adjusted
