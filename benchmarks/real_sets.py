"""`make bench-real SETS="a.zip b.zip"`: measure real flights by cross-validation, with their photos as the only truth.

A fold holds out every 8th photo, beginning with the given number (FOLDS="0 2 4 6"). The sfm stage runs once per set,
the 3dgs stage once per fold; everything is kept below .build/bench-real/. Prints one line of JSON per set, with the
means over its held-out photos, and writes one sheet per fold: two held-out photos with the splat's pictures, then two
free views with the nearest photo.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contact_sheet import save_sheet
from benchmarks.drawing import as_floats, shown
from benchmarks.real_views import free_views
from benchmarks.splat_figures import shape
from benchmarks.stage_runs import BUILD, SCORED, result_of, run_sfm, run_training
from splat.camera import read_views
from splat.gaussians import Float32
from splat.ply import read_ply
from splat.surroundings import read_surroundings
from trainer.dataset import load_scene
from trainer.photo_store import PhotoStore

_SHOWN = 2  # held-out photos on a fold's sheet
# Of a held-out photo, by the stage's name: whole, after a gain and an offset a channel; over what three training photos
# see, the same after those; whole, exposed as the photos before and after suggest; structure; edges; that share.
FIGURES = {
    "psnr": "psnr",
    "fit": "psnr_fitted",
    "seen3": "psnr_seen",
    "fit3": "psnr_seen_fitted",
    "told": "psnr_predicted",
    "ssim": "ssim",
    "gmsd": "gmsd",
    "share3": "seen",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", type=Path, nargs="+", help="ZIPs of photos")
    parser.add_argument("--folds", type=int, nargs="+", default=[3], help="first held-out photo of every 8, 0 to 7")
    parser.add_argument("--quality", default="standard")
    parser.add_argument("--tag", default="now", help="of the training runs, to keep several beside each other")
    arguments = parser.parse_args()
    results = []
    for archive in arguments.sets:
        folder = BUILD / "bench-real" / archive.stem
        scene = run_sfm(archive, folder / "sfm")
        folds = []
        for fold in arguments.folds:
            run = folder / f"{arguments.tag}-{arguments.quality}-{fold}"
            model = run_training(scene, run, arguments.quality, fold)
            found, sheet = measured(scene, model, fold)
            save_sheet(run / "real.jpg", sheet)
            (run / "real.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
            folds.append(found)
        head = {"set": archive.stem, "quality": arguments.quality, "tag": arguments.tag, "folds": arguments.folds}
        results.append(head | over_folds(folds))
        print(json.dumps(results[-1]), flush=True)
    print(table(results))
    return 0


def measured(folder: Path, model: Path, fold: int) -> tuple[dict[str, Any], list[list[Float32]]]:
    """Figures of one fold: the held-out photos' in `views`, the splat's and the run's beside them; the sheet's rows."""
    delivered, scored = read_ply(model / "scene.ply"), read_ply(model.parent / SCORED)
    surroundings, result = read_surroundings(model / "surroundings.json"), result_of(model)
    cameras = [view.camera for view in read_views(model / "views.json")]
    scene, store = load_scene(folder, max(max(camera.width, camera.height) for camera in cameras), fold), PhotoStore()
    sheet = [
        [as_floats(store.picture(photo)), shown(scored, photo.camera, surroundings)]
        for photo in scene.split("test")[:_SHOWN]
    ]
    for nearest, camera in free_views(scene):
        sheet.append([as_floats(store.picture(nearest)), shown(delivered, camera, surroundings)])
    made = shape(delivered, [photo.camera for photo in scene.split("train")], scene.frame.scale)
    return {
        "views": [{name: view[given] for name, given in FIGURES.items()} for view in result["metrics"]["views"]],
        "train": result["metrics"]["psnrTrain"],
        "off_path": result["metrics"]["psnrOffPath"],
        "needles": made.needles,
        "long": made.long,
        "unseen": made.unseen,
        "opacity": made.opacity,
        "gaussians": len(delivered),
        "cpu_s": result["resources"]["cpuSeconds"],
        "peak_mb": result["resources"]["peakMemoryBytes"] / 1e6,
    }, sheet


def over_folds(folds: list[dict[str, Any]]) -> dict[str, Any]:
    """Means of the photos' figures over all held-out photos, and of the runs' figures over the folds."""
    views = [view for fold in folds for view in fold["views"]]
    found: dict[str, Any] = {"heldOut": len(views)}
    for name in FIGURES:
        values = [view[name] for view in views if view.get(name) is not None]
        found[name] = round(float(np.mean(values)), 4) if values else None
    for name in ("train", "off_path", "needles", "long", "unseen", "gaussians", "cpu_s", "peak_mb"):
        found[name] = round(float(np.mean([fold[name] for fold in folds])), 4)
    return found | {"opacity": np.mean([fold["opacity"] for fold in folds], axis=0).round(3).tolist()}


def table(results: list[dict[str, Any]]) -> str:
    """A table in Markdown with a row per set."""
    head = ["set", "CPU s", *FIGURES, "train", "off path", "needles", "opacity 10/50/90/99 %", "peak MB"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for result in results:
        cells = [f"{result['set']} {result['quality']} {result['tag']}", f"{result['cpu_s']:.0f}"]
        for name in FIGURES:
            value, digits = result[name], 3 if name in ("ssim", "gmsd", "share3") else 2
            cells.append("" if value is None else f"{value:.{digits}f}")
        cells += [f"{result['train']:.2f}", f"{result['off_path']:.2f}", f"{100 * result['needles']:.1f} %"]
        cells += ["/".join(f"{value:.2f}" for value in result["opacity"]), f"{result['peak_mb']:.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
