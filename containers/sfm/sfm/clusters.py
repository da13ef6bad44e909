"""Map a large flight in parallel clusters and merge them: COLMAP's hierarchical mapper.

Incremental mapping keeps one core busy, for 71 minutes at 5,000 photos (extrapolated, benchmarks/README.md); clusters
of a few hundred photos keep all cores busy. Neighbouring clusters share photos, by which they are merged.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pycolmap

LOOK_SECONDS = 1.0
MERGED_SHARE = 0.8  # of the time that is left; the rest is for merging
THREADS_PER_WORKER = 2
MAX_APART = 0.05  # of the photos that verified pairs connect: more outside the largest model, and merging has failed


@dataclass(frozen=True)
class Clusters:
    """How a flight is divided.

    `min_flight`: the number of photos from which a flight is divided; below it, one core takes less than a quarter of
    an hour. `photos`: the maximum of one cluster, before the overlap; smaller clusters cost more CPU time for the
    overlap and merge less reliably. `overlap`: how many photos a cluster takes from its neighbours.
    """

    min_flight: int = 800
    photos: int = 300
    overlap: int = 50


def map_in_clusters(
    database: Path,
    folder: Path,
    options: pycolmap.IncrementalPipelineOptions,
    clusters: Clusters,
    count: int,
    threads: int,
    seconds: float,
    on_share: Callable[[float], None],
) -> tuple[list[pycolmap.Reconstruction], bool]:
    """The models after merging, and whether a cluster ran out of its part of `seconds`.

    `options`: for each cluster, but for threads and time. `on_share` is called with the share of the photos done.
    """
    workers = max(threads // THREADS_PER_WORKER, min(threads, 2))
    rounds = math.ceil(math.ceil(count / clusters.photos) / workers)
    options.num_threads = max(threads // workers, 1)
    options.max_runtime_seconds = whole_seconds(MERGED_SHARE * seconds / rounds)
    hierarchical = pycolmap.HierarchicalPipelineOptions(num_workers=workers, incremental_options=options)
    hierarchical.clustering_options.leaf_max_num_images = clusters.photos
    hierarchical.clustering_options.image_overlap = clusters.overlap
    folder.mkdir(parents=True)
    journal = Journal(folder)
    ended = threading.Event()

    def follow() -> None:
        while not ended.wait(LOOK_SECONDS):
            on_share(journal.look())

    follower = threading.Thread(target=follow, daemon=True)
    with journal.kept():
        follower.start()
        try:
            models = pycolmap.hierarchical_mapping(database, database.parent, folder, hierarchical)
        finally:
            ended.set()
            follower.join()
    on_share(journal.look())
    return list(models.values()), journal.cut_short


def whole_seconds(seconds: float) -> int:
    """COLMAP's time limit: at least a second, -1 for none."""
    return max(math.ceil(seconds), 1) if math.isfinite(seconds) else -1


def fell_apart(database: Path, models: list[pycolmap.Reconstruction], cluster: int) -> bool:
    """Whether many photos that verified pairs connect with the largest model's are in other models alone, or a cluster
    found no model: connected photos in none, at least half of `cluster` of them beside each other.

    Two sites in one upload have no pair between them and are correctly left apart.
    """
    if not models:
        return False
    largest, *others = (set(model.reg_image_ids()) for model in sorted(models, key=_size, reverse=True))
    elsewhere = set().union(*others) - largest
    neighbours = _neighbours(database)
    connected = _connected_with(neighbours, largest)
    if len(elsewhere & connected) > MAX_APART * len(connected):
        return True
    nowhere = connected - largest - elsewhere
    while nowhere:
        together = _connected_with(neighbours, {nowhere.pop()}, nowhere)
        if len(together) >= cluster / 2:
            return True
        nowhere -= together
    return False


def _size(model: pycolmap.Reconstruction) -> int:
    return int(model.num_reg_images())


