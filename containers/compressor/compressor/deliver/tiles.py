"""Write a scene as 3D Tiles 1.1, which globes and GIS stream to its place on Earth: SPZ in glTF, in levels of detail.

https://docs.ogc.org/cs/22-025r4/22-025r4.html Every tile replaces its parent. A leaf contains Gaussians that are
neighbours in the splat's own order; a tile above it contains those of its children, merged four to one. Contents are
glTF with KHR_gaussian_splatting and the draft KHR_gaussian_splatting_compression_spz_2 (release 2.0.0 of SPZ's library,
whose format is version 3). CesiumJS draws no other splats, and these only if the tileset requires both extensions. It
uses the axes as they are stored, so these are the scene's own, and the node's matrix rotates them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compressor.deliver.merge import group_order, merged
from compressor.deliver.spz import FixedPoint, without_outliers
from contract.files import write_json
from geo.projected import Place
from splat.gaussians import Gaussians, joined
from splat.glb import EXTENSION, placeholders, primitive, write_container

TILESET = "tileset.json"
LEAF = 32_768  # Gaussians of a tile
_GROUP = 4  # Gaussians that become one of the level above, and tiles that become one
_SPZ = "KHR_gaussian_splatting_compression_spz_2"
_REACH = 3.0  # deviations of a Gaussian that its tile's bounds hold
_SCREEN_SPACE_ERROR = 16.0  # pixels at which viewers refine unless told otherwise
# glTF is y up, and viewers turn it back: (x, y, z) → (x, z, -y), column by column
_Y_UP = (1, 0, 0, 0, 0, 0, -1, 0, 0, 1, 0, 0, 0, 0, 0, 1)

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class _Tile:
    """A tile as tileset.json has it; `low` and `high` (3,): its bounds, its descendants' within."""

    low: Vector
    high: Vector
    error: float
    document: dict[str, Any]


def write_tiles(
    folder: Path,
    gaussians: Gaussians,
    place: Place,
    offset: tuple[float, float, float],
    heights: Mapping[str, Any],
    progress: Callable[[float], None],
    *,
    antialiased: bool,
    leaf: int = LEAF,
) -> None:
    """Write the tiles into `folder`, which is created, and tileset.json last.

    Parameters
    ----------
    gaussians: in an order in which neighbours are together; metres east, north and up of `place`.
    offset: the offset that was subtracted from their means.
    heights: the datum of the heights, stated for readers of the tiles; heights are not converted.
    progress: receives the share written, 0..1.
    leaf: the number of Gaussians in a leaf.
    """
    folder.mkdir(parents=True)
    writer = _Writer(folder, antialiased)
    starts = range(0, len(gaussians), leaf)
    row: list[tuple[_Tile, Gaussians]] = []
    for number, start in enumerate(starts):
        part = gaussians.select(np.arange(start, min(start + leaf, len(gaussians))))
        row.append((writer.tile(f"0_{number}.glb", part, 0.0, []), _fewer(part)))
        progress(0.75 * (number + 1) / len(starts))
    level = 0
    while len(row) > 1:
        level += 1
        above = []
        for number, first in enumerate(range(0, len(row), _GROUP)):
            family = row[first : first + _GROUP]
            children = [tile for tile, _ in family]
            part = joined([fewer for _, fewer in family])
            # a level is drawn while its Gaussians' deviations are below a pixel
            error = _SCREEN_SPACE_ERROR * float(np.median(np.exp(part.scales.max(axis=1))))
            error = max(error, *(child.error for child in children))
            above.append((writer.tile(f"{level}_{number}.glb", part, error, children), _fewer(part)))
        row = above
    root, _ = row[0]
    write_json(folder / TILESET, _tileset(root, place, offset, heights))
    progress(1.0)


def _tileset(
    root: _Tile, place: Place, offset: tuple[float, float, float], heights: Mapping[str, Any]
) -> dict[str, Any]:
    transform = place.to_earth.copy()
    transform[:3, 3] += transform[:3, :3] @ offset
    names = [EXTENSION, _SPZ]
    return {
        "asset": {"version": "1.1", "generator": "spaceport", "extras": {"heights": dict(heights)}},
        "extensionsUsed": ["3DTILES_content_gltf"],
        "extensions": {"3DTILES_content_gltf": {"extensionsUsed": names, "extensionsRequired": names}},
        # of the scene as long as nothing of it is drawn
        "geometricError": max(float(np.linalg.norm(root.high - root.low)), root.error),
        "root": {"transform": transform.T.ravel().tolist(), "refine": "REPLACE", **root.document},
    }


@dataclass(frozen=True)
class _Writer:
    folder: Path
    antialiased: bool

    def tile(self, name: str, part: Gaussians, error: float, children: list[_Tile]) -> _Tile:
        """Write `part` as `name`; the tile that holds it and has `children`."""
        self._write(self.folder / name, part)
        low, high = _bounds(part)
        low = np.min([low, *(child.low for child in children)], axis=0)
        high = np.max([high, *(child.high for child in children)], axis=0)
        document: dict[str, Any] = {
            "boundingVolume": {"box": _box(low, high)},
            "geometricError": error,
            "content": {"uri": name},
        }
        if children:
            document["children"] = [child.document for child in children]
        return _Tile(low, high, error, document)

    def _write(self, path: Path, part: Gaussians) -> None:
        part = without_outliers(part)
        spz = FixedPoint.of(part, antialiased=self.antialiased).legacy()
        names = [EXTENSION, _SPZ]
        attributes, accessors = placeholders(part)
        document = {
            "extensionsUsed": names,
            "extensionsRequired": names,
            "nodes": [{"mesh": 0, "matrix": list(_Y_UP)}],
            "meshes": [{"primitives": [primitive(attributes, {_SPZ: {"bufferView": 0}})]}],
            "accessors": accessors,
            "bufferViews": [{"buffer": 0, "byteOffset": 0, "byteLength": len(spz)}],
        }
        write_container(path, document, [spz], len(spz))


def _fewer(part: Gaussians) -> Gaussians:
    return merged(part.select(group_order(part, _GROUP)), _GROUP)


def _bounds(part: Gaussians) -> tuple[Vector, Vector]:
    reach = _REACH * np.exp(part.scales.astype(np.float64).max(axis=1))[:, None]
    low: Vector = (part.means - reach).min(axis=0)
    high: Vector = (part.means + reach).max(axis=0)
    return low, high


def _box(low: Vector, high: Vector) -> list[float]:
    """A bounding volume: the centre, and half the length along each axis."""
    half = (high - low) / 2
    return [*((low + high) / 2).tolist(), *np.diag(half).ravel().tolist()]
