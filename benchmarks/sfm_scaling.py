"""`make bench-sfm-scaling`: measure the sfm stage on 18, 36, 72, 150 and 500 photos of one flight over the sample.

Each smaller set consists of the photos nearest to the middle of the largest, so that they overlap. The plot
extrapolates to 5,000 photos; the last line is one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.sfm_peers import Figures, run_stage
from sfm.pairs import EXHAUSTIVE_UP_TO

SIZES = (18, 36, 72, 150, 500)
FAR = 5000
PARTS = ("features", "matching", "mapping", "undistort")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="what `python -m sample --photos 500 --width 800 FOLDER` made")
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    parser.add_argument("--plot", type=Path, help="where the plot goes (PNG)")
    arguments = parser.parse_args()
    measured: dict[int, Figures] = {}
    for size in arguments.sizes:
        with tempfile.TemporaryDirectory(prefix="spaceport-bench-sfm-") as folder:
            archive = Path(folder) / "photos.zip"
            write_middle(arguments.folder, archive, size)
            measured[size] = run_stage(archive, Path(folder) / "ml", Path(folder) / "photos")
        print(line(size, measured[size]), flush=True)
    exponent, factor = power_law({size: figures.cpu_seconds for size, figures in measured.items()})
    if arguments.plot:
        plot(arguments.plot, measured, exponent, factor)
    print(json.dumps(named(measured, exponent, factor)))
    return 0


def write_middle(folder: Path, archive: Path, size: int) -> None:
    """A ZIP of the `size` photos of the flight in `folder` (sample.zip, poses.json) nearest to its middle."""
    photos = json.loads((folder / "poses.json").read_text())["photos"]
    centres = np.array([photo["centre"][:2] for photo in photos])
    nearest = np.argsort(np.linalg.norm(centres - np.median(centres, axis=0), axis=1), kind="stable")[:size]
    with zipfile.ZipFile(folder / "sample.zip") as source, zipfile.ZipFile(archive, "w") as target:
        for index in sorted(nearest):
            target.writestr(photos[index]["name"], source.read(photos[index]["name"]))


def power_law(seconds: Mapping[int, float]) -> tuple[float, float]:
    """(b, a) of seconds = a · photos^b, least squares of logarithms, over the sets that are not matched whole."""
    large = [size for size in seconds if size > EXHAUSTIVE_UP_TO]
    exponent, constant = np.polyfit(np.log(large), np.log([seconds[size] for size in large]), 1)
    return float(exponent), float(np.exp(constant))


def named(measured: dict[int, Figures], exponent: float, factor: float) -> dict[str, float]:
    found: dict[str, float] = {"exponent": round(exponent, 3), f"cpu_s_at_{FAR}": round(factor * FAR**exponent)}
    for size, figures in measured.items():
        found[f"cpu_s_{size}"] = round(figures.cpu_seconds, 1)
        found[f"peak_mb_{size}"] = round(figures.peak_bytes / 1e6)
        found[f"registered_{size}"] = figures.registered
        found[f"mapping_share_{size}"] = round(figures.share("mapping"), 3)
    return found


def line(size: int, figures: Figures) -> str:
    parts = ", ".join(f"{part} {figures.share(part):.0%}" for part in PARTS)
    return (
        f"{size:>4} photos: {figures.cpu_seconds:>7.1f} CPU s ({figures.cpu_seconds / size:.2f} a photo), "
        f"{figures.registered} registered, {figures.peak_bytes / 1e6:.0f} MB; {parts}"
    )


def plot(path: Path, measured: dict[int, Figures], exponent: float, factor: float) -> None:
    """CPU seconds over photos, both logarithmic: measured, fitted, extrapolated."""
    figure = Figure(figsize=(7, 4.2), dpi=110)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    sizes = np.array(list(measured))
    ahead = np.geomspace(sizes.min(), FAR, 50)
    axes.plot(ahead, factor * ahead**exponent, color="#888888", linestyle="--", label=f"∝ photos^{exponent:.2f}")
    axes.plot(sizes, [figures.cpu_seconds for figures in measured.values()], "o-", color="#c2571a", label="measured")
    axes.annotate(
        f"{factor * FAR**exponent / 3600:.1f} CPU h at {FAR:,}", (FAR, factor * FAR**exponent), ha="right", va="bottom"
    )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(top=2 * factor * FAR**exponent)
    axes.set_xlabel("photos")
    axes.set_ylabel("CPU seconds of the sfm stage")
    axes.grid(which="both", alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, format="png")


if __name__ == "__main__":
    sys.exit(main())
