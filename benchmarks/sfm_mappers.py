"""`make bench-sfm-mappers`, `make bench-sfm-clusters`: compare mappers on the same matches.

The photos of FOLDER (made by `python -m sample FOLDER`) are matched once. Then each mapper maps them in a separate
process: the stage's, undivided and in clusters (sfm.clusters), and pycolmap's global one (GLOMAP, Pan et al. 2024, on a
calibrated view graph). `--matched COUNT` starts from the matches of a synthetic flight of COUNT photos, which is mapped
undivided and in clusters of the stage's own size. The last line is one line of JSON.
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

from benchmarks.matched_flight import write_matched_flight
from benchmarks.sfm_truth import Vector, aligned
from sfm.clusters import Clusters
from sfm.describe import describe_photos
from sfm.ingest import ingest
from sfm.mapping import map_scene
from sfm.matching import match_pairs
from sfm.parallel import available_cores
from stage.archive import unpack


def in_one(database: Path, output: Path, threads: int, count: int) -> None:
    map_scene(database, output, count, threads, math.inf, lambda _share: None, Clusters(min_flight=count + 1))


def in_clusters(database: Path, output: Path, threads: int, count: int) -> None:
    """In clusters of the stage's size; in smaller ones, at least four, where the flight is smaller."""
    photos = min(Clusters().photos, count // 4)
    clusters = Clusters(min_flight=count, photos=photos, overlap=min(Clusters().overlap, photos // 2))
    map_scene(database, output, count, threads, math.inf, lambda _share: None, clusters)


def globally(database: Path, output: Path, threads: int, _count: int) -> None:
    pycolmap.calibrate_view_graph(database)
    options = pycolmap.GlobalPipelineOptions(num_threads=threads, random_seed=1)
    _write_largest(pycolmap.global_mapping(database, database.parent, output, options), output)


def _write_largest(models: dict[int, pycolmap.Reconstruction], output: Path) -> None:
    max(models.values(), key=lambda model: model.num_reg_images()).write(output)


MAPPERS: dict[str, Callable[[Path, Path, int, int], None]] = {
    "in_one": in_one,
    "in_clusters": in_clusters,
    "global": globally,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("folder", type=Path, nargs="?", help="with sample.zip and poses.json")
    given.add_argument("--matched", type=int, metavar="COUNT", help="photos of a flight without pictures")
    arguments = parser.parse_args()
    threads = available_cores()
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="spaceport-bench-sfm-") as name:
        scratch = Path(name)
        database = scratch / "colmap.db"
        if arguments.matched:
            centres = write_matched_flight(database, arguments.matched)
            true = {f"{index:04d}.jpg": centre for index, centre in enumerate(centres)}
        else:
            true = _match(arguments.folder, scratch, database, threads)
        for mapper in ("in_one", "in_clusters") if arguments.matched else MAPPERS:
            folder = scratch / mapper
            folder.mkdir()
            with closing(sqlite3.connect(database)) as connection:
                connection.execute("VACUUM INTO ?", (str(folder / "colmap.db"),))
            cpu, peak = _run(mapper, folder, threads, len(true))
            model = pycolmap.Reconstruction(folder / "model")
            figures |= {f"{mapper}_cpu_s": round(cpu, 1), f"{mapper}_peak_mb": round(peak / 1e6)}
            figures |= {f"{mapper}_registered": model.num_reg_images(), f"{mapper}_points": model.num_points3D()}
            figures[f"{mapper}_centres_percent"] = round(centre_error(model, true), 5)
            print({name: value for name, value in figures.items() if name.startswith(mapper)}, flush=True)
    print(json.dumps(figures))
    return 0


def _match(folder: Path, scratch: Path, database: Path, threads: int) -> dict[str, Vector]:
    """Match the photos of `folder` into `database`; returns their true centres by their names there."""
    centres = {
        photo["name"]: np.array(photo["centre"])
        for photo in json.loads((folder / "poses.json").read_text(encoding="utf-8"))["photos"]
    }
    unpacked = unpack(folder / "sample.zip", scratch / "archive", lambda path: path.suffix == ".JPG")
    photos = ingest(unpacked.files, [], scratch / "photos", threads, lambda _share: None).photos
    described = describe_photos(database, photos, threads, lambda _share: None)
    match_pairs(database, described.pairs, threads, lambda _share: None)
    return {photo.name: centres[photo.original] for photo in photos}


def _run(mapper: str, folder: Path, threads: int, count: int) -> tuple[float, int]:
    """CPU seconds and peak bytes of one mapper in a fresh process."""
    model = folder / "model"
    model.mkdir()
    process = get_context("spawn").Process(target=MAPPERS[mapper], args=(folder / "colmap.db", model, threads, count))
    process.start()
    assert process.pid is not None
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise RuntimeError(f"{mapper} ended with {os.waitstatus_to_exitcode(status)}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def centre_error(model: pycolmap.Reconstruction, true: Mapping[str, Vector]) -> float:
    """Mean error of the camera centres in percent of the flight's span; `true` by the photos' names."""
    images = [image for image in model.images.values() if image.has_pose]
    found = np.array([image.projection_center() for image in images])
    errors, _, span = aligned(found, np.array([true[image.name] for image in images]))
    return 100 * float(errors.mean()) / span


if __name__ == "__main__":
    sys.exit(main())
