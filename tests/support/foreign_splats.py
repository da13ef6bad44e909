"""Splats as other tools write them: PlayCanvas' compressed PLY, .splat, and PLYs with columns that ours lack."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from plyfile import PlyData, PlyElement

from splat.gaussians import Gaussians, opacity_of
from splat.harmonics import SH_C0
from splat.ply import write_ply


def word(shares: np.ndarray, bits: tuple[int, ...]) -> int:
    """Packs fractions of each field's maximum into a word, the first field in the highest bits."""
    packed = 0
    for share, width in zip(shares, bits, strict=True):
        packed = packed << width | round(share * ((1 << width) - 1))
    return packed


def packed_ply(splat: Gaussians, *, colour_range: bool = True) -> bytes:
    """A PLY packed as by PlayCanvas' tools, from the format's documentation."""
    count = len(splat)
    chunks, words = [], []
    colours = 0.5 + SH_C0 * splat.sh0.astype(np.float64)
    unit = splat.quats / np.linalg.norm(splat.quats, axis=1, keepdims=True)
    for start in range(0, count, 256):
        part = slice(start, start + 256)
        row: list[float] = []
        shares = []
        for values in (splat.means[part], splat.scales[part], colours[part]):
            low, high = values.min(axis=0), values.max(axis=0)
            if values.shape[1] == 3 and values is not splat.means and not colour_range and len(row) == 12:
                low, high = np.zeros(3), np.ones(3)
            else:
                row += [*low, *high]
            shares.append(np.clip((values - low) / np.maximum(high - low, 1e-12), 0, 1))
        chunks.append(struct.pack(f"<{len(row)}f", *row))
        for i in range(len(shares[0])):
            q = unit[start + i]
            largest = int(np.abs(q).argmax())
            q = q * np.sign(q[largest])
            rotation = largest << 30
            for shift, c in zip((20, 10, 0), [c for c in range(4) if c != largest], strict=True):
                rotation |= round((q[c] / np.sqrt(2) + 0.5) * 1023) << shift
            vectors = [word(share[i], (11, 10, 11)) for share in shares[:2]]
            alpha = round(float(opacity_of(splat.opacities[start + i : start + i + 1])[0]) * 255)
            colour = sum(round(c * 255) << shift for c, shift in zip(shares[2][i], (24, 16, 8), strict=True)) | alpha
            words.append(struct.pack("<4I", vectors[0], rotation, vectors[1], colour))
    names = [f"{end}_{axis}" for end in ("min", "max") for axis in "xyz"]
    names += [f"{end}_scale_{axis}" for end in ("min", "max") for axis in "xyz"]
    names += [f"{end}_{axis}" for end in ("min", "max") for axis in "rgb"] if colour_range else []
    header = "ply\nformat binary_little_endian 1.0\ncomment SplatRenderMode: mip\n"
    header += f"element chunk {len(chunks)}\n" + "".join(f"property float {name}\n" for name in names)
    header += f"element vertex {count}\n"
    header += "".join(f"property uint packed_{name}\n" for name in ("position", "rotation", "scale", "color"))
    body = b"".join(chunks) + b"".join(words)
    if higher := splat.shN.shape[1]:
        header += f"element sh {count}\n" + "".join(f"property uchar f_rest_{i}\n" for i in range(3 * higher))
        values = splat.shN.transpose(0, 2, 1).reshape(count, -1)
        body += np.clip(np.floor((values / 8 + 0.5) * 256), 0, 255).astype(np.uint8).tobytes()
    return header.encode() + b"end_header\n" + body


def dot_splat(splat: Gaussians) -> bytes:
    """A .splat file as the first web viewers store it: 32 bytes per Gaussian."""
    unit = splat.quats / np.linalg.norm(splat.quats, axis=1, keepdims=True)
    shades = np.column_stack([np.clip(0.5 + SH_C0 * splat.sh0, 0, 1), opacity_of(splat.opacities)])
    rows = [
        struct.pack("<6f", *mean, *np.exp(scale))
        + np.rint(shade * 255).astype(np.uint8).tobytes()
        + np.clip(np.rint(quat * 128 + 128), 0, 255).astype(np.uint8).tobytes()
        for mean, scale, shade, quat in zip(splat.means, splat.scales, shades, unit, strict=True)
    ]
    return b"".join(rows)


def changed_ply(
    path: Path,
    splat: Gaussians,
    change: Callable[[NDArray[np.void]], None] = lambda _vertices: None,
    without: Sequence[str] = (),
    more: Mapping[str, float] | None = None,
    comments: Sequence[str] = (),
    doubles: bool = False,
) -> bytes:
    """A PLY at `path` and its bytes: its vertices after `change`, columns removed and added, positions in doubles."""
    write_ply(path, splat)
    own = PlyData.read(str(path))["vertex"].data
    added = dict(more or {})
    names = [name for name in own.dtype.names if name not in without]
    wide = np.empty(len(own), [(name, "f8" if doubles and name in "xyz" else "f4") for name in (*names, *added)])
    for name in names:
        wide[name] = own[name]
    for name, value in added.items():
        wide[name] = value
    change(wide)
    PlyData([PlyElement.describe(wide, "vertex")], comments=list(comments)).write(str(path))
    return path.read_bytes()
