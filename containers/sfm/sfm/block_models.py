"""Write the part of a flight's sparse model that a block is trained from, as COLMAP's three binary files.

A block reads only its own fraction of the flight's points: https://colmap.github.io/format.html
"""

from __future__ import annotations

import struct
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pycolmap
from numpy.typing import NDArray

from sfm.flight import Flight

_OBSERVATION = np.dtype([("x", "<f8"), ("y", "<f8"), ("point", "<u8")])


class ModelCutter:
    """Cuts models out of `model`, whose arrays are those of `flight`."""

    def __init__(self, model: pycolmap.Reconstruction, flight: Flight) -> None:
        self._model, self._flight = model, flight
        self._images = {image.name: image for image in model.images.values() if image.has_pose}
        points = [model.point3D(int(identifier)) for identifier in flight.identifiers]
        self._colours = np.array([point.color for point in points], np.uint8).reshape(-1, 3)
        self._errors = [float(point.error) for point in points]

    def write(self, folder: Path, photos: Collection[str], chosen: NDArray[np.bool_]) -> None:
        """Write the model of the photos with these names and the `chosen` points (N,) that they see into `folder`,
        which is made."""
        flight = self._flight
        listed = np.isin(flight.names, sorted(photos))
        seen = chosen[flight.points] & listed[flight.photos]
        points, owners, pixels = flight.points[seen], flight.photos[seen], flight.pixels[seen]
        kept, rows = np.unique(points, return_inverse=True)
        starts = np.searchsorted(owners, np.arange(len(flight.names) + 1))  # observations are in order of photos
        images = [self._images[flight.names[number]] for number in np.flatnonzero(listed)]
        folder.mkdir(parents=True)
        self._write_cameras(folder / "cameras.bin", sorted({image.camera_id for image in images}))
        table = np.empty(len(points), _OBSERVATION)
        table["x"], table["y"], table["point"] = pixels[:, 0], pixels[:, 1], rows + 1
        with (folder / "images.bin").open("wb") as stream:
            stream.write(struct.pack("<Q", len(images)))
            for number, image in zip(np.flatnonzero(listed), images, strict=True):
                own = table[starts[number] : starts[number + 1]]
                stream.write(_head_of(image) + struct.pack("<Q", len(own)) + own.tobytes())
        identifiers = np.array([self._images[name].image_id if name in photos else 0 for name in flight.names])
        track = np.stack([identifiers[owners], np.arange(len(points)) - starts[owners]], axis=1).astype("<u4")
        order = np.argsort(rows, kind="stable")
        self._write_points(folder / "points3D.bin", kept, track[order], rows[order])

    def _write_cameras(self, path: Path, identifiers: Collection[int]) -> None:
        with path.open("wb") as stream:
            stream.write(struct.pack("<Q", len(identifiers)))
            for identifier in identifiers:
                camera = self._model.camera(identifier)
                head = struct.pack("<IiQQ", identifier, int(camera.model.value), camera.width, camera.height)
                stream.write(head + np.asarray(camera.params, "<f8").tobytes())

    def _write_points(
        self, path: Path, kept: NDArray[np.int64], track: NDArray[np.unsignedinteger], rows: NDArray[np.int64]
    ) -> None:
        """`track` (T, 2): image and observation, in the order of the points that `rows` (T,) numbers."""
        ends = np.searchsorted(rows, np.arange(len(kept) + 1))
        with path.open("wb") as stream:
            stream.write(struct.pack("<Q", len(kept)))
            for row, point in enumerate(kept):
                own = track[ends[row] : ends[row + 1]]
                place, colour = self._flight.positions[point], self._colours[point]
                stream.write(struct.pack("<Q3d3BdQ", row + 1, *place, *colour, self._errors[point], len(own)))
                stream.write(own.tobytes())


def _head_of(image: pycolmap.Image) -> bytes:
    pose = image.cam_from_world()
    x, y, z, w = pose.rotation.quat
    head = struct.pack("<I7dI", image.image_id, w, x, y, z, *pose.translation, image.camera_id)
    return bytes(head + image.name.encode() + b"\0")
