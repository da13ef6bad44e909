"""The failures a container may name.

The closed list with the customer's sentences and the retry rules lives with the Lambda code
(`functions/domain/errors.py`); a test holds this list to be a part of that one.
"""

from __future__ import annotations

from enum import StrEnum


class ErrorCode(StrEnum):
    NOT_A_ZIP = "NOT_A_ZIP"
    EMPTY_ARCHIVE = "EMPTY_ARCHIVE"
    ENCRYPTED_ARCHIVE = "ENCRYPTED_ARCHIVE"
    UNSAFE_ARCHIVE = "UNSAFE_ARCHIVE"
    ARCHIVE_TOO_LARGE = "ARCHIVE_TOO_LARGE"
    NO_PHOTOS = "NO_PHOTOS"
    TOO_FEW_PHOTOS = "TOO_FEW_PHOTOS"
    NO_FEATURES = "NO_FEATURES"
    NO_OVERLAP = "NO_OVERLAP"
    DISCONNECTED = "DISCONNECTED"
    LOW_REGISTRATION = "LOW_REGISTRATION"
    GPS_UNRELIABLE = "GPS_UNRELIABLE"
    TIME_BUDGET = "TIME_BUDGET"
    INVALID_SCENE = "INVALID_SCENE"
    INVALID_SPLAT = "INVALID_SPLAT"
    INVALID_OPTION = "INVALID_OPTION"
    TRAINING_DIVERGED = "TRAINING_DIVERGED"
    LOW_QUALITY = "LOW_QUALITY"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    DISK_FULL = "DISK_FULL"
    INTERRUPTED = "INTERRUPTED"
    INTERNAL = "INTERNAL"


class StageError(Exception):
    """A failure with a code from the closed list and a sentence of facts (counts, names, limits)."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
