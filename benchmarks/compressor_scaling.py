"""`make bench-compressor-scaling`: measure CPU seconds, memory, bytes and decibels of enlarged scenes by their size.

The last line is one line of JSON, figures by name.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot

from benchmarks.compressor_scenes import ROOT, enlarged, read_scene, sample_model
from splat.ply import write_ply

SIZES = (10_000, 50_000, 250_000, 1_000_000, 5_000_000)
DECIBELS = 47.0
FIGURES = ("bytes", "ratio", "decibels", "cpu_s", "peak_mb")
PANELS = (
    ("cpu_s", "CPU seconds", True),
    ("peak_mb", "peak memory, MB", True),
    ("ratio", "times smaller than the PLY", False),
    ("decibels", "dB from the original", False),
)

Line = dict[str, float]


def scaling(model: Path, sizes: tuple[int, ...]) -> list[Line]:
    """Measure each size in a separate process, so that its peak memory is its own; also print a table."""
    splat, lines = read_scene(model).gaussians, []
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            ply = Path(folder) / "scene.ply"
            write_ply(ply, enlarged(splat, size))
            command = [sys.executable, "-m", "benchmarks.compressor_scale", str(model), str(ply), str(DECIBELS)]
            done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
        line = json.loads(done.stdout.splitlines()[-1])
        print(
            f"{line['gaussians']:>9,} Gaussians {line['bytes']:>11,} bytes 1:{line['ratio']:.1f} "
            f"{line['decibels']:.2f} dB {line['cpu_s']:.1f} CPU-s {line['peak_mb']:,} MB",
            flush=True,
        )
        lines.append(line)
    return lines


def named(lines: list[Line]) -> Line:
    """Figures by name and size."""
    return {f"{name}_{line['gaussians']}": line[name] for line in lines for name in FIGURES}


def plot(lines: list[Line], goal: Path) -> None:
    """Plot seconds, memory, ratio and decibels by size."""
    mpl.use("Agg")
    sizes = [line["gaussians"] for line in lines]
    figure, axes = pyplot.subplots(1, len(PANELS), figsize=(14, 3.4), layout="constrained")
    for axis, (name, title, logarithmic) in zip(axes, PANELS, strict=True):
        values = [line[name] for line in lines]
        axis.plot(sizes, values, "o-", color="#1f6feb")
        axis.set(title=title, xlabel="Gaussians", xscale="log")
        if logarithmic:
            axis.set_yscale("log")
        else:
            axis.set_ylim(0, 1.2 * max(values))
        if name == "cpu_s":
            axis.plot(sizes, [values[-1] * size / sizes[-1] for size in sizes], ":", color="grey", label="linear")
            axis.legend(frameon=False)
        axis.grid(alpha=0.3)
    figure.savefig(goal, dpi=90)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sizes", type=int, nargs="*", help="Gaussians of the enlarged scenes")
    parser.add_argument("--plot", type=Path, help="where to draw the figures")
    arguments = parser.parse_args()
    lines = scaling(sample_model(ROOT / ".build"), tuple(arguments.sizes or SIZES))
    if arguments.plot:
        plot(lines, arguments.plot)
    print(json.dumps(named(lines)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
