"""`make bench-score`: test whether the score follows the quality that customers see.

Splats of generated flights (SCENES="nadir-3-24 rings-0-20", trained as in `make bench-offpath` and kept with its runs)
are degraded step by step in four ways (`ruins.py`). For each, the score is computed from what a job knows without any
truth, and compared with the truth off the flight path. Prints a line per splat, then one line of JSON: Spearman's rank
correlation of the score and the PSNR off the path, and the number of steps that degraded the splat but did not lower
the score.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from plyfile import PlyData
from scipy.stats import spearmanr

from benchmarks.drawing import as_floats, shown
from benchmarks.flights import Flight, photos_of
from benchmarks.offpath import FOLD, MIN_PHOTOS, MIN_SHARE, poses_of, truth_of
from benchmarks.ruins import RUINS, Ruin
from benchmarks.similarity import similarity
from benchmarks.stage_runs import BUILD, SCORED, result_of, run_sfm, run_training
from benchmarks.truth_views import TrueView
from deliver.report import Quality, score_parts
from splat.camera import Camera, read_views
from splat.gaussians import Gaussians
from splat.offpath import Surfaces, look_around, match_off_path
from splat.ply import read_ply
from splat.surroundings import Surroundings, read_surroundings
from trainer.coverage import WELL_SEEN, views_of_pixels
from trainer.dataset import Scene, load_scene
from trainer.evaluate import mean, psnr_over, score
from trainer.photo_store import PhotoStore

SCENES = ("nadir-3-24", "rings-0-20")
OFF_PATH = ("orbit", "wide", "between", "near")
EVERY = 4  # of the views of a kind


@dataclass(frozen=True)
class Rung:
    """A splat on a ladder: the score's parts by name, their sum, and the true PSNR off the path (dB)."""

    name: str
    parts: dict[str, float]
    score: float
    off_path: float


@dataclass(frozen=True)
class Site:
    """A trained flight with all data by which its splats are judged."""

    scene: Scene
    store: PhotoStore
    surroundings: Surroundings
    surfaces: Surfaces
    views: list[tuple[TrueView, Camera]]  # off the path: the truth, and its camera in the splat's world
    scored: Gaussians  # before the finish on all photos
    delivered: Gaussians
    photos: int
    registered: int

    def rung(self, name: str, ruin: Ruin | None = None, degree: float = 0.0) -> Rung:
        distance = self.scene.frame.scale
        scored, delivered = (
            splat if ruin is None else ruin(splat, degree, distance) for splat in (self.scored, self.delivered)
        )
        parts = score_parts(self.quality(scored, delivered))
        truths = []
        for view, camera in self.views:
            seen = view.seen(MIN_PHOTOS)
            if seen.mean() >= MIN_SHARE:
                picture = shown(delivered, camera, self.surroundings)
                truths.append(psnr_over(picture, as_floats(view.picture), seen))
        points = {part.name: part.points for part in parts}
        return Rung(name, points, round(sum(points.values()), 1), round(float(np.mean(truths)), 2))

    def quality(self, scored: Gaussians, delivered: Gaussians) -> Quality:
        """The figures of the report, without a loss by compression."""
        training = [photo.camera for photo in self.scene.split("train")]
        rows = []
        for photo in self.scene.split("test"):
            seen = views_of_pixels(photo.camera, training, self.scene.positions) >= WELL_SEEN
            picture = shown(scored, photo.camera, self.surroundings)
            target = self.store.target(photo, photo.camera)
            rows.append(score(photo.name, picture, target, None, seen, np.ones(3)))
        around = look_around(self.scene.positions, self.scene.frame.scale, self.surroundings.up)
        match = match_off_path(delivered, self.surfaces, around, self.surroundings)
        psnr, gmsd, seen_share = (
            mean(getattr(row, name) for row in rows) or 0.0 for name in ("psnr_seen_fitted", "gmsd", "seen")
        )
        off_path = 0.0 if match is None else match.contrast_to_error
        return Quality(psnr, gmsd, off_path, seen_share, self.photos, self.registered)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenes", nargs="*", default=SCENES, help="kind-seed-photos, as in nadir-3-24")
    parser.add_argument("--quality", default="standard")
    parser.add_argument("--tag", default="now", help="of the training run of bench-offpath")
    parser.add_argument("--plot", type=Path, help="where to save the plot of score by PSNR off the path")
    arguments = parser.parse_args()
    found: dict[str, list[list[Rung]]] = {}
    for name in arguments.scenes:
        site = site_of(Flight.named(name), arguments.tag, arguments.quality)
        top = site.rung("as trained")
        report(name, top)
        found[name] = []
        for kind, (ruin, degrees) in RUINS.items():
            ladder = [top, *(site.rung(f"{kind} {degree:g}", ruin, degree) for degree in degrees)]
            for rung in ladder[1:]:
                report(name, rung)
            found[name].append(ladder)
    print(json.dumps(agreement(found)))
    if arguments.plot:
        save_plot(arguments.plot, found)
    return 0


