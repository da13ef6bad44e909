"""`make bench-products`: compare the survey products of generated flights with the generator's truth.

Generates flights with control and check points, runs the sfm and 3dgs stages (kept below .build/bench-products/) and
makes the products. The orthophoto and the surface model are compared with the property as seen by parallel rays, after
a similarity has moved the splat so that these points, exactly marked, are nearest to their true places: the figures
then exclude the error of the georeference, which the check points measure. Prints a line of JSON per scene
(benchmarks/README.md explains each figure).
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, laplace, maximum_filter, minimum_filter, sobel
from scipy.spatial.transform import Rotation

from benchmarks.check_points import Surveyed, check_points, exact_places
from benchmarks.flights import Flight
from benchmarks.page_distances import page_distances
from benchmarks.similarity import Similarity, similarity
from benchmarks.stage_runs import BUILD, run_sfm, run_training
from benchmarks.survey_truth import Above, from_above, surveyed_upload
from geo.projected import Place, Projected
from products.grid import Grid, Placed
from products.rasters import Rasters, draw
from products.scene import Scene, read_scene

SCENES = ("rings-0-20",)
FOLD = 3
CELL, WEST, NORTH, WIDTH, HEIGHT = 0.03, -24.0, 20.0, 1600, 1333  # the middle 48 by 40 m
_GROUND, _ROOF = (-0.6, 0.6), 2.4  # metres about the height of the lawn: flat ground, and above it roofs and crowns
_EDGE_CELLS, _EDGE_METRES = 4, 0.3  # heights that differ as much within as many cells are a jump: no surface
_KNOWN = 0.9  # of a piece that the map must show
_PATCH = 48  # cells of the pieces whose shift is measured
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class TrueFrame(Placed):
    """The grid of the true ENU frame itself."""

    def to_grid(self, points: Vector) -> Vector:
        return np.asarray(points, dtype=np.float64)

    def to_enu(self, points: Vector) -> Vector:
        return np.asarray(points, dtype=np.float64)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenes", nargs="*", default=SCENES, help="kind-seed-photos; kinds: nadir, rings")
    parser.add_argument("--quality", default="standard")
    arguments = parser.parse_args()
    for name in arguments.scenes:
        flight = Flight.named(name)
        folder = BUILD / "bench-products" / flight.name
        folder.mkdir(parents=True, exist_ok=True)
        lit = flight.lit(flight.scenery())
        cameras = run_sfm(surveyed_upload(flight, folder, lit), folder / "sfm")
        model = run_training(cameras, folder / arguments.quality, arguments.quality, FOLD)
        truth = from_above(lit, WEST, NORTH, CELL, WIDTH, HEIGHT)
        surveyed = Surveyed.of(folder, cameras)
        moved = carried(read_scene(model, cameras), similarity(*exact_places(surveyed)))
        found = {"scene": name, "gsd": surveyed.gsd, "check_points": check_points(surveyed)}
        found |= {**compared(moved, truth), **page_distances(moved, lit, flight.scenery().terrain)}
        print(json.dumps(found), flush=True)
    return 0


def compared(moved: Scene, truth: Above) -> dict[str, Any]:
    """The maps' figures of a trained flight in the true frame."""
    grid = Grid(truth.west, truth.north, truth.cell, *truth.heights.shape[::-1])
    place = TrueFrame(Projected.about(Place(47.0, 9.0, 0.0)), np.zeros(3))
    with tempfile.TemporaryDirectory() as scratch:
        began = resource.getrusage(resource.RUSAGE_SELF)
        rasters = draw(moved, place, grid, Path(scratch), lambda _share: None)
        ended = resource.getrusage(resource.RUSAGE_SELF)
        figures = {**heights(rasters, truth), **picture(rasters, truth)}
    seconds = ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime
    return {**figures, "valid": round(float(rasters.valid.mean()), 4), "cpu_s": round(seconds, 1)}


def carried(scene: Scene, fit: Similarity) -> Scene:
    """The scene in the true frame. Harmonics are not rotated: the similarity rotates only by tenths of a degree."""
    x, y, z, w = Rotation.from_matrix(fit.rotation).as_quat()
    a, b, c, d = scene.gaussians.quats.astype(np.float64).T
    turned = [w * a - x * b - y * c - z * d, w * b + x * a + y * d - z * c]
    turned += [w * c - x * d + y * a + z * b, w * d + x * c - y * b + z * a]
    gaussians = replace(
        scene.gaussians,
        means=fit.points(scene.gaussians.means.astype(np.float64)).astype(np.float32),
        quats=np.column_stack(turned).astype(np.float32),
        scales=scene.gaussians.scales + np.float32(np.log(fit.scale)),
    )
    views = []
    for view in scene.views:
        matrix = fit.pose(view.camera.rotation, view.camera.position)
        views.append(replace(view, camera=replace(view.camera, world_to_camera=matrix)))
    dense = replace(scene.dense, points=fit.points(scene.dense.points), sigma=scene.dense.sigma * np.float32(fit.scale))
    return replace(scene, gaussians=gaussians, views=views, dense=dense)


