"""`python -m products.volume PRODUCTS POLYGON.geojson`: measure the volume over a polygon, such as a stockpile's rim.

Reads `surface.tif` and `surface_sigma.tif` of a delivery and a polygon in longitude and latitude (RFC 7946). Prints a
line of JSON: cubic metres above and below the base, the area in square metres, and one σ of the volume.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pyproj import CRS, Geod, Transformer

from contract.codes import ErrorCode
from products.cog import NODATA
from products.relief import PolygonOutsideError, Vector, Volume, volume
from splat.gaussians import Float32

_SCALE, _TIE, _KEYS = 33550, 33922, 34735
_PROJECTED_KEY, _USER_DEFINED = 3072, 32767


class UnusablePolygonError(Exception):
    """The file holds no polygon; the message says why."""


class NoSurfaceError(Exception):
    """The folder holds no surface model that can be read."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m products.volume", description=__doc__.splitlines()[0])
    parser.add_argument("products", type=Path, help="folder with surface.tif and surface_sigma.tif")
    parser.add_argument("polygon", type=Path, help="GeoJSON")
    parser.add_argument("--base", type=float, help="height of the base; default: a plane through the polygon's rim")
    given = parser.parse_args(arguments)
    try:
        found = measured(given.products, read_polygon(given.polygon), given.base)
    except (NoSurfaceError, PolygonOutsideError, UnusablePolygonError) as error:
        print(f"{ErrorCode.INVALID_OPTION}: {error}", file=sys.stderr)
        return 1
    print(json.dumps({name: round(value, 3) for name, value in asdict(found).items()}))
    return 0


def read_polygon(path: Path) -> Vector:
    """(N, 2) longitudes and latitudes of the outer ring of the first polygon. Raises UnusablePolygonError."""
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
        features = document.get("features", [document])
        geometries = [feature.get("geometry", feature) for feature in features]
        ring = next(geometry["coordinates"][0] for geometry in geometries if geometry and geometry["type"] == "Polygon")
        places = np.array([place[:2] for place in ring], dtype=np.float64)
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, StopIteration) as error:
        raise UnusablePolygonError(f"{path.name} holds no GeoJSON polygon") from error
    if places.ndim != 2 or len(places) < 4 or not np.isfinite(places).all():
        raise UnusablePolygonError(f"{path.name} holds a polygon of fewer than three corners")
    return places[:-1] if (places[0] == places[-1]).all() else places


def measured(folder: Path, polygon: Vector, base: float | None) -> Volume:
    """The volume over `polygon` (N, 2) in longitude and latitude.

    Raises NoSurfaceError, PolygonOutsideError, UnusablePolygonError.
    """
    heights, tags = _read(folder / "surface.tif")
    sigma, _ = _read(folder / "surface_sigma.tif")
    keys = np.array(tags[_KEYS]).reshape(-1, 4)
    (code,) = keys[keys[:, 0] == _PROJECTED_KEY, 3]
    if code == _USER_DEFINED:
        raise UnusablePolygonError("the surface model is in a system without an EPSG code")
    system = CRS.from_epsg(int(code))
    x, y = Transformer.from_crs(4326, system, always_xy=True).transform(polygon[:, 0], polygon[:, 1])
    cell, west, north = tags[_SCALE][0], tags[_TIE][3], tags[_TIE][4]
    in_cells = np.column_stack([(np.asarray(x) - west) / cell, (north - np.asarray(y)) / cell])
    if not np.isfinite(in_cells).all():
        raise PolygonOutsideError("the polygon lies outside the surface model")
    return volume(heights, sigma, cell * _metres_per_unit(polygon, np.column_stack([x, y])), in_cells, base)


def _metres_per_unit(polygon: Vector, projected: Vector) -> float:
    """The length on the ground of a unit of the system in which the `polygon` (N, 2; longitude and latitude) is
    `projected` (N, 2): most systems stretch the ground."""
    ground, _ = Geod(ellps="WGS84").polygon_area_perimeter(*polygon.T)
    x, y = (projected - projected.mean(axis=0)).T
    drawn = 0.5 * float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))
    if drawn == 0:
        raise UnusablePolygonError("the polygon has no area")
    return math.sqrt(abs(ground / drawn))


def _read(path: Path) -> tuple[Float32, dict[int, Any]]:
    """Heights, NaN where unknown, and the TIFF tags of one of our surfaces, which may exceed Pillow's limit of pixels.

    Raises NoSurfaceError.
    """
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with Image.open(path) as image:
            tags = dict(image.tag_v2)  # type: ignore[attr-defined]
            values = np.array(image, dtype=np.float32)
    except (OSError, ValueError, SyntaxError) as error:
        hint = "of a scene with a place on Earth, in quality standard or high"
        raise NoSurfaceError(f"{path.name} is not in {path.parent} or is damaged: give the products {hint}") from error
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    values[values == NODATA] = np.nan
    return values, tags


if __name__ == "__main__":
    sys.exit(main())
