"""Write the features of every photo to COLMAP's database and choose the pairs to match (runs in a child process)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sfm.blur import blurred
from sfm.database import write_database
from sfm.features import extract_all, features_per_photo
from sfm.native import Send
from sfm.pairs import choose_pairs
from sfm.photos import Photo


@dataclass(frozen=True)
class Described:
    """Names: the pairs to match, the number of features by photo, the photos that are blurred."""

    pairs: list[tuple[str, str]]
    features: dict[str, int]
    blurred: frozenset[str]


def describe_photos(database: Path, photos: Sequence[Photo], threads: int, send: Send) -> Described:
    """Write a new `database` with cameras, photos and features; `send` gets the share of photos done, 0..1."""
    found = extract_all(photos, features_per_photo(len(photos)), threads, lambda done: send(done / len(photos)))
    write_database(database, photos, found)
    return Described(
        [(photos[i].name, photos[j].name) for i, j in choose_pairs(photos, found)],
        {photo.name: len(features.keypoints) for photo, features in zip(photos, found, strict=True)},
        frozenset(photos[index].name for index in blurred([features.blur for features in found])),
    )