def report(scene: str, rung: Rung) -> None:
    points = "  ".join(f"{name} {value:.0f}" for name, value in rung.parts.items())
    print(f"{scene:<12} {rung.name:<16} {rung.off_path:5.1f} dB  score {rung.score:5.1f}  {points}", flush=True)


def agreement(found: dict[str, list[list[Rung]]]) -> dict[str, float | int]:
    """Spearman's correlation over all splats, and the number of steps that lower the truth but not the score."""
    rungs = {(scene, rung.name): rung for scene, ladders in found.items() for ladder in ladders for rung in ladder}
    scores, truths = ([getattr(rung, name) for rung in rungs.values()] for name in ("score", "off_path"))
    steps = [step for ladders in found.values() for ladder in ladders for step in pairwise(ladder)]
    wrong = [(upper, lower) for upper, lower in steps if lower.off_path < upper.off_path and lower.score >= upper.score]
    return {
        "splats": len(rungs),
        "spearman": round(float(spearmanr(scores, truths).statistic), 3),
        "steps": len(steps),
        "not_lowered": len(wrong),
    }


def site_of(flight: Flight, tag: str, quality: str) -> Site:
    folder = BUILD / "bench-offpath" / flight.name
    scene = run_sfm(photos_of(flight, folder), folder / "sfm")
    model = run_training(scene, folder / f"{tag}-{quality}", quality, FOLD)
    seen = read_views(model / "views.json")
    poses = poses_of(seen, scene, folder)
    carried = similarity(
        np.array([poses[view.name]["centre"] for view in seen]), np.array([view.camera.position for view in seen])
    )
    truth = truth_of(flight, folder, seen, poses, 1)
    counts = result_of(scene)["counts"]
    return Site(
        scene=load_scene(scene, max(max(view.camera.width, view.camera.height) for view in seen), FOLD),
        store=PhotoStore(),
        surroundings=read_surroundings(model / "surroundings.json"),
        surfaces=surfaces_in(model / "dense.ply"),
        views=[(view, carried.camera(view.camera)) for kind in OFF_PATH for view in truth.views[kind][::EVERY]],
        scored=read_ply(model.parent / SCORED),
        delivered=read_ply(model / "scene.ply"),
        photos=counts["photos"],
        registered=counts["registered"],
    )


def surfaces_in(path: Path) -> Surfaces:
    """The surfaces of a dense.ply."""
    vertices = PlyData.read(str(path))["vertex"]

    def columns(*names: str) -> np.ndarray:
        return np.stack([np.asarray(vertices[name], np.float64) for name in names], axis=1)

    return Surfaces(columns("x", "y", "z"), columns("nx", "ny", "nz"), columns("red", "green", "blue") / 255)


def save_plot(path: Path, found: dict[str, list[list[Rung]]]) -> None:
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    colours = dict(zip(RUINS, ("#2a6f97", "#c1666b", "#7a9e3b", "#8d6cab"), strict=True))
    for scene, style in zip(found, ("o-", "s--", "^:", "d-."), strict=False):
        for (kind, colour), ladder in zip(colours.items(), found[scene], strict=True):
            points = [(rung.off_path, rung.score) for rung in ladder]
            axes.plot(*zip(*points, strict=True), style, color=colour, label=f"{scene}, {kind}", markersize=4)
    axes.set(xlabel="PSNR off the flight path, dB", ylabel="score", ylim=(0, 100))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    sys.exit(main())
