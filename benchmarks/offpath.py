"""`make bench-offpath`: compare splats with the generator's truth in views where no photo was taken.

Generates flights (SCENES="nadir-0-24 rings-3-20": kind, seed, photos), runs the sfm and 3dgs stages on them, and
compares the splat with the truth in views that no photo has, at 800 × 600 (benchmarks/README.md explains each figure).
Everything is kept below .build/bench-offpath/ and not run again; `--tag` names another training run beside the existing
ones. Writes a line of JSON and a sheet of pictures per scene (truth left, splat right), and a table at the end.
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
from benchmarks.flights import KINDS, Flight, photos_of, true_poses
from benchmarks.fog import fog_alone
from benchmarks.free_views import views
from benchmarks.similarity import similarity
from benchmarks.splat_figures import shape
from benchmarks.stage_runs import BUILD, SCORED, result_of, run_sfm, run_training
from benchmarks.truth_views import TrueView, Truth, load, rendered, save
from splat.camera import View, read_views
from splat.gaussians import Float32
from splat.ply import read_ply
from splat.render import render
from splat.surroundings import read_surroundings
from trainer.evaluate import fitted, gmsd, psnr_over

# Three properties, each flown with and without rings. Seed 10 is reserved: no parameter of the trainer was tuned on it.
SCENES = ("nadir-0-24", "nadir-3-24", "nadir-10-24", "rings-0-20", "rings-3-20", "rings-10-20")
FOLD = 3
MIN_SHARE = 0.02  # of a view that three photos must see for it to count
MIN_PHOTOS = 3
_SHOWN = 2  # views of each kind on the sheet
Row = dict[str, float | None]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenes", nargs="*", default=SCENES, help="kind-seed-photos; kinds: nadir, rings, fields")
    parser.add_argument("--quality", default="standard")
    parser.add_argument("--tag", default="now", help="of the training run, to keep several beside each other")
    arguments = parser.parse_args()
    results = []
    for name in arguments.scenes:
        flight = Flight.named(name)
        folder = BUILD / "bench-offpath" / flight.name
        scene = run_sfm(photos_of(flight, folder), folder / "sfm")
        run = folder / f"{arguments.tag}-{arguments.quality}"
        model = run_training(scene, run, arguments.quality, FOLD)
        found, sheet = measured(flight, folder, scene, model)
        save_sheet(run / "offpath.jpg", sheet)
        results.append({"scene": flight.name, "quality": arguments.quality, "tag": arguments.tag, **found})
        (run / "offpath.json").write_text(json.dumps(results[-1], indent=1) + "\n", encoding="utf-8")
        print(json.dumps(results[-1]), flush=True)
    print(table(results))
    return 0


def measured(
    flight: Flight, folder: Path, scene: Path, model: Path, every: int = 1
) -> tuple[dict[str, Any], list[list[Float32]]]:
    """All figures of a trained flight, and the rows of its sheet; `every`: use only every n-th view of a kind."""
    delivered, scored = read_ply(model / "scene.ply"), read_ply(model.parent / SCORED)
    seen, surroundings = read_views(model / "views.json"), read_surroundings(model / "surroundings.json")
    poses = poses_of(seen, scene, folder)
    carried = similarity(
        np.array([poses[view.name]["centre"] for view in seen]), np.array([view.camera.position for view in seen])
    )
    truth = truth_of(flight, folder, seen, poses, every)
    fogs = {id(splat): fog_alone(splat, carried, truth.maps) for splat in (delivered, scored)}
    figures: dict[str, Any] = {}
    sheet: list[list[Float32]] = []
    for kind in flight.kinds:
        splat = scored if kind == "held-out" else delivered
        rows, pictures = [], []
        for view in truth.views[kind]:
            camera = carried.camera(view.camera)
            picture = shown(splat, camera, surroundings)
            row = compared(picture, render(fogs[id(splat)], camera)[..., 0], view)
            if row is not None:
                rows.append(row)
                pictures += [as_floats(view.picture), picture]
        figures[kind] = averaged(rows)
        sheet.append(pictures[: 2 * _SHOWN])
    free = [figures[kind]["fog"] for kind in flight.kinds[1:] if figures[kind]["fog"] is not None]
    result = result_of(model)
    distance = carried.scale * float(np.median([depths[np.isfinite(depths)].mean() for _, depths in truth.photos]))
    cameras = [view.camera for view in seen if view.split == "train"]
    made = shape(delivered, cameras, distance)
    figures |= {
        "fog": round(float(np.mean(free)), 5),
        "off_path": round(result["metrics"]["psnrOffPath"], 2),
        "needles": round(made.needles, 4),
        "long": round(made.long, 5),
        "unseen": round(made.unseen, 4),
        "opacity": [round(value, 3) for value in made.opacity],
        "gaussians": len(delivered),
        "cpu_s": round(result["resources"]["cpuSeconds"], 1),
        "peak_mb": round(result["resources"]["peakMemoryBytes"] / 1e6),
        "centres_off_m": round(carried.off / carried.scale, 4),
    }
    return figures, sheet


def poses_of(seen: list[View], scene: Path, folder: Path) -> dict[str, dict[str, Any]]:
    """The true pose of each photo by the stages' name for it."""
    photos = json.loads((scene / "photos.json").read_text(encoding="utf-8"))
    originals = {photo["name"]: Path(photo["original"]).name for photo in photos if photo["registered"]}
    truth = true_poses(folder)
    return {view.name: truth[originals[view.name]] for view in seen}


