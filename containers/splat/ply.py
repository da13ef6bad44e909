"""Read and write splats as PLY in the layout of the INRIA reference implementation.

One vertex a Gaussian: x y z, nx ny nz (zero), f_dc_0..2, f_rest_0..(3K-1) channel by channel (all K of red first),
opacity, scale_0..2, rot_0..3.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from plyfile import PlyData, PlyElement, PlyParseError

from splat.errors import InvalidSplatError
from splat.gaussians import HIGHER_COEFFICIENTS, Gaussians
from splat.ply_header import check_header

_POSITION = ("x", "y", "z")
_NORMAL = ("nx", "ny", "nz")
_SCALE = ("scale_0", "scale_1", "scale_2")
_ROTATION = ("rot_0", "rot_1", "rot_2", "rot_3")
_BASE_COLOUR = ("f_dc_0", "f_dc_1", "f_dc_2")


def property_names(higher_coefficients: int) -> list[str]:
    """The vertex properties, in file order, for K higher coefficients a channel (62 of them for K = 15)."""
    rest = [f"f_rest_{i}" for i in range(3 * higher_coefficients)]
    return [*_POSITION, *_NORMAL, *_BASE_COLOUR, *rest, "opacity", *_SCALE, *_ROTATION]


def write_ply(path: Path, gaussians: Gaussians) -> None:
    """Write `gaussians` as binary little-endian PLY; the file appears whole or not at all."""
    higher = gaussians.shN.shape[1]
    names = property_names(higher)
    columns = np.zeros((len(gaussians), len(names)), dtype="<f4")
    columns[:, 0:3] = gaussians.means
    columns[:, 6:9] = gaussians.sh0
    end = 9 + 3 * higher
    columns[:, 9:end] = gaussians.shN.transpose(0, 2, 1).reshape(len(gaussians), 3 * higher)
    columns[:, end] = gaussians.opacities
    columns[:, end + 1 : end + 4] = gaussians.scales
    columns[:, end + 4 : end + 8] = gaussians.quats
    vertices = columns.view([(name, "<f4") for name in names])[:, 0]
    partial = path.with_name(path.name + ".partial")
    PlyData([PlyElement.describe(vertices, "vertex")], byte_order="<").write(str(partial))
    partial.replace(path)


def read_ply(path: Path) -> Gaussians:
    """Read a splat of any degree, with or without normals, ASCII or binary.

    Values are taken as they are: some tools leave rows that are not finite (splat.gaussians.sound).

    Raises InvalidSplatError where the file is no PLY, is cut short, lacks a property or holds no Gaussian.
    """
    try:
        check_header(path)
        vertices = PlyData.read(str(path))["vertex"]
    except KeyError:
        raise _invalid(path, "has no vertex element") from None
    except (
        PlyParseError,
        OSError,
        ValueError,
        UnicodeDecodeError,
        IndexError,
        EOFError,
        MemoryError,
        OverflowError,
    ) as error:
        raise _invalid(path, f"is not a readable PLY ({error})") from error
    known = {prop.name for prop in vertices.properties if not hasattr(prop, "len_dtype")}
    higher = sum(name.startswith("f_rest_") for name in known) // 3
    if higher not in HIGHER_COEFFICIENTS:
        raise _invalid(path, f"holds {higher} higher colour coefficients a channel, not one of {HIGHER_COEFFICIENTS}")
    missing = [name for name in property_names(higher) if name not in known and name not in _NORMAL]
    if missing:
        raise _invalid(path, f"is no Gaussian splat: it lacks {', '.join(missing[:5])}")
    if len(vertices) == 0:
        raise _invalid(path, "holds no Gaussian")

    def columns(names: tuple[str, ...]) -> NDArray[np.float32]:
        return np.stack([np.asarray(vertices[name], dtype=np.float32) for name in names], axis=1)

    if higher:
        rest = columns(tuple(f"f_rest_{i}" for i in range(3 * higher)))
    else:
        rest = np.zeros((len(vertices), 0), dtype=np.float32)
    return Gaussians(
        means=columns(_POSITION),
        quats=columns(_ROTATION),
        scales=columns(_SCALE),
        opacities=columns(("opacity",))[:, 0],
        sh0=columns(_BASE_COLOUR),
        shN=rest.reshape(len(vertices), 3, higher).transpose(0, 2, 1),
    )


def _invalid(path: Path, what: str) -> InvalidSplatError:
    return InvalidSplatError(f"{path.name} {what}")
