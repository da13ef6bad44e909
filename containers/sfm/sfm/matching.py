"""Match the chosen pairs and verify them geometrically (runs in a child process)."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pycolmap

from sfm.native import Send

RANDOM_SEED = 1
WATCH_SECONDS = 0.5


def match_pairs(database: Path, pairs: Sequence[tuple[str, str]], threads: int, send: Send) -> None:
    """Match and verify pairs of photo names into `database`; what is there when the process is ended stays usable.

    `send` gets the share of pairs done, 0..1.
    """
    pycolmap.logging.minloglevel = int(pycolmap.logging.WARNING)
    pycolmap.set_random_seed(RANDOM_SEED)
    listed = database.with_suffix(".pairs.txt")
    listed.write_text("".join(f"{first} {second}\n" for first, second in pairs), encoding="utf-8")
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = RANDOM_SEED
    with _watching(database, len(pairs), send):
        pycolmap.match_image_pairs(
            database,
            pycolmap.FeatureMatchingOptions(num_threads=threads, use_gpu=False),
            pycolmap.ImportedPairingOptions(match_list_path=listed),
            verification,
            pycolmap.Device.cpu,
        )


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


@contextmanager
def _watching(database: Path, total: int, send: Send) -> Iterator[None]:
    """Send progress from the rows that matching writes: it has no callback, and one call for each block of pairs
    would index every photo's descriptors again (twice the time).
    """
    finished = threading.Event()

    def watch() -> None:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            while not finished.wait(WATCH_SECONDS):
                (done,) = connection.execute("SELECT COUNT(*) FROM two_view_geometries").fetchone()
                send(min(done / total, 1.0))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        finished.set()
        watcher.join()