def heights(rasters: Rasters, truth: Above) -> dict[str, Any]:
    """Errors in centimetres on the ground and above it, away from jumps; and the share of all cells that σ covers."""
    true = truth.heights
    known = rasters.valid & np.isfinite(true) & ~near_jump(true)
    lawn = float(np.median(true))
    error = 100 * (rasters.heights - true)
    ground = known & (true > lawn + _GROUND[0]) & (true < lawn + _GROUND[1])
    raised = known & (true > lawn + _ROOF)
    every = rasters.valid & np.isfinite(true)
    covered = np.abs(error[every]) <= 100 * rasters.sigma[every]
    near = every & (true > lawn + _GROUND[0]) & (true < lawn + _GROUND[1])
    return {
        "ground": spread(error[ground]),
        "ground_with_jumps": spread(error[near]),
        "raised": spread(error[raised]),
        "within_sigma": round(float(covered.mean()), 3),
    }


def spread(error: NDArray[Any]) -> dict[str, float]:
    """Median, normalised median absolute deviation, RMSE, and the 90th percentile of the absolute error."""
    median = float(np.median(error))
    found = {
        "bias": median,
        "nmad": 1.4826 * float(np.median(np.abs(error - median))),
        "rmse": float(np.sqrt(np.mean(error**2))),
        "le90": float(np.percentile(np.abs(error), 90)),
    }
    return {name: round(value, 2) for name, value in found.items()}


def near_jump(heights_: Vector) -> NDArray[np.bool_]:
    """Cells within which heights differ by more than a slope does: leaves, eaves, walls."""
    size = 2 * _EDGE_CELLS + 1
    found: NDArray[np.bool_] = maximum_filter(heights_, size) - minimum_filter(heights_, size) > _EDGE_METRES
    return found


def picture(rasters: Rasters, truth: Above) -> dict[str, Any]:
    """PSNR after a gain per channel; shift of patches in cells; gradients and Laplacians as shares of the truth's."""
    valid = np.asarray(rasters.valid)
    ours, true = rasters.rgb.astype(np.float64) / 255, truth.picture.astype(np.float64) / 255
    gain = np.array([(ours[valid][:, c] * true[valid][:, c]).sum() / (ours[valid][:, c] ** 2).sum() for c in range(3)])
    error = np.mean((gain * ours - true)[valid] ** 2)
    a, b = (gain * ours).mean(axis=2), true.mean(axis=2)
    shifts = np.array(list(patch_shifts(a, b, valid)))
    lengths = np.hypot(*shifts.T)

    def strength(image: Vector) -> tuple[float, float]:
        gradient = np.hypot(sobel(image, 0), sobel(image, 1))[valid].mean()
        return float(gradient), float(np.abs(laplace(image))[valid].mean())

    (gradient, curvature), (true_gradient, true_curvature) = strength(a), strength(b)
    return {
        "psnr": round(float(-10 * np.log10(error)), 2),
        "shift_median_px": round(float(np.median(lengths)), 3),
        "shift_p90_px": round(float(np.percentile(lengths, 90)), 3),
        "gradient": round(gradient / true_gradient, 3),
        "laplacian": round(curvature / true_curvature, 3),
    }


def patch_shifts(ours: Vector, true: Vector, valid: NDArray[np.bool_]) -> list[tuple[float, float]]:
    """Least-squares shift of each whole patch (Lucas and Kanade 1981), of those with enough texture to tell."""
    smooth, there = gaussian_filter(ours, 1.0), gaussian_filter(true, 1.0)
    dy, dx = np.gradient(there)
    found = []
    for top in range(0, ours.shape[0] - _PATCH, _PATCH):
        for left in range(0, ours.shape[1] - _PATCH, _PATCH):
            part = (slice(top, top + _PATCH), slice(left, left + _PATCH))
            inner = valid[part]
            if inner.mean() < _KNOWN:
                continue
            gx, gy, off = dx[part][inner], dy[part][inner], (smooth[part] - there[part])[inner]
            matrix = np.array([[gx @ gx, gx @ gy], [gx @ gy, gy @ gy]])
            if np.linalg.eigvalsh(matrix)[0] < 0.02:
                continue
            x, y = np.linalg.solve(matrix, -np.array([gx @ (off - off.mean()), gy @ (off - off.mean())]))
            found.append((float(x), float(y)))
    return found


if __name__ == "__main__":
    sys.exit(main())