def truth_of(flight: Flight, folder: Path, seen: list[View], poses: dict[str, dict[str, Any]], every: int) -> Truth:
    """The flight's true views, rendered once and kept in `folder`."""
    path = folder / "truth.npz"
    if not path.is_file():
        print(f"photographing what is true of {flight.name}", file=sys.stderr, flush=True)
        scenery = flight.scenery()
        held_out, trained = ([poses[view.name] for view in seen if view.split == split] for split in ("test", "train"))
        cameras = views(held_out, trained, scenery.terrain)
        cameras = {kind: cameras[kind][::every] for kind in flight.kinds}
        save(path, rendered(flight.lit(scenery), cameras, trained))
    return load(path)


def compared(picture: Float32, fog: Float32, view: TrueView) -> Row | None:
    """A view's figures; None if training photos see next to nothing of it."""
    truth = as_floats(view.picture)
    seen = view.seen(MIN_PHOTOS)
    share = float(seen.mean())
    if share < MIN_SHARE:
        return None
    return {
        "psnr": psnr_over(picture, truth, np.ones_like(seen)),
        "seen3": psnr_over(picture, truth, seen),
        "rest": None if seen.all() else psnr_over(picture, truth, ~seen),
        "fit3": psnr_over(fitted(picture, truth, seen), truth, seen),
        "gmsd": gmsd(picture, truth),
        "gmsd3": gmsd(picture, truth, seen),
        "fog": float(fog[seen].mean()),
        "share3": share,
    }


def averaged(rows: list[Row]) -> dict[str, Any]:
    """The mean of each figure over the views that have it."""
    names = ("psnr", "seen3", "rest", "fit3", "gmsd", "gmsd3", "fog", "share3")
    found: dict[str, Any] = {"views": len(rows)}
    for name in names:
        values = [value for row in rows if (value := row[name]) is not None]
        found[name] = round(float(np.mean(values)), 4) if values else None
    return found


def table(results: list[dict[str, Any]]) -> str:
    """Markdown: seen3 in dB (GMSD) by kind of view, then the splat's own figures."""
    head = [
        "scene",
        "CPU s",
        *KINDS,
        "horizon, whole",
        "fog",
        "told without truth",
        "needles",
        "opacity 10/50/90/99 %",
        "unseen",
    ]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for result in results:
        cells = [f"{result['scene']} {result['tag']}", f"{result['cpu_s']:.0f}"]
        for kind in KINDS:
            figures = result.get(kind)
            cells.append(f"{figures['seen3']:.1f} ({figures['gmsd']:.3f})" if figures and figures["views"] else "")
        whole = result["horizon"]["psnr"]
        cells.append("" if whole is None else f"{whole:.1f}")
        cells += [f"{100 * result['fog']:.2f} %", f"{result['off_path']:.1f}", f"{100 * result['needles']:.1f} %"]
        cells += ["/".join(f"{value:.2f}" for value in result["opacity"]), f"{100 * result['unseen']:.1f} %"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
