"""`make bench-pipeline`: run the sample through the whole pipeline and measure wall and CPU seconds of each stage.

The last line is one line of JSON, figures by name. The seconds are those in each stage's result.json.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from contract.stages import Stage
from local.cloud import ROOT, attached_cloud
from local.demo import deploy_for, run
from local.ports import DEFAULT_PORT
from local.sample_photos import BUILD, make_sample


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--zip", type=Path, help="other photos than the sample's")
    parser.add_argument("--quality", default="standard")
    arguments = parser.parse_args()
    photos = arguments.zip or make_sample(BUILD)
    with tempfile.TemporaryDirectory(prefix="spaceport-bench-") as out:
        with attached_cloud(ROOT / ".local" / f"bench-{os.getpid()}", DEFAULT_PORT) as cloud:
            exit_code = run(cloud, deploy_for(cloud.address), photos, arguments.quality, Path(out))
        if exit_code != 0:
            return exit_code
        folder = Path(out) / photos.stem
        results = {stage.value: json.loads((folder / stage / "result.json").read_text()) for stage in Stage}
        report = json.loads((folder / "report.json").read_text())
    print(table(results))
    print(json.dumps(figures(results, report)))
    return 0


def figures(results: dict[str, dict[str, Any]], report: dict[str, Any]) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for stage, result in results.items():
        named[f"{stage}_wall_s"] = result["resources"]["wallSeconds"]
        named[f"{stage}_cpu_s"] = result["resources"]["cpuSeconds"]
        named[f"{stage}_peak_mb"] = round(result["resources"]["peakMemoryBytes"] / 1e6)
    named["stages_wall_s"] = round(sum(named[f"{stage}_wall_s"] for stage in results), 1)
    named["stages_cpu_s"] = round(sum(named[f"{stage}_cpu_s"] for stage in results), 1)
    return named | {name: report[name] for name in ("photos", "registered", "gaussians", "psnr", "ssim", "bytes")}


def table(results: dict[str, dict[str, Any]]) -> str:
    """A table of the slowest parts of each stage."""
    lines = [f"{'stage':<11} {'wall s':>7} {'CPU s':>7}  parts"]
    for stage, result in results.items():
        slowest = sorted(result["timings"].items(), key=lambda part: -part[1])[:5]
        parts = ", ".join(f"{name} {seconds:.1f}" for name, seconds in slowest)
        resources = result["resources"]
        lines.append(f"{stage:<11} {resources['wallSeconds']:>7.1f} {resources['cpuSeconds']:>7.1f}  {parts}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
