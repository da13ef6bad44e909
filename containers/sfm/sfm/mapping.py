"""Incremental mapping of the verified pairs (runs in a child process).

Schönberger & Frahm 2016, as implemented by COLMAP. Global bundle adjustment at 1.4 times the photos (COLMAP: 1.1) and
with two refinements (COLMAP: five) halves the time and gives the same model. So do, at 500 photos, one local refinement
(COLMAP: two) and omitting points that add nothing to the others (433 → 262 CPU seconds, cameras equally close to the
truth).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pycolmap

from sfm.calibrate import CONVERGED, calibrate, finished, without_outliers
from sfm.clusters import Clusters, fell_apart, hold_lenses, map_in_clusters, one_cluster, whole_seconds
from sfm.features import tolerance
from sfm.lens import fitting_lens, write_lenses
from sfm.native import Send

GLOBAL_ADJUSTMENT_RATIO = 1.4
GLOBAL_REFINEMENTS, LOCAL_REFINEMENTS = 2, 1
MIN_MODEL_PHOTOS = 3
RANDOM_SEED = 1
DEFAULT_CLUSTERS = Clusters()
LENS_SHARE = 0.2  # of mapping's time in clusters, at most; on 16 cores one cluster takes a minute or two
MAPPING_SHARE = 0.9  # of this step's time; the rest is calibration


@dataclass(frozen=True)
class Mapped:
    """The names of the photos in each model found, largest first; how the largest was calibrated (sfm.calibrate);
    whether time ran out.
    """

    models: list[list[str]]
    calibration: str
    cut_short: bool


def map_scene(
    database: Path,
    output: Path,
    count: int,
    threads: int,
    seconds: float,
    send: Send,
    clusters: Clusters = DEFAULT_CLUSTERS,
) -> Mapped:
    """Map the `count` photos in `database` and write the largest model, calibrated, to `output` (none: nothing).

    A large flight is mapped in `clusters`. Where another kind of lens fits much better, all is mapped again with it.
    After `seconds` (infinite: no limit) no further photo is tried.
    """
    pycolmap.logging.minloglevel = int(pycolmap.logging.WARNING)
    pycolmap.set_random_seed(RANDOM_SEED)
    with pycolmap.Database.open(database) as opened:
        cameras = opened.read_all_cameras()
    long_side = max(max(camera.width, camera.height) for camera in cameras)
    mapper = Mapper(database, count, threads, long_side, clusters)
    began = time.monotonic()
    ranked, cut_short = mapper.ranked(output / "every", seconds, lambda share: send(MAPPING_SHARE * share))
    if not ranked:
        return Mapped([], "none", cut_short)
    kinds = {camera_id: camera.model_name for camera_id, camera in ranked[0].cameras.items()}
    priors = {  # EXIF's focal length is a rectilinear lens's
        camera.camera_id: camera.focal_length
        for camera in cameras
        if camera.has_prior_focal_length and kinds.get(camera.camera_id) == camera.model_name
    }
    adjusted = finished(ranked[0], threads)
    if (fitted := fitting_lens(ranked[0], adjusted, threads)) is not None:
        priors = {}
        adjusted = fitted
        left = seconds - (time.monotonic() - began)
        if left > seconds / 2:
            write_lenses(database, fitted)
            again, late = mapper.ranked(output / "again", left, lambda _share: None)
            if again and again[0].num_reg_images() >= fitted.num_reg_images():
                ranked, cut_short, adjusted = again, late, finished(again[0], threads)
    best, calibration = calibrate(adjusted, priors, threads)
    without_outliers(best).write(output)
    send(1.0)
    return Mapped([_registered_names(model) for model in ranked], calibration, cut_short)


@dataclass(frozen=True)
class Mapper:
    """Maps the `count` photos of up to `long_side` pixels in `database`, in one or in clusters."""

    database: Path
    count: int
    threads: int
    long_side: int
    clusters: Clusters

    def ranked(
        self, folder: Path, seconds: float, on_share: Callable[[float], None]
    ) -> tuple[list[pycolmap.Reconstruction], bool]:
        """The models found, the one with the most photos first, and whether `seconds` were too few for all photos."""
        began = time.monotonic()
        models: list[pycolmap.Reconstruction] = []
        cut_short = False
        if self.count >= self.clusters.min_flight:
            models, cut_short = self._in_clusters(folder, seconds, on_share)
        if not models or (not cut_short and fell_apart(self.database, models, self.clusters.photos)):
            left = seconds - (time.monotonic() - began)
            in_one = self._in_one(folder / "one", self._options(), left, on_share)
            cut_short = time.monotonic() - began >= seconds
            models = max(in_one, models, key=_photos_of_largest)  # little time may have been left for one
        models.sort(key=_size, reverse=True)
        return models, cut_short

    def _in_clusters(
        self, folder: Path, seconds: float, on_share: Callable[[float], None]
    ) -> tuple[list[pycolmap.Reconstruction], bool]:
        began = time.monotonic()
        learnt = self._learn_lenses(folder / "first", LENS_SHARE * seconds)
        options = self._options()
        hold_lenses(self.database, options, learnt)
        left = seconds - (time.monotonic() - began)
        return map_in_clusters(
            self.database, folder / "all", options, self.clusters, self.count, self.threads, left, on_share
        )

    def _learn_lenses(self, folder: Path, seconds: float) -> set[int]:
        """Map one cluster and put its cameras into the database; returns their ids.

        Photos that look straight down do not determine the focal length. Each cluster would find a different one, and
        such clusters do not merge: 160 photos in four clusters ended in three parts, but in one part when all clusters
        used the lens of the first.
        """
        options = self._options()
        options.image_names = one_cluster(self.database, self.clusters.photos)
        models = self._in_one(folder, options, seconds, lambda _share: None)
        if not models:
            return set()
        found = max(models, key=_size)
        adjusted = finished(found, self.threads)
        fitted = fitting_lens(found, adjusted, self.threads) or adjusted
        write_lenses(self.database, fitted)
        return set(fitted.cameras)

    def _in_one(
        self,
        folder: Path,
        options: pycolmap.IncrementalPipelineOptions,
        seconds: float,
        on_share: Callable[[float], None],
    ) -> list[pycolmap.Reconstruction]:
        folder.mkdir(parents=True)
        options.max_runtime_seconds = whole_seconds(seconds)
        registered = 0

        def on_photo() -> None:
            nonlocal registered
            registered += 1
            on_share(min(registered / self.count, 1.0))

        models = pycolmap.incremental_mapping(
            self.database,
            self.database.parent,
            folder,
            options,
            initial_image_pair_callback=on_photo,
            next_image_callback=on_photo,
        )
        return list(models.values())

    def _options(self) -> pycolmap.IncrementalPipelineOptions:
        options = pycolmap.IncrementalPipelineOptions(
            num_threads=self.threads,
            random_seed=RANDOM_SEED,
            min_model_size=MIN_MODEL_PHOTOS,
            ba_global_frames_ratio=GLOBAL_ADJUSTMENT_RATIO,
            ba_global_points_ratio=GLOBAL_ADJUSTMENT_RATIO,
            ba_global_max_refinements=GLOBAL_REFINEMENTS,
            ba_local_max_refinements=LOCAL_REFINEMENTS,
            ba_global_function_tolerance=CONVERGED,
            extract_colors=False,
        )
        options.mapper.ba_global_ignore_redundant_points3D = True
        _adapt_thresholds(options, self.long_side)
        return options


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


def _photos_of_largest(models: list[pycolmap.Reconstruction]) -> int:
    return max((int(model.num_reg_images()) for model in models), default=0)


def _size(model: pycolmap.Reconstruction) -> tuple[int, int]:
    return model.num_reg_images(), model.num_points3D()
