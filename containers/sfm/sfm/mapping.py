"""Incremental mapping of the verified pairs (runs in a child process).

Schönberger & Frahm 2016, as implemented by COLMAP. Global bundle adjustment at 1.4 times the photos (COLMAP: 1.1) and
with two refinements (COLMAP: five) halves the time and gives the same model. So do, at 500 photos, one local refinement
(COLMAP: two) and the leaving out of points that add nothing to the others (433 → 262 CPU seconds, cameras as near to
the truth).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pycolmap

from sfm.calibrate import CONVERGED, calibrate, finished, without_outliers
from sfm.features import tolerance
from sfm.lens import fitting_lens, write_lenses
from sfm.native import Send

GLOBAL_ADJUSTMENT_RATIO = 1.4
GLOBAL_REFINEMENTS, LOCAL_REFINEMENTS = 2, 1
MIN_MODEL_PHOTOS = 3
RANDOM_SEED = 1
MAPPING_SHARE = 0.9  # of this step's time; the rest is calibration


@dataclass(frozen=True)
class Mapped:
    """The names of the photos in each model found, largest first; how the largest was calibrated (sfm.calibrate);
    whether time ran out.
    """

    models: list[list[str]]
    calibration: str
    cut_short: bool


def map_scene(database: Path, output: Path, count: int, threads: int, seconds: float, send: Send) -> Mapped:
    """Map the `count` photos in `database` and write the largest model, calibrated, to `output` (none: nothing).

    Where another kind of lens fits much better, all is mapped again with it. After `seconds` (infinite: no limit) no
    further photo is tried.
    """
    pycolmap.logging.minloglevel = int(pycolmap.logging.WARNING)
    pycolmap.set_random_seed(RANDOM_SEED)
    options = pycolmap.IncrementalPipelineOptions(
        num_threads=threads,
        random_seed=RANDOM_SEED,
        min_model_size=MIN_MODEL_PHOTOS,
        ba_global_frames_ratio=GLOBAL_ADJUSTMENT_RATIO,
        ba_global_points_ratio=GLOBAL_ADJUSTMENT_RATIO,
        ba_global_max_refinements=GLOBAL_REFINEMENTS,
        ba_local_max_refinements=LOCAL_REFINEMENTS,
        ba_global_function_tolerance=CONVERGED,
        extract_colors=False,
        max_runtime_seconds=_whole_seconds(seconds),
    )
    options.mapper.ba_global_ignore_redundant_points3D = True
    with pycolmap.Database.open(database) as opened:
        cameras = opened.read_all_cameras()
    _adapt_thresholds(options, max(max(camera.width, camera.height) for camera in cameras))
    registered = 0
    began = time.monotonic()

    def on_photo() -> None:
        nonlocal registered
        registered += 1
        send(MAPPING_SHARE * min(registered / count, 1.0))

    ranked = _ranked(database, output / "every", options, on_photo)
    cut_short = time.monotonic() - began >= seconds
    if not ranked:
        return Mapped([], "none", cut_short)
    priors = {camera.camera_id: camera.focal_length for camera in cameras if camera.has_prior_focal_length}
    adjusted = finished(ranked[0], threads)
    if (fitted := fitting_lens(ranked[0], adjusted, threads)) is not None:
        priors = {}  # EXIF's focal length is a rectilinear lens's
        adjusted = fitted
        left = seconds - (time.monotonic() - began)
        if left > seconds / 2:
            write_lenses(database, fitted)
            options.max_runtime_seconds = _whole_seconds(left)
            again = _ranked(database, output / "again", options, lambda: None)
            if again and again[0].num_reg_images() >= fitted.num_reg_images():
                ranked, adjusted = again, finished(again[0], threads)
                cut_short = time.monotonic() - began >= seconds
    best, calibration = calibrate(adjusted, priors, threads)
    without_outliers(best).write(output)
    send(1.0)
    return Mapped([_registered_names(model) for model in ranked], calibration, cut_short)


def _whole_seconds(seconds: float) -> int:
    """COLMAP's time limit: at least a second, -1 for none."""
    return max(math.ceil(seconds), 1) if math.isfinite(seconds) else -1


def _ranked(
    database: Path, folder: Path, options: pycolmap.IncrementalPipelineOptions, on_photo: Callable[[], None]
) -> list[pycolmap.Reconstruction]:
    """The models that incremental mapping finds, the one with the most photos first."""
    folder.mkdir(parents=True)
    models = pycolmap.incremental_mapping(
        database, database.parent, folder, options, initial_image_pair_callback=on_photo, next_image_callback=on_photo
    )
    return sorted(models.values(), key=lambda m: (m.num_reg_images(), m.num_points3D()), reverse=True)


def _adapt_thresholds(options: pycolmap.IncrementalPipelineOptions, long_side: int) -> None:
    """COLMAP's thresholds in pixels, in place, for photos of `long_side`."""
    mapper, triangulation = options.mapper, options.triangulation
    mapper.abs_pose_max_error = tolerance(mapper.abs_pose_max_error, long_side)
    mapper.filter_max_reproj_error = tolerance(mapper.filter_max_reproj_error, long_side)
    mapper.init_max_error = tolerance(mapper.init_max_error, long_side)
    triangulation.merge_max_reproj_error = tolerance(triangulation.merge_max_reproj_error, long_side)
    triangulation.complete_max_reproj_error = tolerance(triangulation.complete_max_reproj_error, long_side)


def _registered_names(model: pycolmap.Reconstruction) -> list[str]:
    return sorted(image.name for image in model.images.values() if image.has_pose)
