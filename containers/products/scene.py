"""Read what the products are made from: the splat and its views, dense points, photos, and the georeference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from plyfile import PlyData

from geo.projected import GridGap, Place, Projected, projection_of
from splat.camera import View, read_views
from splat.files import read_document
from splat.gaussians import Gaussians, sound
from splat.ply import read_stored_ply
from splat.stored import NOWHERE

Vector = NDArray[np.float64]
Bytes = NDArray[np.uint8]


class NoPlaceError(Exception):
    """No map of the scene can be made, because it is not georeferenced; the message says why."""


@dataclass(frozen=True)
class DensePoints:
    """The content of `dense.ply`: points of the surfaces that photos agree on, in ENU metres."""

    points: Vector  # (N, 3)
    rgb: Bytes  # (N, 3)
    agree: Bytes  # (N,) number of depth maps that agree, besides the point's own
    sigma: NDArray[np.float32]  # (N,) metres along the ray


@dataclass(frozen=True)
class Scene:
    """A scene in the frame of its georeference. `photos`: the folder of the undistorted photos, which have the names of
    `views`; `gains`: for each photo's name the factor (3,) by which it is brighter than the splat.
    """

    gaussians: Gaussians
    views: list[View]
    dense: DensePoints
    photos: Path
    gains: Mapping[str, Vector]
    georeference: Mapping[str, Any]
    survey: Mapping[str, Any] | None

    def photo(self, name: str) -> Bytes:
        """A photo's pixels (H, W, 3)."""
        with Image.open(self.photos / name) as image:
            return np.asarray(image.convert("RGB"))

    def mask(self, name: str) -> Bytes:
        """A photo's mask (H, W), 0..255; pixels below MASKED_BELOW are not used. One white pixel if it has none."""
        path = self.photos.parent / "masks" / f"{name}.png"
        if not path.is_file():
            return _NO_MASK
        with Image.open(path) as image:
            return np.asarray(image.convert("L"))

    def projected(self, epsg: int | None = None) -> Projected:
        """The scene's projection, or that of `epsg` if given.

        Raises NoPlaceError, and UnusableSystemError, also if the transformation to `epsg` is less accurate than the
        control points.
        """
        place = Place.of(self.georeference)
        if place is None:
            raise NoPlaceError(str(self.georeference.get("reason") or "the scene is not georeferenced"))
        return projection_of(place, self.georeference, epsg)

    def grid_gap(self, projected: Projected) -> GridGap | None:
        """The missing grid files that make maps in a system uncertain; None for maps in the control points' own system,
        which is reached exactly.
        """
        return None if self._by_control_points else projected.grid_gap

    @property
    def _by_control_points(self) -> bool:
        return self.georeference.get("source") == "control points"


def read_scene(model: Path, cameras: Path) -> Scene:
    """Read a scene from the output of training (`model`) and that of structure from motion (`cameras`).

    Raises InvalidSplatError, InvalidSceneError or OSError if a file is missing or malformed.
    """
    gaussians, _ = sound(read_stored_ply(model / "scene.ply", centre=False).gaussians)
    georeference = read_document(model / "georeference.json")
    # training works about a point near the scene, which may lie kilometres from the georeference's origin
    offset = np.array(georeference.get("offset", NOWHERE), dtype=np.float64)
    dense = read_dense(model / "dense.ply")
    survey = cameras / "survey.json"
    result = read_document(model / "result.json")
    exposures = result.get("metrics", {}).get("exposure", {}).get("photos", [])
    return Scene(
        gaussians=replace(gaussians, means=(gaussians.means + offset).astype(np.float32)),
        views=[
            replace(view, camera=view.camera.about(-offset))
            for view in _at_full_size(read_views(model / "views.json"), cameras / "images")
        ],
        dense=replace(dense, points=dense.points + offset),
        photos=cameras / "images",
        gains={photo["name"]: np.array(photo["gain"], dtype=np.float64) for photo in exposures},
        georeference=georeference,
        survey=read_document(survey) if survey.is_file() else None,
    )


def _at_full_size(views: list[View], photos: Path) -> list[View]:
    """The views whose photos exist, with cameras of the photos' full size: training may have used smaller ones."""
    found = []
    for view in views:
        path = photos / view.name
        if path.is_file():
            with Image.open(path) as image:
                found.append(replace(view, camera=view.camera.resized(*image.size)))
    return found


def read_dense(path: Path) -> DensePoints:
    """Read dense.ply (docs/contracts.md)."""
    vertex = PlyData.read(str(path))["vertex"]
    points, rgb = (np.column_stack([vertex[name] for name in names]) for names in (("x", "y", "z"), _COLOURS))
    finite = np.isfinite(points).all(axis=1)
    return DensePoints(
        points[finite].astype(np.float64),
        rgb[finite].astype(np.uint8),
        np.asarray(vertex["agree"][finite]),
        np.asarray(vertex["sigma"][finite]),
    )


_NO_MASK = np.full((1, 1), 255, np.uint8)
_COLOURS = ("red", "green", "blue")
