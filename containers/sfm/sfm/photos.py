"""Photos that the stage uses, and photos that it skips."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from contract.shots import Shot
from sfm.exif import Metadata
from sfm.lens_tags import Lens

CameraKey = tuple[str, str, tuple[float, float], Lens | None, int, int]


@dataclass(frozen=True)
class Moment:
    """Where a frame lies in the customer's film: the film's name, and seconds from its beginning."""

    film: str
    seconds: float


@dataclass(frozen=True)
class Photo:
    """A usable photo: upright, 8-bit RGB JPEG at `path`; `original` is its name in the customer's archive. `moment`: of
    a frame of a film, which has no file of its own there."""

    name: str
    original: str
    path: Path
    width: int
    height: int
    metadata: Metadata
    moment: Moment | None = None

    @property
    def camera_key(self) -> CameraKey:
        """Photos with the same key share a camera: make, model, focal length, digital zoom, the lens's metadata."""
        data = self.metadata
        zoom = (round(data.focal_tag, 2), round(data.digital_zoom, 2))
        return (data.make, data.model, zoom, data.lens, self.width, self.height)


@dataclass(frozen=True)
class SkippedPhoto:
    """A photo that is not used, and why, in words for the customer."""

    name: str
    original: str
    reason: str


@dataclass(frozen=True)
class SecondImage:
    """A picture that does not count as a photo: what it is instead."""

    name: str
    original: str
    shot: Shot