def _connected_with(
    neighbours: Mapping[int, Mapping[int, int]], images: set[int], among: set[int] | None = None
) -> set[int]:
    """The ids of the images that a chain of verified pairs connects with one of `images`, those included; `among`: the
    only ones that the chain may lead through."""
    found, ahead = set(images), list(images)
    while ahead:
        for image in neighbours.get(ahead.pop(), {}):
            if image not in found and (among is None or image in among):
                found.add(image)
                ahead.append(image)
    return found


def one_cluster(database: Path, size: int) -> list[str]:
    """The names of up to `size` photos round the best connected one, nearest by verified pairs first."""
    neighbours = _neighbours(database)
    with pycolmap.Database.open(database) as opened:
        names = {image.image_id: image.name for image in opened.read_all_images()}
    if not neighbours:
        return []
    found = [max(neighbours, key=lambda image: (sum(neighbours[image].values()), -image))]
    for image in found:  # grows while it is walked
        found += [other for other in neighbours[image] if other not in found]
        if len(found) >= size:
            break
    return [names[image] for image in found[:size]]


def hold_lenses(database: Path, options: pycolmap.IncrementalPipelineOptions, learnt: set[int]) -> None:
    """Make mapping take the cameras `learnt` as they are in `database`, in place."""
    with pycolmap.Database.open(database) as opened:
        every = {camera.camera_id for camera in opened.read_all_cameras()}
    options.constant_cameras = learnt
    if every <= learnt:  # placing a photo may else change its camera before the first adjustment
        options.mapper.abs_pose_refine_focal_length = options.mapper.abs_pose_refine_extra_params = False


def _neighbours(database: Path) -> dict[int, dict[int, int]]:
    """By image id: the matches that it shares with each other image of a verified pair."""
    neighbours: dict[int, dict[int, int]] = {}
    with pycolmap.Database.open(database) as opened:
        pair_ids, matches = opened.read_two_view_geometry_num_inliers()
    for pair_id, shared in zip(pair_ids, matches, strict=True):
        first, second = pycolmap.pair_id_to_image_pair(pair_id)
        neighbours.setdefault(first, {})[second] = shared
        neighbours.setdefault(second, {})[first] = shared
    return neighbours


class Journal:
    """COLMAP's log in `folder`, the only place where hierarchical mapping reports its progress."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read = 0
        self._photos = 0  # of all clusters, overlaps included
        self._registered = 0
        self.cut_short = False

    def kept(self) -> _Logged:
        return _Logged(self._folder / "log.")

    def look(self) -> float:
        """Read on; the share of the clusters' photos that are registered, 0 before there are clusters."""
        for path in sorted(self._folder.glob("log.*")):
            with path.open("rb") as stream:
                stream.seek(self._read)
                whole = stream.read().rpartition(b"\n")
            self._read += len(whole[0] + whole[1])
            for line in whole[0].splitlines():
                self._note(line)
        return min(self._registered / self._photos, 1.0) if self._photos else 0.0

    def _note(self, line: bytes) -> None:
        if match := re.search(rb"  Cluster \d+ with (\d+) images", line):
            self._photos += int(match[1])
        elif b"Registering image #" in line:
            self._registered += 1
        elif b"Reached maximum runtime" in line:
            self.cut_short = True


class _Logged:
    """Context in which COLMAP's log, down to its notes, goes to the file whose name begins with `prefix`."""

    def __init__(self, prefix: Path) -> None:
        self._prefix = prefix
        self._level = pycolmap.logging.minloglevel

    def __enter__(self) -> None:
        pycolmap.logging.alsologtostderr = False
        pycolmap.logging.set_log_destination(pycolmap.logging.INFO, str(self._prefix))
        pycolmap.logging.minloglevel = int(pycolmap.logging.INFO)

    def __exit__(self, *_: object) -> None:
        pycolmap.logging.set_log_destination(pycolmap.logging.INFO, "")  # which writes what is buffered
        pycolmap.logging.minloglevel = self._level
