"""`make bench-blocks`: train a generated flight as a whole and in blocks, with equal Gaussians and epochs, and compare.

The blocks are joined as in the compressor, and compared with held-out photos before any of these is trained on. "Near
seams" means within a twentieth of a photo's footprint of a seam. The tone step is the difference between the mean
errors of brightness on either side of a seam, over the views that show both sides.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.drawing import shown
from benchmarks.stage_runs import BUILD, SCORED, result_of, run_sfm, run_training
from contract.blocks import BLOCKS_FILE, COARSE, BlockName, BlockPlan, block_folder, photos_file
from contract.split import HOLD_OUT_FIRST
from geo.boxes import along_axes, box_shares, hull_share
from sfm.blocks import write_blocks
from splat.camera import View, read_views
from splat.depths import depth_map
from splat.fading import with_shares
from splat.gaussians import Gaussians
from splat.loss import psnr
from splat.ply import read_ply
from splat.surroundings import read_surroundings

NEAR = 0.5  # in margins of a block: a twentieth of a footprint
MIN_PIXELS = 400  # pixels on either side of a seam that a view needs to count for the tone step
_NAMES = ("means", "quats", "scales", "opacities", "sh0", "shN")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Figures:
    """Figures of the check photos in dB; `tone` in grey levels."""

    psnr: float
    near: float
    worst: float
    tone: float
    gaussians: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scene", type=Path, help="a COLMAP scene of pinhole cameras, z up, instead of the sample")
    parser.add_argument("--photos", type=int, default=120)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--gaussians", type=int, default=80_000)
    parser.add_argument("--picture", type=Path, help="photo, whole and blocks of the view with the longest seam")
    given = parser.parse_args()
    scene = given.scene.resolve() if given.scene else sample_scene(given.photos, given.width, given.blocks)
    root = BUILD / "bench-blocks" / (scene.name if given.scene else f"{given.photos}x{given.width}")
    if not (scene / BLOCKS_FILE).is_file():
        write_blocks(scene, scene / "sparse" / "0", given.blocks, georeferenced=True)
    plan = BlockPlan.from_json(json.loads((scene / BLOCKS_FILE).read_bytes()))
    if len(plan.blocks) != given.blocks or given.blocks < 2:
        parser.error(f"{scene / BLOCKS_FILE} plans {len(plan.blocks)} blocks; two or more are compared")
    options = {"TRAINING_STEPS": str(given.steps), "MAX_GAUSSIANS": str(given.gaussians)}
    runs = root / f"{given.blocks}-{given.steps}-{given.gaussians}"
    whole = run_training(scene, runs / "whole", "high", HOLD_OUT_FIRST, options)
    coarse = train(scene, runs, COARSE, options)
    blocks = [train(scene, runs, block.id, options, coarse) for block in plan.blocks]
    merged = joined(plan, read_ply(coarse.parent / SCORED), [read_ply(model.parent / SCORED) for model in blocks])
    splats = {"whole": read_ply(whole.parent / SCORED), "blocks": merged}
    views = [view for view in read_views(whole / "views.json") if view.split == "test"]
    found = {name: compare(splat, views, whole, plan, splats["whole"]) for name, splat in splats.items()}
    print("| | dB | near seams | worst view | tone step | Gaussians |\n|---|---|---|---|---|---|")
    for name, figures in found.items():
        decibel = f"{figures.psnr:.2f} | {figures.near:.2f} | {figures.worst:.2f}"
        print(f"| {name} | {decibel} | {figures.tone:.2f} | {figures.gaussians:,} |")
    spent = {name: result_of(folder)["resources"] for name, folder in {"whole": whole, "coarse": coarse}.items()}
    each = [result_of(folder)["resources"] for folder in blocks]
    print(json.dumps(summary(scene, plan, spent, each, found)))
    if given.picture:
        draw(given.picture, splats, views, whole, plan)
    return 0


def sample_scene(photos: int, width: int, blocks: int) -> Path:
    """The output of structure from motion for a generated flight."""
    root = BUILD / f"bench-blocks/{photos}x{width}"
    archive = root / "sample" / "sample.zip"
    if not archive.is_file():
        command = [sys.executable, "-m", "sample", str(archive.parent), "--photos", str(photos), "--width", str(width)]
        subprocess.run(command, check=True)
    return run_sfm(archive, root / f"sfm-{blocks}", {"BLOCKS": str(blocks)})


def train(scene: Path, runs: Path, block: BlockName, options: dict[str, str], coarse: Path | None = None) -> Path:
    """The model of one block."""
    root = runs / (COARSE if block == COARSE else block_folder(block))
    if coarse is not None:
        channel = root / "input" / "data" / COARSE
        channel.parent.mkdir(parents=True, exist_ok=True)
        channel.unlink(missing_ok=True)
        channel.symlink_to(coarse.resolve())
    return run_training(scene, root, "high", HOLD_OUT_FIRST, options | {"BLOCK": str(block)})


def joined(plan: BlockPlan, coarse: Gaussians, blocks: Sequence[Gaussians]) -> Gaussians:
    """The scene that the compressor joins from blocks that have not been trained on the check photos yet."""
    parts = []
    for number, splat in enumerate([*blocks, coarse]):
        places = along_axes(plan, splat.means.astype(np.float64))
        hull, shares = hull_share(plan, places), box_shares(plan, places)
        parts.append(with_shares(splat, hull * shares[number] if number < len(blocks) else 1 - hull))
    return Gaussians(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in _NAMES})


def compare(splat: Gaussians, views: Sequence[View], folder: Path, plan: BlockPlan, surface: Gaussians) -> Figures:
    """Compare splats on the check photos. `surface`: the splat whose depths place every pixel, the same for all."""
    surroundings = read_surroundings(folder / "surroundings.json")
    squares, near_squares, psnrs, steps = [], [], [], []
    for view in views:
        picture = photo(folder, view)
        error = shown(splat, view.camera, surroundings) - picture
        square = np.square(error).mean(axis=2)
        side, distance = seam_of(plan, places_of(surface, view))
        near = distance < NEAR * plan.margin
        squares.append(square.mean())
        near_squares.append(square[near])
        psnrs.append(psnr(square.mean()))
        tone = 255 * error.mean(axis=2)
        first, second = near & (side > 0), near & (side < 0)
        if min(first.sum(), second.sum()) >= MIN_PIXELS:
            steps.append(float(tone[first].mean() - tone[second].mean()))
    tone_step = math.sqrt(float(np.mean(np.square(steps)))) if steps else math.nan
    near_error = float(np.concatenate(near_squares).mean())
    return Figures(psnr(float(np.mean(squares))), psnr(near_error), min(psnrs), tone_step, len(splat))


def places_of(splat: Gaussians, view: View) -> Floats:
    """(height, width, 3) where each pixel's ray meets the splat, NaN where it does not."""
    camera = view.camera
    depths = depth_map(splat, camera).median.astype(np.float64)
    rows, columns = np.mgrid[: camera.height, : camera.width] + 0.5
    pixels = np.stack([columns.ravel(), rows.ravel()], axis=1)
    return camera.unproject(pixels, depths.ravel()).reshape(camera.height, camera.width, 3)


