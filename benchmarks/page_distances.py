"""Compare distances measured by the delivered page's own code, in Node.js, with the generator's truth."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.free_views import at
from benchmarks.stage_runs import ROOT
from benchmarks.truth_views import depths_of
from products.scene import Scene
from sample.scene import Scene as TrueScene
from sample.terrain import Terrain
from splat.gaussians import Gaussians, opacity_of

VIEWS, PICKS, PAIRS = 40, 50, 20_000
_HALF = (24.0, 20.0)  # metres: half of what the flight covers well, as the maps are judged
_ELEVATIONS, _DISTANCES = (25.0, 85.0), (12.0, 60.0)
_MIN_LENGTH = 0.5  # metres
_MIN_SCALE = 1e-3  # as the page has it
Vector = NDArray[np.float64]


def page_distances(scene: Scene, truth: TrueScene, land: Terrain) -> dict[str, Any]:
    """Of a scene in the true frame: the `share` of random picks of which the page is sure, errors of these and of
    distances between two of them in ground sampling distances (of the photos as training saw them), and the shares of
    distances that the stated ± covers.
    """
    origins, directions, depths = _rays(truth, land)
    focal = float(np.median([view.camera.fx for view in scene.views]))
    heights = [view.camera.position[2] - land.height(*view.camera.position[:2]) for view in scene.views]
    gsd = float(np.median(heights)) / focal
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, len(depths), (PAIRS, 2))
    true = origins + depths[:, None] * directions
    lengths = np.linalg.norm(true[pairs[:, 0]] - true[pairs[:, 1]], axis=1)
    found = _picked(scene.gaussians, gsd, np.stack([origins, directions], axis=1), pairs)
    sure = np.array([pick is not None and pick["doubt"] is None for pick in found["picks"]])
    errors = np.array([abs(pick["depth"] - depth) for pick, depth in zip(found["picks"], depths, strict=True) if pick])
    of_sure = sure[np.array([pick is not None for pick in found["picks"]])]
    both = sure[pairs].all(axis=1) & (lengths > _MIN_LENGTH)
    off = np.array([abs(found["distances"][k]["value"] - lengths[k]) for k in np.flatnonzero(both)])
    stated = np.array([found["distances"][k]["sigma"] for k in np.flatnonzero(both)])
    return {
        "page": {
            "gsd": round(gsd, 4),
            "sure": round(float(sure.mean()), 3),
            "pick_p68_gsd": round(float(np.percentile(errors[of_sure], 68)) / gsd, 2),
            "distance_p68_gsd": round(float(np.percentile(off, 68)) / gsd, 2),
            "distance_p90_gsd": round(float(np.percentile(off, 90)) / gsd, 2),
            "within_stated": round(float((off <= stated).mean()), 3),
        }
    }


def _rays(truth: TrueScene, land: Terrain) -> tuple[Vector, Vector, Vector]:
    """Rays (N, 3), (N, 3) of views that look at random places from random sides, and their true depths (N,)."""
    rng = np.random.default_rng(1)
    rays: list[tuple[Vector, Vector, float]] = []
    for _ in range(VIEWS):
        place = land.on(*rng.uniform(-0.8, 0.8, 2) * _HALF)
        rise, turn = np.radians(rng.uniform(*_ELEVATIONS)), rng.uniform(0, 2 * np.pi)
        out = np.array([np.sin(turn) * np.cos(rise), np.cos(turn) * np.cos(rise), np.sin(rise)])
        camera = at(place + rng.uniform(*_DISTANCES) * out, -out)
        maps = depths_of(truth, camera)
        for x, y in rng.integers((20, 20), (camera.width - 20, camera.height - 20), (PICKS, 2)):
            ray = np.array([(x + 0.5 - camera.cx) / camera.fx, (y + 0.5 - camera.cy) / camera.fy, 1.0])
            length = float(np.linalg.norm(ray))
            direction = camera.world_to_camera[:3, :3].T @ ray / length
            depth = float(maps[y, x]) * length
            if np.isfinite(depth) and (np.abs((camera.centre + depth * direction)[:2]) < _HALF).all():
                rays.append((camera.centre, direction, depth))
    origins, directions, depths = (np.array(part, np.float64) for part in zip(*rays, strict=True))
    return origins, directions, depths


def _picked(gaussians: Gaussians, gsd: float, rays: Vector, pairs: NDArray[np.int64]) -> dict[str, Any]:
    scales = np.maximum(np.exp(gaussians.scales), _MIN_SCALE)
    quats = gaussians.quats / np.linalg.norm(gaussians.quats, axis=1, keepdims=True)
    rows = np.column_stack([gaussians.means, scales, quats, opacity_of(gaussians.opacities)])
    node = shutil.which("node", path=f"{ROOT / '.venv/bin'}:/usr/local/bin:/usr/bin:/bin")
    with tempfile.NamedTemporaryFile(suffix=".bin") as file:
        rows.astype("<f4").tofile(file.name)
        given = {"gaussians": file.name, "survey": {"gsd": gsd}, "rays": rays.tolist(), "pairs": pairs.tolist()}
        script = Path(__file__).with_suffix(".mjs")
        done = subprocess.run(
            [str(node), str(script)], input=json.dumps(given), capture_output=True, text=True, check=True
        )
    found: dict[str, Any] = json.loads(done.stdout)
    return found
