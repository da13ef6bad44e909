"""Write GLB with KHR_gaussian_splatting: glTF 2.0 with one mesh of points, for engines, globes and validators.

https://github.com/KhronosGroup/glTF/tree/main/extensions/2.0/Khronos/KHR_gaussian_splatting (ratified): rotations are
xyzw; deviations and opacities are stored as they are, not as logarithms and logits; harmonics have the Condon-Shortley
phase, as in INRIA's code. glTF is y-up: the Gaussians keep the scene's own axes exactly, and their node rotates them.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract.files import whole
from splat.gaussians import Gaussians, opacity_of
from splat.harmonics import SH_C0

_MAGIC, _VERSION, _JSON, _BINARY = 0x46546C67, 2, 0x4E4F534A, 0x004E4942
_FLOAT, _UNSIGNED_BYTE, _ARRAY_BUFFER, _POINTS = 5126, 5121, 34962, 0
_TYPES = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}
EXTENSION = "KHR_gaussian_splatting"
_MAX_BYTES = (1 << 32) - 1  # lengths have 32 bits
_SPARE_BYTES = 1 << 16  # for everything but the attributes

Values = NDArray[np.float32] | NDArray[np.uint8]


def write_glb(path: Path, gaussians: Gaussians, rotation: tuple[float, float, float, float]) -> None:
    """Write `gaussians` in their order; the file appears whole or not at all.

    Of more than 17 million Gaussians, the highest degrees of the harmonics are left out: lengths in a GLB have 32 bits.

    Parameters
    ----------
    path: the file, usually `scene.glb`.
    gaussians: in world units (metres if the scene is georeferenced).
    rotation: the unit quaternion xyzw that rotates the scene's up to +y.

    Raises ValueError for more Gaussians than the format can hold.
    """
    while gaussians.sh_degree and _size_of(gaussians) > _MAX_BYTES - _SPARE_BYTES:
        gaussians = replace(gaussians, shN=gaussians.shN[:, : gaussians.sh_degree**2 - 1])
    names, accessors, views, offset = [], [], [], 0
    for number, (name, values) in enumerate(_attributes(gaussians)):
        names.append(name)
        views.append({"buffer": 0, "byteOffset": offset, "byteLength": values.nbytes, "target": _ARRAY_BUFFER})
        accessors.append({"bufferView": number, **_accessor(values)})
        offset += values.nbytes
    accessors[0] |= _range(gaussians)
    document = {
        "extensionsUsed": [EXTENSION],
        "nodes": [{"name": "splat", "mesh": 0, "rotation": list(rotation)}],
        "meshes": [{"primitives": [primitive(names)]}],
        "accessors": accessors,
        "bufferViews": views,
    }
    # one at a time: all at once would be a second copy of the splat in memory
    write_container(path, document, (values.tobytes() for _, values in _attributes(gaussians)), offset)


def _size_of(gaussians: Gaussians) -> int:
    """The bytes of all attributes."""
    return len(gaussians) * sum(values.nbytes for _, values in _attributes(gaussians.select(np.arange(1))))


def placeholders(gaussians: Gaussians) -> tuple[list[str], list[dict[str, Any]]]:
    """Names and accessors, without data, for the attributes of `gaussians` whose values another extension holds."""
    kinds = [(name, _accessor(values)) for name, values in _attributes(gaussians.select(np.arange(1)))]
    accessors: list[dict[str, Any]] = [{**accessor, "count": len(gaussians)} for _, accessor in kinds]
    accessors[0] |= _range(gaussians)
    return [name for name, _ in kinds], accessors


def primitive(names: list[str], extensions: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A primitive of Gaussians: attribute `names` in the order of the accessors; `extensions` go into the extension."""
    extension: dict[str, Any] = {"kernel": "ellipse", "colorSpace": "srgb_rec709_display"}
    if extensions:
        extension["extensions"] = dict(extensions)
    attributes = {name: number for number, name in enumerate(names)}
    return {"mode": _POINTS, "attributes": attributes, "extensions": {EXTENSION: extension}}


def write_container(path: Path, document: Mapping[str, Any], parts: Iterable[bytes], size: int) -> None:
    """Write a GLB of one scene with one node; the file appears whole or not at all.

    Parameters
    ----------
    path: the file.
    document: the glTF document without asset, scene and buffers.
    parts: the contents of the buffer.
    size: their total size in bytes.

    Raises ValueError if the file would be larger than the format allows.
    """
    padding = -size % 4
    whole_document = {
        "asset": {"version": "2.0", "generator": "spaceport"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        **document,
        "buffers": [{"byteLength": size + padding}],
    }
    text = json.dumps(whole_document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    length = 12 + 8 + len(text) + 8 + size + padding
    if length > _MAX_BYTES:
        raise ValueError(f"a GLB can hold 4 GB, not {length} bytes")
    with whole(path) as partial, partial.open("wb") as stream:
        stream.write(struct.pack("<III", _MAGIC, _VERSION, length))
        stream.write(struct.pack("<II", len(text), _JSON) + text)
        stream.write(struct.pack("<II", size + padding, _BINARY))
        for part in parts:
            stream.write(part)
        stream.write(bytes(padding))


def _attributes(gaussians: Gaussians) -> Iterator[tuple[str, Values]]:
    """Names and values (N, C) of every attribute; a row of each is a multiple of four bytes long."""
    quats = gaussians.quats / np.linalg.norm(gaussians.quats, axis=1, keepdims=True)
    opacity = opacity_of(gaussians.opacities)
    yield "POSITION", gaussians.means
    yield "COLOR_0", _fallback_colours(gaussians.sh0, opacity)
    yield f"{EXTENSION}:ROTATION", np.ascontiguousarray(quats[:, [1, 2, 3, 0]], dtype=np.float32)
    yield f"{EXTENSION}:SCALE", np.exp(gaussians.scales)
    yield f"{EXTENSION}:OPACITY", opacity[:, None].astype(np.float32)
    yield f"{EXTENSION}:SH_DEGREE_0_COEF_0", gaussians.sh0
    for degree in range(1, gaussians.sh_degree + 1):
        for number in range(2 * degree + 1):
            coefficient = gaussians.shN[:, degree * degree - 1 + number]
            yield f"{EXTENSION}:SH_DEGREE_{degree}_COEF_{number}", np.ascontiguousarray(coefficient)


def _fallback_colours(sh0: NDArray[np.float32], opacity: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Linear RGB and opacity (N, 4), for readers that only draw points: glTF's vertex colours are linear."""
    shown = np.clip(0.5 + SH_C0 * sh0.astype(np.float64), 0, 1)
    linear = np.where(shown <= 0.04045, shown / 12.92, ((shown + 0.055) / 1.055) ** 2.4)
    return np.asarray(np.rint(255 * np.concatenate([linear, opacity[:, None]], axis=1)), dtype=np.uint8)


def _accessor(values: Values) -> dict[str, Any]:
    accessor = {"count": len(values), "type": _TYPES[values.shape[1]], "componentType": _FLOAT}
    return accessor if values.dtype == np.float32 else {**accessor, "componentType": _UNSIGNED_BYTE, "normalized": True}


def _range(gaussians: Gaussians) -> dict[str, list[float]]:
    """The bounds that glTF requires for positions."""
    return {"min": gaussians.means.min(axis=0).tolist(), "max": gaussians.means.max(axis=0).tolist()}