def seam_of(plan: BlockPlan, positions: Floats) -> tuple[Floats, Floats]:
    """On which side (±1) of the nearest seam each place lies, and how far from it on the ground."""
    places = along_axes(plan, positions.reshape(-1, 3))
    side, best = np.zeros(len(places)), np.full(len(places), np.inf)
    for block in plan.blocks:
        for axis, value, inward in block.box.sides():
            if inward < 0:
                continue  # the box beyond has the same seam
            other = 1 - axis
            low, high = block.box.low[other], block.box.high[other]
            beyond = np.maximum(
                0 if low is None else low - places[:, other], 0 if high is None else places[:, other] - high
            ).clip(0)
            off = places[:, axis] - value
            distance = np.hypot(off, beyond)
            nearer = distance < best
            best[nearer], side[nearer] = distance[nearer], np.sign(off[nearer])
    return side.reshape(positions.shape[:2]), best.reshape(positions.shape[:2])


def photo(folder: Path, view: View) -> NDArray[np.float32]:
    assert view.image is not None
    return np.asarray(np.asarray(Image.open(folder / view.image).convert("RGB")) / 255, np.float32)


def summary(
    scene: Path, plan: BlockPlan, spent: dict[str, Any], each: Sequence[Any], found: dict[str, Figures]
) -> dict[str, float]:
    """The figures that are compared with their bounds."""
    whole, blocks = found["whole"], found["blocks"]
    seconds = [resources["cpuSeconds"] for resources in each]
    rows = json.loads((scene / photos_file(COARSE)).read_bytes())
    pixels = sum(right * bottom for _, _, right, bottom in (row["rect"] for row in rows))
    return {
        "dB": round(blocks.psnr - whole.psnr, 3),
        "dB near seams": round(blocks.near - whole.near, 3),
        "dB of the worst view": round(blocks.worst - whole.worst, 3),
        "tone step": round(blocks.tone / whole.tone, 2),
        "pixels": round(sum(block.pixels for block in plan.blocks) / pixels, 2),
        "fewest photos of a block": min(block.photos for block in plan.blocks),
        "CPU seconds of the whole": round(spent["whole"]["cpuSeconds"], 1),
        "CPU seconds of the coarse model": round(spent["coarse"]["cpuSeconds"], 1),
        "CPU of the blocks": round(sum(seconds) / spent["whole"]["cpuSeconds"], 2),
        "longest block": round(max(seconds) / (sum(seconds) / len(seconds)), 2),
        "MB of the whole": round(spent["whole"]["peakMemoryBytes"] / 1e6),
        "MB of the largest block": round(max(resources["peakMemoryBytes"] for resources in each) / 1e6),
    }


def draw(path: Path, splats: dict[str, Gaussians], views: Sequence[View], folder: Path, plan: BlockPlan) -> None:
    """The photo with the seam in red, and each splat's picture, of the view that shows most of a seam; errors times 3
    below.
    """
    bands = [seam_of(plan, places_of(splats["whole"], view))[1] for view in views]
    chosen = max(range(len(views)), key=lambda number: int((bands[number] < NEAR * plan.margin).sum()))
    view, surroundings = views[chosen], read_surroundings(folder / "surroundings.json")
    picture = photo(folder, view)
    marked = np.where((bands[chosen] < 0.05 * plan.margin)[..., None], np.array((1, 0, 0), np.float32), picture)
    drawn = [shown(splat, view.camera, surroundings) for splat in splats.values()]
    errors = [np.abs(one - picture) * 3 for one in drawn]
    sheet = np.vstack([np.hstack([picture, *drawn]), np.hstack([marked, *errors])]).clip(0, 1)
    Image.fromarray((255 * sheet).astype(np.uint8)).save(path)


if __name__ == "__main__":
    sys.exit(main())
