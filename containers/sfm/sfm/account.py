"""photos.json: every photo of the archive, what became of it, and the likely why if it was not placed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sfm.gate import FEWEST_FEATURES
from sfm.photos import Photo, SkippedPhoto


def account(
    photos: Sequence[Photo],
    skipped: Sequence[SkippedPhoto],
    models: Sequence[Sequence[str]],
    features: Mapping[str, int],
) -> list[dict[str, Any]]:
    """Rows `{name, original, registered, reason?}` in order of names.

    `models` are the names in each model found, the delivered one first; `features` are counts by name.
    """
    rows: list[dict[str, Any]] = [
        {"name": photo.name, "original": photo.original, "registered": False, "reason": photo.reason}
        for photo in skipped
    ]
    placed = set(models[0])
    for photo in photos:
        row: dict[str, Any] = {"name": photo.name, "original": photo.original, "registered": photo.name in placed}
        if photo.name not in placed:
            row["reason"] = _likely_reason(photo.name, models[1:], features[photo.name])
        rows.append(row)
    return sorted(rows, key=lambda row: str(row["name"]))


def _likely_reason(name: str, other_models: Sequence[Sequence[str]], features: int) -> str:
    if features < FEWEST_FEATURES:
        return f"shows too little detail ({features} features): blurred, dark or uniform"
    group = next((model for model in other_models if name in model), None)
    if group is not None:
        return f"overlaps only with a separate group of {len(group)} photos"
    return "overlaps too little with the other photos"
