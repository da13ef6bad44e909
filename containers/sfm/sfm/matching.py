"""Match the chosen pairs and verify them geometrically (each runs in a child process).

COLMAP keeps a match when each feature is the other's nearest, for which it searches both ways. Here one way is
searched, and what several features of one photo claim in the other is given up: as many good matches for half of the
search, which is most of the matching.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pycolmap
from numpy.typing import NDArray

from sfm.native import Send

RANDOM_SEED = 1
WATCH_SECONDS = 0.5
# RANSAC's trials: where a quarter of the matches is right, 2,000 find five right ones in six cases of seven; the 10,000
# of COLMAP's defaults are spent on pairs that show different places
MOST_TRIALS = 2000


def match_pairs(database: Path, pairs: Sequence[tuple[str, str]], threads: int, send: Send) -> None:
    """Match pairs of photo names into `database`; what is there when the process is ended stays usable.

    `send` gets the share of pairs done, 0..1.
    """
    pycolmap.logging.minloglevel = int(pycolmap.logging.WARNING)
    options = pycolmap.FeatureMatchingOptions(num_threads=threads, use_gpu=False, skip_geometric_verification=True)
    options.sift.cross_check = False
    with _watching(database, "matches", len(pairs), send):
        pycolmap.match_image_pairs(
            database,
            options,
            pycolmap.ImportedPairingOptions(match_list_path=_listed(database, pairs)),
            device=pycolmap.Device.cpu,
        )


def verify_pairs(database: Path, send: Send) -> None:
    """Verify what `match_pairs` left; what is there when the process is ended stays usable.

    `send` gets the share of pairs done, 0..1.
    """
    pycolmap.logging.minloglevel = int(pycolmap.logging.WARNING)
    pycolmap.set_random_seed(RANDOM_SEED)
    with pycolmap.Database.open(database) as opened, pycolmap.DatabaseTransaction(opened):
        names = {image.image_id: image.name for image in opened.read_all_images()}
        pairs = []  # those that were matched: of others, pycolmap would match before it verifies
        pair_ids, found = opened.read_all_matches()
        opened.clear_matches()
        for pair_id, matches in zip(pair_ids, found, strict=True):
            first, second = pycolmap.pair_id_to_image_pair(pair_id)
            opened.write_matches(first, second, one_to_one(matches))
            pairs.append((names[first], names[second]))
    options = pycolmap.TwoViewGeometryOptions()
    options.ransac.random_seed = RANDOM_SEED
    options.ransac.max_num_trials = MOST_TRIALS
    with _watching(database, "two_view_geometries", len(pairs), send):
        pycolmap.verify_matches(database, _listed(database, pairs), options)


def one_to_one(matches: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Those of `matches` (M, 2), each of another feature of the first photo, that share no feature of the second."""
    _, which, claims = np.unique(matches[:, 1], return_inverse=True, return_counts=True)
    return np.ascontiguousarray(matches[claims[which] == 1])


def verified_pairs(database: Path) -> list[tuple[str, str]]:
    """The pairs of photo names in `database` whose matches a geometry explains."""
    fewest = pycolmap.TwoViewGeometryOptions().min_num_inliers
    with pycolmap.Database.open(database) as opened:
        names = {image.image_id: image.name for image in opened.read_all_images()}
        pair_ids, geometries = opened.read_two_view_geometries()
    return [
        (names[first], names[second])
        for pair_id, geometry in zip(pair_ids, geometries, strict=True)
        if len(geometry.inlier_matches) >= fewest
        for first, second in (pycolmap.pair_id_to_image_pair(pair_id),)
    ]


def _listed(database: Path, pairs: Sequence[tuple[str, str]]) -> Path:
    """A file beside `database` that names the pairs."""
    path = database.with_suffix(".pairs.txt")
    path.write_text("".join(f"{first} {second}\n" for first, second in pairs), encoding="utf-8")
    return path


@contextmanager
def _watching(database: Path, table: str, total: int, send: Send) -> Iterator[None]:
    """Send progress from the rows that pycolmap writes: it has no callback, and one call for each block of pairs
    would index every photo's descriptors again (twice the time).
    """
    finished = threading.Event()

    def watch() -> None:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            while not finished.wait(WATCH_SECONDS):
                (done,) = connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()
                send(min(done / max(total, 1), 1.0))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        finished.set()
        watcher.join()
