"""Write a survey's point cloud as LAZ 1.4 and COPC in the scene's projection, with the number of photos per point.

LAS 1.4 R15 (ASPRS), point format 7 (colour and GPS time), with the coordinate system as OGC WKT. COPC 1.0
(https://copc.io) holds the same points in an octree. Each of its levels has one point per cell, so that a reader
fetches only as many points as its screen can show.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import copclib
import laspy
import numpy as np
from laspy.vlrs.known import WktCoordinateSystemVlr
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError

from contract.files import whole

Vector = NDArray[np.float64]
Bytes = NDArray[np.uint8]

_MILLIMETRE = 0.001
_LEVELS = 10
_ACROSS = 128  # cells along a node's side, each with one point
_SOFTWARE = "Spaceport"
_CURVE_BITS = 16


@dataclass(frozen=True)
class Cloud:
    """`points` (N, 3) in the coordinates of the projection; `rgb` (N, 3); `photos` (N,), the number that agree on a
    point; `sigma` (N,), the standard error of its position in metres.
    """

    points: Vector
    rgb: Bytes
    photos: Bytes
    sigma: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.points)

    def select(self, which: NDArray[np.generic]) -> Cloud:
        return Cloud(self.points[which], self.rgb[which], self.photos[which], self.sigma[which])


def write_laz(path: Path, cloud: Cloud, system: CRS) -> None:
    """Write LAZ with the extra dimensions `photos` and `sigma` (millimetres)."""
    header = _header(cloud, system)
    header.add_extra_dim(laspy.ExtraBytesParams("photos", np.uint8, "photos that agree"))
    header.add_extra_dim(laspy.ExtraBytesParams("sigma", np.uint16, "of the place, millimetres"))
    ordered = cloud.select(along_curve(cloud.points))
    las = _records(header, ordered)
    las.photos = ordered.photos
    las.sigma = np.rint(1000 * ordered.sigma).clip(0, 65535).astype(np.uint16)
    with whole(path) as partial, partial.open("wb") as out:
        las.write(out, do_compress=True, laz_backend=laspy.LazBackend.Lazrs)


def write_copc(path: Path, cloud: Cloud, system: CRS) -> None:
    """Write COPC (`path` ends in .copc.laz) with colours, and with the number of photos that agree as intensity."""
    header = _header(cloud, system)
    las = _records(header, cloud)
    las.intensity = cloud.photos.astype(np.uint16)
    low = cloud.points.min(axis=0)
    span = max(float(np.ptp(cloud.points, axis=0).max()), 1.0)
    scale, offset = copclib.Vector3(*3 * [_MILLIMETRE]), copclib.Vector3(*header.offsets)
    config = copclib.CopcConfigWriter(7, scale, offset, _wkt(system))
    config.las_header.min, config.las_header.max = copclib.Vector3(*low), copclib.Vector3(*cloud.points.max(axis=0))
    info = config.copc_info
    info.spacing, info.halfsize = span / _ACROSS, span / 2
    info.center_x, info.center_y, info.center_z = (float(value) for value in low + span / 2)
    with whole(path) as partial:
        writer = copclib.FileWriter(str(partial), config)
        for level, voxels, rows in octree(cloud.points, low, span):
            raw = las.points.array[rows].tobytes()
            key = copclib.VoxelKey(level, *voxels)
            writer.AddNode(key, copclib._core.VectorChar(np.frombuffer(raw, np.int8)))
        writer.Close()


def octree(points: Vector, low: Vector, span: float) -> list[tuple[int, tuple[int, int, int], NDArray[np.int64]]]:
    """Nodes of an octree over the cube from `low` (3,) with the side `span`: level, position in the level, and indices
    into `points` (N, 3). Each point is in exactly one node.
    """
    nodes = []
    left = np.random.default_rng(0).permutation(len(points))
    for level in range(_LEVELS):
        if not len(left):
            break
        taken = np.ones(len(left), bool)
        if level < _LEVELS - 1:
            cells = np.floor((points[left] - low) / (span / _ACROSS / 2**level)).astype(np.int64)
            taken[:] = False
            taken[np.unique(_keys(cells), return_index=True)[1]] = True
        here, left = left[taken], left[~taken]
        voxels = np.clip(np.floor((points[here] - low) / (span / 2**level)).astype(np.int64), 0, 2**level - 1)
        key = _keys(voxels)
        order = np.argsort(key, kind="stable")
        bounds = np.flatnonzero(np.r_[True, np.diff(key[order]) != 0, True])
        for start, end in pairwise(bounds.tolist()):
            x, y, z = (int(value) for value in voxels[order[start]])
            nodes.append((level, (x, y, z), here[order[start:end]]))
    return nodes


def along_curve(points: Vector) -> NDArray[np.int64]:
    """(N,) the order along a Morton curve in plan: LAZ compresses best if successive points are near each other."""
    low, span = points[:, :2].min(axis=0), max(float(np.ptp(points[:, :2], axis=0).max()), 1e-9)
    cells = ((points[:, :2] - low) / span * (2**_CURVE_BITS - 1)).astype(np.uint64)
    key = np.zeros(len(points), np.uint64)
    for bit in range(_CURVE_BITS):
        for axis in (0, 1):
            key |= ((cells[:, axis] >> np.uint64(bit)) & np.uint64(1)) << np.uint64(2 * bit + axis)
    return np.argsort(key, kind="stable")


def _keys(cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) one number per cell (N, 3), whose indices are below 2²¹."""
    keys: NDArray[np.int64] = (cells[:, 0] << 42) | (cells[:, 1] << 21) | cells[:, 2]
    return keys


def _header(cloud: Cloud, system: CRS) -> laspy.LasHeader:
    header = laspy.LasHeader(point_format=7, version="1.4")
    header.scales = np.full(3, _MILLIMETRE)
    header.offsets = np.floor(cloud.points.min(axis=0))
    header.global_encoding.wkt = True
    header.vlrs.append(WktCoordinateSystemVlr(_wkt(system)))
    header.generating_software = _SOFTWARE
    return header


def _records(header: laspy.LasHeader, cloud: Cloud) -> laspy.LasData:
    las = laspy.LasData(header)
    las.x, las.y, las.z = cloud.points.T
    las.red, las.green, las.blue = (cloud.rgb.astype(np.uint16) * 257).T
    return las


def _wkt(system: CRS) -> str:
    """WKT 1, as LAS 1.4 has it; WKT 2 of the systems that WKT 1 cannot express."""
    try:
        return str(system.to_wkt("WKT1_GDAL"))
    except CRSError:
        return str(system.to_wkt("WKT2_2019"))
