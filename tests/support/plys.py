"""PLY files by their headers: what splat tools export, and meshes and point clouds that are uploaded by mistake."""

from __future__ import annotations

from collections.abc import Sequence

POSITION = ("x", "y", "z")
COLOUR, REST = ("f_dc_0", "f_dc_1", "f_dc_2"), tuple(f"f_rest_{number}" for number in range(45))
SHAPE = ("opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3")
GAUSSIAN = (*POSITION, *COLOUR, *SHAPE)
POINT_CLOUD = (*POSITION, "nx", "ny", "nz", "red", "green", "blue")


def ply_of(properties: Sequence[str] = GAUSSIAN, count: int = 4, promised: int | None = None, faces: int = 0) -> bytes:
    """A binary PLY with all values 0; `promised`: the count in the header, if it differs."""
    header = [
        *("ply", "format binary_little_endian 1.0", f"element vertex {count if promised is None else promised}"),
        *(f"property float {name}" for name in properties),
        *((f"element face {faces}", "property list uchar int vertex_indices") if faces else ()),
        "end_header\n",
    ]
    face = b"\3" + bytes(12)
    return "\n".join(header).encode() + bytes(4 * len(properties) * count) + face * faces


# by name, with only the header's contents
NO_SPLATS = {
    "a mesh": ply_of(POSITION, faces=2),
    "a point cloud": ply_of(POINT_CLOUD),
    "a mesh without vertices": ply_of(GAUSSIAN, 0, faces=1),
    "no Gaussian": ply_of(count=0),
    "one property missing": ply_of([name for name in GAUSSIAN if name != "rot_3"]),
    "half of the colours": ply_of((*GAUSSIAN, *REST[:20])),
    "a gap in the colours": ply_of((*GAUSSIAN, *(f"f_rest_{number + 1}" for number in range(45)))),
    "cut off": ply_of(promised=5),
    "cut off in its header": ply_of()[:60],
    "a count beyond all reason": ply_of(promised=10**12),
    "a byte missing": ply_of()[:-1],
    "no format": ply_of().replace(b"format binary_little_endian 1.0\n", b""),
    "a format of the future": ply_of().replace(b"endian 1.0", b"endian 2.0"),
    "a type that there is not": ply_of().replace(b"float opacity", b"half opacity"),
    "two properties of one name": ply_of((*GAUSSIAN, "x")),
    "two elements of one name": ply_of().replace(b"end_header", b"element vertex 1\nproperty float x\nend_header"),
}
SPLATS = {
    "degree 0": ply_of(),
    "degree 3": ply_of((*GAUSSIAN, *REST)),
    "2DGS": ply_of([name for name in GAUSSIAN if name != "scale_2"]),
    "with normals": ply_of((*GAUSSIAN, "nx", "ny", "nz")),
    "with faces of its own": ply_of(faces=1),
    "words in chunks": ply_of(("packed_position", "packed_rotation")).replace(
        b"element vertex", b"element chunk 0\nproperty float min_x\nelement vertex"
    ),
    "a comment in UTF-8": ply_of().replace(b"element", "comment of Jörg\nelement".encode()),
    "a comment in no encoding": ply_of().replace(b"element", b"comment of J\xf6rg\nelement"),
    "Windows line ends": ply_of().replace(b"\n", b"\r\n"),
}
