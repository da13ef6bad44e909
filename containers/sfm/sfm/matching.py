"""Match the chosen pairs and verify them geometrically (runs in a child process)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pycolmap

from sfm.native import Send

PROGRESS_STEPS = 60
SMALLEST_BLOCK = 16
RANDOM_SEED = 1


def match_pairs(database: Path, pairs: Sequence[tuple[str, str]], threads: int, send: Send) -> int:
    """Match and verify pairs of photo names into `database`; returns the number of verified pairs.

    The pairs go in blocks, so that there is progress to send.
    """
    pycolmap.logging.minloglevel = pycolmap.logging.WARNING
    pycolmap.set_random_seed(RANDOM_SEED)
    matching = pycolmap.FeatureMatchingOptions(num_threads=threads, use_gpu=False)
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = RANDOM_SEED
    pairing = pycolmap.ImportedPairingOptions(match_list_path=database.with_suffix(".pairs.txt"))
    block = max(SMALLEST_BLOCK, -(-len(pairs) // PROGRESS_STEPS))
    for start in range(0, len(pairs), block):
        part = pairs[start : start + block]
        pairing.match_list_path.write_text("".join(f"{first} {second}\n" for first, second in part), encoding="utf-8")
        pycolmap.match_image_pairs(database, matching, pairing, verification, pycolmap.Device.cpu)
        send((start + len(part)) / len(pairs))
    with pycolmap.Database.open(database) as opened:
        return int(opened.num_verified_image_pairs())
