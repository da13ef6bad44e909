"""`python -m products MODEL CAMERAS OUTPUT`: make the survey products from the outputs of training and sfm.

Prints a line `<share> <step>` for each step. The stage runs it as a separate process, so that a scene whose maps do not
fit into memory is still delivered, without them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import fields
from pathlib import Path

from contract.options import Quality
from products.letterhead import Letterhead
from products.make import Options, make, write_report
from products.scene import read_scene


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m products", description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="output of training: scene.ply, dense.ply, views.json, …")
    parser.add_argument("cameras", type=Path, help="output of structure from motion: images, survey.json, …")
    parser.add_argument("output", type=Path, help="folder for the products")
    parser.add_argument("--name", default="scene")
    for each in fields(Letterhead):
        kind, default = (Path, None) if each.name == "logo" else (str, "")
        parser.add_argument(f"--{each.name}", type=kind, default=default, help="for the quality report")
    parser.add_argument("--quality", type=Quality, default=Quality.STANDARD)
    parser.add_argument("--cell", type=float, help="cell size of the maps in metres; default: the photos' resolution")
    parser.add_argument("--epsg", type=int, help="EPSG code of the coordinate system; default: the scene's own")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    letterhead = Letterhead(**{each.name: getattr(arguments, each.name) for each in fields(Letterhead)})
    options = Options(arguments.name, arguments.quality, arguments.cell, arguments.epsg, letterhead)
    with tempfile.TemporaryDirectory(dir=arguments.output.parent) as scratch:
        scene = read_scene(arguments.model, arguments.cameras)
        make(scene, options, arguments.output, Path(scratch), _say)
    _say(0.95, "writing the quality report")
    write_report(options, arguments.model, arguments.cameras, arguments.output)
    return 0


def _say(share: float, text: str) -> None:
    print(f"{share:.4f} {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
