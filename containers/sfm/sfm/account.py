"""Write photos.json: every photo of the archive, whether it is registered, and otherwise the likely reason."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sfm.gate import MIN_FEATURES
from sfm.geodesy import LocalFrame
from sfm.photos import Photo, SecondImage, SkippedPhoto

# times the median distance of the photos from their centre: a photo farther away shows another place
FAR_AWAY = 20.0
FAR_AWAY_METRES = 500.0


@dataclass(frozen=True)
class Evidence:
    """What is known about photos by name: the number of features, which are blurred, the verified pairs (None before
    matching), and the photos of each model, the delivered one first.
    """

    features: Mapping[str, int] = field(default_factory=dict)
    blurred: Collection[str] = ()
    verified_pairs: Collection[tuple[str, str]] | None = None
    models: Sequence[Sequence[str]] = ()
    cut_short: bool = False


def account(
    photos: Sequence[Photo],
    skipped: Sequence[SkippedPhoto],
    evidence: Evidence,
    second_images: Sequence[SecondImage] = (),
) -> list[dict[str, Any]]:
    """Rows `{name, original, registered, features?, blurred?, stops?, film?, seconds?, reason?, kind?}` in order of
    names: skipped photos have a `reason` and no `features`; photos not yet examined have neither; frames have `film`
    and `seconds`; second images have `kind`.
    """
    rows: list[dict[str, Any]] = [
        {"name": photo.name, "original": photo.original, "registered": False, "reason": photo.reason}
        for photo in skipped
    ]
    rows += [
        {
            "name": image.name,
            "original": image.original,
            "registered": False,
            "kind": image.shot.kind.value,
            "reason": image.shot.reason,
        }
        for image in second_images
    ]
    placed = {name for model in evidence.models[:1] for name in model}
    partners: dict[str, list[str]] = {photo.name: [] for photo in photos}
    for first, second in evidence.verified_pairs or ():
        partners[first].append(second)
        partners[second].append(first)
    distances = metres_from_the_middle(photos)
    for photo in photos:
        row: dict[str, Any] = {
            "name": photo.name,
            "original": photo.original,
            "registered": photo.name in placed,
        }
        if photo.name in evidence.features:
            row |= {"features": evidence.features[photo.name], "blurred": photo.name in evidence.blurred}
        if photo.metadata.stops is not None:
            row["stops"] = round(photo.metadata.stops, 4)
        if photo.moment is not None:
            row |= {"film": photo.moment.film, "seconds": photo.moment.seconds}
        reason = _likely_reason(photo.name, evidence, partners[photo.name], distances)
        if photo.name not in placed and reason is not None:
            row["reason"] = reason
        rows.append(row)
    return sorted(rows, key=lambda row: str(row["name"]))


def metres_from_the_middle(photos: Sequence[Photo]) -> dict[str, float]:
    """Distance in metres from the centre of the set by name, by GPS; only for photos that are FAR_AWAY."""
    located = [(photo.name, position) for photo in photos if (position := photo.metadata.position) is not None]
    if not located:
        return {}
    frame = LocalFrame.about([position for _, position in located])
    metres = np.array([np.linalg.norm(frame.to_enu(position)[:2]) for _, position in located])
    limit = max(FAR_AWAY * float(np.median(metres)), FAR_AWAY_METRES)
    return {name: float(away) for (name, _), away in zip(located, metres, strict=True) if away > limit}


def _likely_reason(
    name: str, evidence: Evidence, partners: Sequence[str], distances: Mapping[str, float]
) -> str | None:
    """None if the upload was refused before this photo could be judged."""
    features = evidence.features.get(name)
    if features is not None and features < MIN_FEATURES:
        return f"shows too little detail ({features} features): blurred, dark or uniform"
    if name in evidence.blurred:
        return "is blurred"
    group = next((model for model in evidence.models[1:] if name in model), None)
    if group is not None:
        return f"overlaps only with a separate group of {len(group)} photos"
    if name in distances:
        return f"was taken {distances[name] / 1000:.1f} km from the other photos, by its GPS"
    if evidence.cut_short:
        return "was not reached when time ran out"
    if evidence.verified_pairs is None:
        return None
    if not partners:
        return "matches no other photo: it shows another place, or overlaps too little"
    return f"overlaps too little: it matches only {len(partners)} other photo{'s' if len(partners) > 1 else ''}"
