"""COLMAP's sparse models as bytes, valid and invalid: one camera, photos that see some points."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

WIDTH, HEIGHT = 64, 48
Place = tuple[float, float, float]


def scene_of(
    model: Mapping[str, bytes], photos: Sequence[str], folder: str = "sparse/0/", images: str = "images/"
) -> dict[str, bytes]:
    """The files of a scene whose photos are arbitrary bytes, because nothing decodes them."""
    return {f"{folder}{name}": body for name, body in model.items()} | {f"{images}{name}": b"x" for name in photos}


def binary_model(
    photos: Sequence[str],
    camera: int = 1,
    width: int = WIDTH,
    taken_with: int = 1,
    points: int = 20,
    observations: int = 3,
    origin: Place = (0.0, 0.0, 0.0),
) -> dict[str, bytes]:
    """`camera`: number of its model; `taken_with`: the camera id in the photos; `observations`: those of each photo;
    `origin`: where the scene lies."""
    x, y, z = origin
    images = b"".join(
        struct.pack("<I7dI", number, 1, 0, 0, 0, 0.1 * number - x, -y, 2 - z, taken_with)
        + f"{name}\0".encode()
        + struct.pack("<Q", observations)
        + struct.pack("<ddq", 1, 2, 1) * observations
        for number, name in enumerate(photos, start=1)
    )
    tracks = b"".join(struct.pack("<II", number, 0) for number in range(1, len(photos) + 1))
    listed = b"".join(
        struct.pack("<Q3d3BdQ", number, *_place(number, origin), 9, 8, 7, 0.1, len(photos)) + tracks
        for number in range(points)
    )
    return {
        "cameras.bin": struct.pack("<QIiQQ4d", 1, 1, camera, width, HEIGHT, 60, 60, WIDTH / 2, HEIGHT / 2),
        "images.bin": struct.pack("<Q", len(photos)) + images,
        "points3D.bin": struct.pack("<Q", points) + listed,
    }


def _place(number: int, origin: Place = (0.0, 0.0, 0.0)) -> Place:
    return origin[0] + number % 5 / 9 - 0.3, origin[1] + number // 5 / 9 - 0.3, origin[2] + 0.01 * number


def text_model(
    photos: Sequence[str], camera: str = "PINHOLE", terms: str = "", taken_with: int = 1, points: int = 20
) -> dict[str, bytes]:
    """`camera`: name of its model; `terms`: its distortion parameters, instead of the second focal length."""
    focal = "60" if terms else "60 60"
    images = "".join(
        f"{number} 1 0 0 0 {0.1 * number} 0 2 {taken_with} {name}\n1 2 1\n"
        for number, name in enumerate(photos, start=1)
    )
    tracks = " ".join(f"{number} 0" for number in range(1, len(photos) + 1))
    listed = "".join(f"{number} {' '.join(map(str, _place(number)))} 9 8 7 0.1 {tracks}\n" for number in range(points))
    return {
        "cameras.txt": f"# a remark\n1 {camera} {WIDTH} {HEIGHT} {focal} {WIDTH / 2} {HEIGHT / 2} {terms}\n".encode(),
        "images.txt": f"# a remark\n{images}".encode(),
        "points3D.txt": f"# a remark\n{listed}".encode(),
    }
