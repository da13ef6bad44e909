"""`make bench-sfm-mappers`: incremental, global and split-and-merge mapping of the same matches.

The photos of FOLDER (what `python -m sample FOLDER` made) are matched once; then each mapper maps them in a process of
its own: the stage's incremental one, pycolmap's global one (GLOMAP, Pan et al. 2024, on a calibrated view graph) and
its hierarchical one (clusters mapped apart and merged). The last line is one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pycolmap

from benchmarks.sfm_truth import Vector, aligned
from sfm.describe import describe_photos
from sfm.ingest import ingest
from sfm.mapping import map_scene
from sfm.matching import match_pairs
from sfm.parallel import available_cores
from stage.archive import unpack


def incremental(database: Path, output: Path, threads: int, count: int) -> None:
    map_scene(database, output, count, threads, math.inf, lambda _share: None)


def globally(database: Path, output: Path, threads: int, _count: int) -> None:
    pycolmap.calibrate_view_graph(database)
    options = pycolmap.GlobalPipelineOptions(num_threads=threads, random_seed=1)
    _write_largest(pycolmap.global_mapping(database, database.parent, output, options), output)


def split_and_merge(database: Path, output: Path, _threads: int, _count: int) -> None:
    options = pycolmap.HierarchicalPipelineOptions(num_workers=1)
    options.incremental_options.extract_colors = False
    models = pycolmap.hierarchical_mapping(database, database.parent, output, options)
    _write_largest(models if isinstance(models, dict) else dict(enumerate(models)), output)


def _write_largest(models: dict[int, pycolmap.Reconstruction], output: Path) -> None:
    max(models.values(), key=lambda model: model.num_reg_images()).write(output)


MAPPERS: dict[str, Callable[[Path, Path, int, int], None]] = {
    "incremental": incremental,
    "global": globally,
    "split_and_merge": split_and_merge,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="with sample.zip and poses.json")
    arguments = parser.parse_args()
    threads = available_cores()
    true = {
        photo["name"]: np.array(photo["centre"])
        for photo in json.loads((arguments.folder / "poses.json").read_text())["photos"]
    }
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="spaceport-bench-sfm-") as name:
        scratch = Path(name)
        unpacked = unpack(arguments.folder / "sample.zip", scratch / "archive", lambda path: path.suffix == ".JPG")
        photos = ingest(unpacked.files, [], scratch / "photos", threads, lambda _share: None).photos
        database = scratch / "colmap.db"
        described = describe_photos(database, photos, threads, lambda _share: None)
        match_pairs(database, described.pairs, threads, lambda _share: None)
        originals = {photo.name: photo.original for photo in photos}
        for mapper in MAPPERS:
            folder = scratch / mapper
            folder.mkdir()
            with closing(sqlite3.connect(database)) as connection:
                connection.execute("VACUUM INTO ?", (str(folder / "colmap.db"),))
            cpu, peak = _run(mapper, folder, threads, len(photos))
            model = pycolmap.Reconstruction(folder / "model")
            figures |= {f"{mapper}_cpu_s": round(cpu, 1), f"{mapper}_peak_mb": round(peak / 1e6)}
            figures |= {f"{mapper}_registered": model.num_reg_images(), f"{mapper}_points": model.num_points3D()}
            figures[f"{mapper}_centres_percent"] = round(centre_error(model, originals, true), 5)
            print({name: value for name, value in figures.items() if name.startswith(mapper)}, flush=True)
    print(json.dumps(figures))
    return 0


def _run(mapper: str, folder: Path, threads: int, count: int) -> tuple[float, int]:
    """CPU seconds and peak bytes of one mapper in a fresh process."""
    model = folder / "model"
    if mapper != "incremental":  # which makes its folder itself
        model.mkdir()
    process = get_context("spawn").Process(target=MAPPERS[mapper], args=(folder / "colmap.db", model, threads, count))
    process.start()
    assert process.pid is not None
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise RuntimeError(f"{mapper} ended with {os.waitstatus_to_exitcode(status)}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def centre_error(model: pycolmap.Reconstruction, originals: Mapping[str, str], true: Mapping[str, Vector]) -> float:
    """Mean error of the camera centres in percent of the flight's span."""
    images = [image for image in model.images.values() if image.has_pose]
    found = np.array([image.projection_center() for image in images])
    errors, _, span = aligned(found, np.array([true[originals[image.name]] for image in images]))
    return 100 * float(errors.mean()) / span


if __name__ == "__main__":
    sys.exit(main())
