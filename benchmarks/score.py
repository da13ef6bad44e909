"""`make bench-score`: does the score follow what customers look at?

A ladder of splats from ruined to good, of one generated flight whose off-path truth is known: fewer photos, blurred
ones, exposures that jump, poses with noise, few steps, few Gaussians. Each rung's score, made of what a job knows
without any truth, is put beside its PSNR off the flight path (orbit, wide, between and near, over what three photos
see). The last line is one line of JSON: Spearman's rank correlation, and both figures of each rung. All is kept below
.build/bench-score/.
"""

from __future__ import annotations

import argparse
import json
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pycolmap
from PIL import Image, ImageFilter
from scipy.stats import spearmanr

from benchmarks import offpath, real_sets
from benchmarks.contact_sheet import save_sheet
from benchmarks.flights import Flight, photos_of
from benchmarks.stage_runs import BUILD, result_of, run_sfm, run_training
from deliver.report import Quality, score_parts

FOLD = 3
OFF_PATH = ("orbit", "wide", "between", "near")
FLIGHT = Flight("rings", 3, 20, 640)  # 12 photos of strips, then 8 of a ring
EVERY = 3  # of the views of a kind
STEPS = {"TRAINING_STEPS": "300"}
Change = Callable[[Image.Image, int], Image.Image]


@dataclass(frozen=True)
class Rung:
    """Which of the flight's photos are taken, what is done to each and to the poses, and the training's options."""

    name: str
    photos: tuple[int, ...] = tuple(range(20))
    change: Change | None = None
    pose_noise: float = 0.0  # degrees, and as much of the viewing distance
    options: dict[str, str] = field(default_factory=lambda: STEPS)

    @property
    def as_flown(self) -> bool:
        return self.change is None and len(self.photos) == FLIGHT.photos


def blurred(pixels: float) -> Change:
    return lambda photo, _number: photo.filter(ImageFilter.GaussianBlur(pixels))


def unevenly_lit(deviation: float) -> Change:
    gains = np.exp(np.random.default_rng(0).normal(0, deviation, 1000))
    return lambda photo, number: photo.point([min(255, round(value * gains[number])) for value in range(256)] * 3)


