"""Write what the customer sees if no scene can be made from an upload: the outcome of each photo, thumbnails, and maps
of what was placed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import pycolmap

from contract.files import write_json
from sfm.account import Evidence, account
from sfm.cloud import write_thumbnails
from sfm.ingest import Ingested
from sfm.photos import Photo
from sfm.placing import Placeable, lost_places, place
from sfm.plot import draw_scene

logger = logging.getLogger(__name__)


class Pictured(Placeable, Protocol):
    """The parts of an upload that evidence is about."""

    @property
    def pictures(self) -> Ingested: ...


def write_evidence(folder: Path, upload: Pictured, known: Evidence, model: Path | None) -> None:
    """Write photos.json, thumbnails.jpg and, of a `model` with points, cameras.png, overlap.png and cloud.json.

    The upload has already been refused for its own reason, so a failure here is only logged and its file left out.
    """
    try:
        _write(folder, upload, known, model)
    except Exception:
        logger.exception("the evidence is incomplete")


def _write(folder: Path, upload: Pictured, known: Evidence, model: Path | None) -> None:
    photos, pictures = upload.photos, upload.pictures
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "photos.json", account(photos, pictures.skipped, known, pictures.second_images))
    lost = _lost(photos, known)
    if photos:
        write_thumbnails(folder / "thumbnails.jpg", [photo.path for photo in photos], {photo.path for photo in lost})
    if model is None or not known.models:
        return
    placed = pycolmap.Reconstruction(model)
    if placed.num_points3D():
        georegistration, _ = place(placed, upload)
        draw_scene(folder, placed, georegistration, lost_places(lost, georegistration))


def _lost(photos: Sequence[Photo], known: Evidence) -> list[Photo]:
    placed = {name for model in known.models[:1] for name in model}
    return [photo for photo in photos if photo.name not in placed]
