"""`make bench-score`: does the score follow what customers look at?

A ladder of splats from ruined to good, of generated flights whose off-path truth is known: fewer photos, blurred ones,
exposures that jump, poses with noise, few steps, few Gaussians. Each rung's score, made of what a job knows without any
truth, is put beside its PSNR off the flight path (orbit, wide, between and near, over what three photos see). The last
line is one line of JSON: Spearman's rank correlation, and both figures of each rung. All is kept below
.build/bench-score/.
"""

from __future__ import annotations

import argparse
import json
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
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
FLIGHT = Flight("rings", 3, 20, 800)
NADIR = Flight("nadir", 3, 20, 800)
Change = Callable[[Image.Image, int], Image.Image]


@dataclass(frozen=True)
class Rung:
    """A flight, what is done to each of its photos, to the poses that sfm found, and the training's options."""

    name: str
    flight: Flight = FLIGHT
    photos: Change | None = None
    pose_noise: float = 0.0  # degrees, and viewing distances in hundredths
    options: dict[str, str] = field(default_factory=dict)


def blurred(pixels: float) -> Change:
    return lambda photo, _number: photo.filter(ImageFilter.GaussianBlur(pixels))


def unevenly_lit(deviation: float) -> Change:
    gains = np.exp(np.random.default_rng(0).normal(0, deviation, 1000))
    return lambda photo, number: photo.point([min(255, round(value * gains[number])) for value in range(256)] * 3)


RUNGS = (
    Rung("good"),
    Rung("nadir", NADIR),
    Rung("twelve photos", replace(FLIGHT, photos=12)),
    Rung("eight photos", replace(FLIGHT, photos=8)),
    Rung("blurred by 1.5 px", photos=blurred(1.5)),
    Rung("blurred by 4 px", photos=blurred(4.0)),
    Rung("exposures ± 25 %", photos=unevenly_lit(0.25)),
    Rung("poses ± 0.2°", pose_noise=0.2),
    Rung("poses ± 1°", pose_noise=1.0),
    Rung("150 steps", options={"TRAINING_STEPS": "150"}),
    Rung("30 steps", options={"TRAINING_STEPS": "30"}),
    Rung("3,000 Gaussians", options={"MAX_GAUSSIANS": "3000"}),
    Rung("500 Gaussians", options={"MAX_GAUSSIANS": "500"}),
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
    flown = BUILD / "bench-score" / rung.flight.name
    archive = photos_of(rung.flight, flown)
    if rung.photos:
        archive = changed(archive, folder / "sample.zip", rung.photos)
    scene = run_sfm(archive, folder if rung.photos else flown)
    if rung.pose_noise:
        scene = shaken(scene, folder / "scene", rung.pose_noise)
    model = run_training(scene, folder / "training", "preview", FOLD, options=rung.options)
    truth, sheet = offpath.measured(rung.flight, flown, scene, model)
    save_sheet(folder / "offpath.jpg", sheet)
    job, _ = real_sets.measured(scene, model, FOLD)
    seen = [truth[kind]["seen3"] for kind in OFF_PATH if truth[kind]["views"]]
    found = real_sets.over_folds([job]) | {"offPath": float(np.mean(seen)), "fog": truth["fog"]}
    counts = result_of(scene)["counts"]
    found |= {"photos": counts["photos"], "registered": counts["registered"]}
    kept.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return found


def quality_of(found: dict[str, Any]) -> Quality:
    """The figures as the report gets them."""
    return Quality(
        photos=found["photos"],
        registered=found["registered"],
        psnr=found["fit3"],
        gmsd=found["gmsd"],
        seen=found["share3"],
        opacity=found["opacity"][2],
        needles=found["needles"],
        long=found["long"],
        compression_loss=0.0,
    )


def changed(archive: Path, path: Path, change: Change) -> Path:
    """The same photos with `change` done to each, by its number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name("partial.zip")
    with zipfile.ZipFile(archive) as given, zipfile.ZipFile(partial, "w") as out:
        for number, name in enumerate(given.namelist()):
            with Image.open(BytesIO(given.read(name))) as photo:
                stream = BytesIO()
                change(photo, number).save(stream, "JPEG", quality=93, exif=photo.getexif())
            out.writestr(name, stream.getvalue())
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
