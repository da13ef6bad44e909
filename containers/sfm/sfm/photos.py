"""Photos that the stage uses, and photos that it skips."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from contract.shots import Shot
from sfm.exif import Metadata


@dataclass(frozen=True)
class Photo:
    """A usable photo: upright, 8-bit RGB JPEG at `path`; `original` is its name in the customer's archive."""

    name: str
    original: str
    path: Path
    width: int
    height: int
    metadata: Metadata

    @property
    def camera_key(self) -> tuple[str, str, float, int, int]:
        """Photos with one key share one camera: make, model, focal length and size."""
        data = self.metadata
        return (data.make, data.model, round(data.focal_tag, 2), self.width, self.height)


@dataclass(frozen=True)
class SkippedPhoto:
    """A photo that is not used, and why, in words for the customer."""

    name: str
    original: str
    reason: str


@dataclass(frozen=True)
class SecondImage:
    """A picture that is no photo of its own: what it is instead."""

    name: str
    original: str
    shot: Shot
