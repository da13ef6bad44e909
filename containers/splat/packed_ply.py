"""Read PlayCanvas' compressed PLY: a vertex is four words, with positions and scales in the range of its chunk.

https://developer.playcanvas.com/user-manual/gaussian-splatting/formats/compressed-ply/ A chunk has 256 vertices.
Positions and log deviations have 11, 10 and 11 bits. A rotation has the index of its largest component (wxyz) in 2 bits
and the other three in 10 bits each. Colours and opacity have 8 bits each; chunks of older files have no range of
colours, which then is 0 to 1. An optional element `sh` holds the higher coefficients in bytes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from plyfile import PlyData

from contract.ply import PACKED
from splat.gaussians import HIGHER_COEFFICIENTS, Gaussians, logit_of
from splat.harmonics import SH_C0

_CHUNK = 256
_BITS = (11, 10, 11)
_HARMONICS_SPAN = 8.0  # the bytes of the higher coefficients span −4 to 4
_OTHERS = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])

Float64 = NDArray[np.float64]
Words = NDArray[np.uint32]


def is_packed(data: PlyData) -> bool:
    """Whether the vertices are words rather than numbers."""
    return "chunk" in data and PACKED in {prop.name for prop in data["vertex"].properties}


def unpacked(data: PlyData) -> Gaussians:
    """The Gaussians of a packed PLY. Raises ValueError if it has no vertex, or its elements do not match each other."""
    vertices, chunks = data["vertex"], data["chunk"]
    count = len(vertices)
    if count == 0:
        raise ValueError("it holds no Gaussian")
    if len(chunks) != -(-count // _CHUNK):
        raise ValueError(f"{len(chunks)} chunks for {count} vertices")
    chunk = np.arange(count) // _CHUNK
    known = {prop.name for prop in chunks.properties}

    def ranged(shares: Float64, suffixes: tuple[str, str, str], low: float = 0.0, high: float = 1.0) -> Float64:
        bounds = []
        for end, value in (("min", low), ("max", high)):
            columns = [
                np.asarray(chunks[f"{end}_{suffix}"], np.float64)
                if f"{end}_{suffix}" in known
                else np.full(len(chunks), value)
                for suffix in suffixes
            ]
            bounds.append(np.stack(columns, axis=1)[chunk])
        return np.asarray(bounds[0] + shares * (bounds[1] - bounds[0]))

    needed = [f"{end}_{axis}" for end in ("min", "max") for axis in "xyz"]
    if missing := [name for name in needed if name not in known]:
        raise ValueError(f"its chunks lack {', '.join(missing)}")
    colours = _shares(_words(data, "packed_color"), (8, 8, 8, 8))
    with np.errstate(divide="ignore"):  # an opacity of 255 is exactly 1
        logits = logit_of(colours[:, 3])
    return Gaussians(
        means=ranged(_shares(_words(data, "packed_position"), _BITS), ("x", "y", "z")).astype(np.float32),
        quats=_rotations(_words(data, "packed_rotation")).astype(np.float32),
        scales=ranged(_shares(_words(data, "packed_scale"), _BITS), ("scale_x", "scale_y", "scale_z")).astype(
            np.float32
        ),
        opacities=logits.astype(np.float32),
        sh0=((ranged(colours[:, :3], ("r", "g", "b")) - 0.5) / SH_C0).astype(np.float32),
        shN=_harmonics(data, count),
    )


def _words(data: PlyData, name: str) -> Words:
    return np.asarray(data["vertex"][name]).astype(np.uint32)


def _shares(words: Words, bits: tuple[int, ...]) -> Float64:
    """Each field as a share 0..1 of its largest value, (N, len(bits)); the first field is in the highest bits."""
    below = np.cumsum(bits[::-1])[::-1] - bits
    most = [(1 << width) - 1 for width in bits]
    fields = [(words >> np.uint32(shift)) & np.uint32(mask) for shift, mask in zip(below, most, strict=True)]
    return np.stack(fields, axis=1) / np.array(most, np.float64)


def _rotations(words: Words) -> Float64:
    """Unit quaternions (N, 4) wxyz."""
    smallest = (_shares(words, (2, 10, 10, 10))[:, 1:] - 0.5) * np.sqrt(2.0)
    largest = (words >> np.uint32(30)).astype(np.int64)
    quats = np.zeros((len(words), 4))
    np.put_along_axis(quats, _OTHERS[largest], smallest, axis=1)
    rest = np.sqrt(np.maximum(0.0, 1 - np.square(smallest).sum(axis=1)))
    np.put_along_axis(quats, largest[:, None], rest[:, None], axis=1)
    return quats


def _harmonics(data: PlyData, count: int) -> NDArray[np.float32]:
    if "sh" not in data:
        return np.zeros((count, 0, 3), np.float32)
    rows = data["sh"]
    higher = len(rows.properties) // 3
    if len(rows) != count or higher not in HIGHER_COEFFICIENTS[1:]:
        raise ValueError(f"{len(rows)} rows of {len(rows.properties)} higher coefficients for {count} vertices")
    codes = np.stack([np.asarray(rows[f"f_rest_{i}"], np.float64) for i in range(3 * higher)], axis=1)
    shares = np.where(codes == 0, 0.0, np.where(codes == 255, 1.0, (codes + 0.5) / 256))
    values = ((shares - 0.5) * _HARMONICS_SPAN).astype(np.float32)
    return np.ascontiguousarray(values.reshape(count, 3, higher).transpose(0, 2, 1))
