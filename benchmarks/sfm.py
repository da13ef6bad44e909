"""`make bench-sfm`: compare the sfm stage with pycolmap's defaults and Debian's COLMAP 3.8 in one run.

On the project's own sample and on the ZIPs given as SETS="a.zip b.zip", it measures CPU seconds, registered photos,
points and reprojection error of each; on the sample also the error against the true poses. The last line is one line of
JSON. COLMAP is measured if the command is installed (apt-get install colmap).
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.sfm_peers import Figures, run_colmap, run_pycolmap, run_stage
from benchmarks.sfm_truth import pose_errors
from local.sample_photos import BUILD, make_sample


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("zips", type=Path, nargs="*", help="further sets of photos")
    parser.add_argument("--peers", default="pycolmap,colmap", help="which to measure beside the stage")
    arguments = parser.parse_args()
    peers = [peer for peer in arguments.peers.split(",") if peer == "pycolmap" or shutil.which(peer)]
    sample = make_sample(BUILD)
    figures: dict[str, float | int | str | None] = {}
    rows: list[tuple[str, str, Figures]] = []
    for archive in [sample, *arguments.zips]:
        with tempfile.TemporaryDirectory(prefix="spaceport-bench-sfm-") as folder:
            measured = measure(archive, Path(folder), peers)
            rows += [(archive.stem, name, result) for name, result in measured.items()]
            figures |= named(archive.stem, measured)
            if archive == sample:
                figures |= pose_errors(Path(folder) / "ml" / "processing" / "output", sample.with_name("poses.json"))
        print(table(rows[-len(measured) :]), flush=True)
    figures |= means(rows)
    print(json.dumps(figures))
    return 0


def measure(archive: Path, folder: Path, peers: list[str]) -> dict[str, Figures]:
    """Measure the stage, then each peer on exactly the photos that the stage unpacked."""
    photos = folder / "photos"
    measured = {"spaceport": run_stage(archive, folder / "ml", photos)}
    if "pycolmap" in peers:
        measured["pycolmap"] = run_pycolmap(photos, folder / "pycolmap")
    if "colmap" in peers:
        measured["colmap"] = run_colmap(photos, folder / "colmap")
    return measured


def named(name: str, measured: dict[str, Figures]) -> dict[str, float | int | str | None]:
    return {
        f"{name}_{who}_{key}": value for who, result in measured.items() for key, value in result.as_figures().items()
    }


def means(rows: list[tuple[str, str, Figures]]) -> dict[str, float | int | str | None]:
    """Means over the sets: CPU seconds per photo, and the factor by which each peer takes longer."""
    ours = {name: result for name, who, result in rows if who == "spaceport"}
    found: dict[str, float | int | str | None] = {
        "cpu_s_a_photo_mean": round(sum(r.cpu_seconds / r.photos for r in ours.values()) / len(ours), 2)
    }
    for peer in ("pycolmap", "colmap"):
        ratios = [result.cpu_seconds / ours[name].cpu_seconds for name, who, result in rows if who == peer]
        if ratios:
            found[f"{peer}_cpu_ratio_mean"] = round(sum(ratios) / len(ratios), 2)
    return found


def table(rows: list[tuple[str, str, Figures]]) -> str:
    lines = [
        f"{'set':<16} {'by':<10} {'CPU s':>7} {'registered':>10} {'points':>7} {'error px':>8} {'GPS m':>6} {'MB':>6}"
    ]
    for name, who, r in rows:
        gps = "" if r.gps_rms is None else f"{r.gps_rms:.2f}"
        lines.append(
            f"{name:<16} {who:<10} {r.cpu_seconds:>7.1f} {r.registered:>4} of {r.photos:<3} {r.points:>7} "
            f"{r.reprojection_error:>8.3f} {gps:>6} {r.peak_bytes / 1e6:>6.0f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
