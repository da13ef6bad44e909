"""Decide whether a model is worth training, with messages for the customer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from contract.counts import MIN_USABLE_PHOTOS
from contract.warning_codes import WarningCode
from sfm.photos import SkippedPhoto
from stage.errors import ErrorCode, StageError
from stage.result import Warning

MIN_REGISTERED = 5
FAIL_BELOW_SHARE, WARN_BELOW_SHARE = 0.5, 0.8
MIN_FEATURES = 100
NAMES_IN_MESSAGE = 5


@dataclass(frozen=True)
class Registration:
    """The result of mapping the usable photos. `unregistered`: original names; `models`: their sizes, largest first;
    `cut_short`: time ran out before every photo had been tried.
    """

    usable: int
    verified_pairs: int
    models: Sequence[int]
    unregistered: Sequence[str]
    cut_short: bool = False

    @property
    def registered(self) -> int:
        return self.models[0] if self.models else 0


def check_photos(found: int, usable: int, skipped: Sequence[SkippedPhoto]) -> None:
    """Raise NO_PHOTOS or TOO_FEW_PHOTOS before any computation."""
    if found == 0:
        raise StageError(ErrorCode.NO_PHOTOS, "the archive contains no photos (JPEG, PNG, TIFF, WebP, HEIC or DNG)")
    if usable < MIN_USABLE_PHOTOS:
        reasons = "; ".join(f"{photo.original}: {photo.reason}" for photo in skipped[:NAMES_IN_MESSAGE])
        raise StageError(
            ErrorCode.TOO_FEW_PHOTOS,
            f"{usable} of {found} photos can be used" + (f"; {reasons}" if reasons else ""),
        )


def check_features(features: Sequence[int]) -> None:
    """Raise NO_FEATURES when too few photos have enough features. `features`: number of features of each photo."""
    detailed = sum(count >= MIN_FEATURES for count in features)
    if detailed < MIN_USABLE_PHOTOS:
        raise StageError(
            ErrorCode.NO_FEATURES,
            f"{detailed} of {len(features)} photos show enough detail to match (blurred or dark ones do not)",
        )


def check_registration(registration: Registration) -> list[Warning]:
    """Return warnings, or raise NO_OVERLAP, DISCONNECTED, LOW_REGISTRATION or TIME_BUDGET.

    A set of three or four photos passes only if all are registered; a larger one needs five photos, and half of its
    photos, in one model.
    """
    usable, registered = registration.usable, registration.registered
    share = registered / usable
    if share == 1:
        return []
    enough = registered >= min(MIN_REGISTERED, usable) and share >= FAIL_BELOW_SHARE
    if registered == 0 and not registration.cut_short:
        raise StageError(
            ErrorCode.NO_OVERLAP,
            f"no two of the {usable} photos could be placed together ({registration.verified_pairs} pairs match)",
        )
    names = ", ".join(registration.unregistered[:NAMES_IN_MESSAGE])
    others = [size for size in registration.models[1:] if size >= MIN_USABLE_PHOTOS]
    apart = f"; other groups of {' and '.join(map(str, others))} photos" if others else ""
    facts = f"{registered} of {usable} photos placed{apart}; not placed: {names}"
    if registration.cut_short:
        if not enough:
            raise StageError(ErrorCode.TIME_BUDGET, f"{registered} of {usable} photos were placed when time ran out")
        return [Warning(WarningCode.TIME_BUDGET, f"time ran out: {facts}", list(registration.unregistered))]
    if not enough:
        separate = others and (registered + sum(others)) / usable >= FAIL_BELOW_SHARE
        raise StageError(ErrorCode.DISCONNECTED if separate else ErrorCode.LOW_REGISTRATION, facts)
    if share < WARN_BELOW_SHARE:
        return [Warning(WarningCode.LOW_REGISTRATION, facts, list(registration.unregistered))]
    return []