RUNGS = (
    Rung("as flown"),
    Rung("three times the steps", options={"TRAINING_STEPS": "900"}),
    Rung("without the ring", photos=tuple(range(12))),
    Rung("every second photo", photos=tuple(range(0, 20, 2))),
    Rung("every third photo", photos=tuple(range(0, 20, 3))),
    Rung("blurred by 2 px", change=blurred(2.0)),
    Rung("exposures ± 25 %", change=unevenly_lit(0.25)),
    Rung("poses ± 0.2°", pose_noise=0.2),
    Rung("poses ± 1°", pose_noise=1.0),
    Rung("60 steps", options={"TRAINING_STEPS": "60"}),
    Rung("15 steps", options={"TRAINING_STEPS": "15"}),
    Rung("3,000 Gaussians", options=STEPS | {"MAX_GAUSSIANS": "3000"}),
    Rung("500 Gaussians", options=STEPS | {"MAX_GAUSSIANS": "500"}),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", type=Path, help="where to save the plot of score by PSNR off the path")
    parser.add_argument("--rungs", nargs="+", help="only these")
    arguments = parser.parse_args()
    found: dict[str, tuple[float, float]] = {}
    for rung in RUNGS:
        if arguments.rungs and rung.name not in arguments.rungs:
            continue
        figures = climbed(rung)
        parts = score_parts(quality_of(figures))
        found[rung.name] = (sum(part.points for part in parts), figures["offPath"])
        points = "  ".join(f"{part.name} {part.points:.0f} of {part.most}" for part in parts)
        print(f"{rung.name:<18} {figures['offPath']:5.1f} dB  score {found[rung.name][0]:5.1f}  {points}", flush=True)
    scores, decibels = np.array(list(found.values())).T
    if arguments.plot:
        save_plot(arguments.plot, found)
    print(json.dumps({"spearman": round(float(spearmanr(scores, decibels).statistic), 3), "rungs": found}))
    return 0


def climbed(rung: Rung) -> dict[str, Any]:
    """What a job would know of the rung, and `offPath`, dB."""
    folder = BUILD / "bench-score" / rung.name.replace(" ", "-")
    kept = folder / "figures.json"
    if kept.is_file():
        found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
        return found
    flown = BUILD / "bench-score" / FLIGHT.name
    archive = photos_of(FLIGHT, flown)
    if not rung.as_flown:
        archive = changed(archive, folder / "sample.zip", rung)
    scene = run_sfm(archive, flown if rung.as_flown else folder)
    if rung.pose_noise:
        scene = shaken(scene, folder / "scene", rung.pose_noise)
    model = run_training(scene, folder / "training", "preview", FOLD, options=rung.options)
    truth, sheet = offpath.measured(FLIGHT, flown, scene, model, EVERY)
    save_sheet(folder / "offpath.jpg", sheet)
    job, _ = real_sets.measured(scene, model, FOLD)
    seen = [truth[kind]["seen3"] for kind in OFF_PATH if truth[kind]["views"]]
    found = real_sets.over_folds([job]) | {"offPath": float(np.mean(seen)), "fog": truth["fog"]}
    counts = result_of(scene)["counts"]
    found |= {"photos": counts["photos"], "registered": counts["registered"]}
    kept.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return found


def quality_of(found: dict[str, Any]) -> Quality:
    """The figures as the report gets them, nothing lost to compression."""
    return Quality(
        found["fit3"], found["gmsd"], found["off_path"], found["share3"], found["photos"], found["registered"]
    )


def changed(archive: Path, path: Path, rung: Rung) -> Path:
    """The rung's photos, changed as it says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name("partial.zip")
    with zipfile.ZipFile(archive) as given, zipfile.ZipFile(partial, "w") as out:
        names = given.namelist()
        for number in rung.photos:
            content = given.read(names[number])
            if rung.change:
                with Image.open(BytesIO(content)) as photo:
                    stream = BytesIO()
                    rung.change(photo, number).save(stream, "JPEG", quality=93, exif=photo.getexif())
                content = stream.getvalue()
            out.writestr(names[number], content)
    partial.replace(path)
    return path


def shaken(scene: Path, folder: Path, degrees: float) -> Path:
    """The scene with normal noise on every pose: `degrees`, and as much of the sight's angle across."""
    random = np.random.default_rng(0)
    model = pycolmap.Reconstruction(scene / "sparse" / "0")
    points = np.array([point.xyz for point in model.points3D.values()])
    for image in model.images.values():
        pose = image.cam_from_world()
        depths = (pose.rotation.matrix() @ points.T)[2] + pose.translation[2]
        step = np.radians(degrees) * float(np.median(depths[depths > 0]))
        turn = pycolmap.Rotation3d(random.normal(0, np.radians(degrees), 3))
        moved = pycolmap.Rigid3d(turn * pose.rotation, pose.translation + random.normal(0, step, 3))
        image.frame.set_cam_from_world(image.camera_id, moved)
    target = folder / "sparse" / "0"
    target.mkdir(parents=True, exist_ok=True)
    model.write(target)
    for name in ("images", "photos.json", "result.json"):
        if not (folder / name).exists():
            (folder / name).symlink_to((scene / name).resolve())
    return folder


def save_plot(path: Path, found: dict[str, tuple[float, float]]) -> None:
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for name, (score, decibels) in found.items():
        axes.plot(decibels, score, "o", color="#2a6f97")
        axes.annotate(name, (decibels, score), textcoords="offset points", xytext=(6, -3), fontsize=8)
    axes.set(xlabel="PSNR off the flight path, dB", ylabel="score", ylim=(0, 100))
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    sys.exit(main())
