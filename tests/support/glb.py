"""Read GLB files with Gaussians by the specifications of glTF 2.0 and KHR_gaussian_splatting, independently of our
writer."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

_COLUMNS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}


def chunks_of(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The JSON document and the buffer."""
    magic, version, length = struct.unpack_from("<4sII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data))
    chunks, at = {}, 12
    while at < len(data):
        size, kind = struct.unpack_from("<I4s", data, at)
        assert size % 4 == 0
        chunks[kind] = data[at + 8 : at + 8 + size]
        at += 8 + size
    return json.loads(chunks[b"JSON"]), chunks[b"BIN\0"]


def read_glb(data: bytes) -> tuple[dict[str, Any], dict[str, NDArray[np.floating[Any]]]]:
    """The JSON document, and the values (N, C) of the first primitive's attributes by name."""
    document, binary = chunks_of(data)
    assert document["buffers"] == [{"byteLength": len(binary)}]
    values = {}
    for name, number in document["meshes"][0]["primitives"][0]["attributes"].items():
        accessor = document["accessors"][number]
        view = document["bufferViews"][accessor["bufferView"]]
        assert view["byteOffset"] % 4 == 0
        raw = binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]
        whole = accessor["componentType"] == 5121
        flat = np.frombuffer(raw, np.uint8).astype(np.float64) / 255 if whole else np.frombuffer(raw, "<f4")
        assert whole == accessor.get("normalized", False)
        values[name] = flat.reshape(accessor["count"], _COLUMNS[accessor["type"]])
    return document, values
