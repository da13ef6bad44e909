"""Read and write splats as PLY in the layout of the INRIA reference implementation.

One vertex per Gaussian: x y z, nx ny nz (zero), f_dc_0..2, f_rest_0..(3K-1) channel by channel (all K of red first),
opacity, scale_0..2, rot_0..3. Variants that other tools write are read too: two scales (Huang et al., 2D Gaussian
Splatting, 2024), filter_3D (Yu et al., Mip-Splatting, 2024), and PlayCanvas' packed vertices.
"""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from plyfile import PlyData, PlyElement, PlyParseError

from contract.files import whole
from contract.ply import MAX_HEADER_BYTES, gaussian_fault, header_bytes, header_of, higher_coefficients
from splat.errors import InvalidSplatError
from splat.gaussians import HIGHER_COEFFICIENTS, Gaussians, logit_of, opacity_of
from splat.packed_ply import is_packed, unpacked
from splat.stored import NOWHERE, Marks, StoredSplat, marks_in, offset_of

_POSITION = ("x", "y", "z")
_NORMAL = ("nx", "ny", "nz")
_SCALE = ("scale_0", "scale_1", "scale_2")
_ROTATION = ("rot_0", "rot_1", "rot_2", "rot_3")
_BASE_COLOUR = ("f_dc_0", "f_dc_1", "f_dc_2")
_FILTER = "filter_3D"


def property_names(higher_coefficients: int) -> list[str]:
    """The vertex properties in file order, for K higher coefficients per channel (62 properties for K = 15)."""
    rest = [f"f_rest_{i}" for i in range(3 * higher_coefficients)]
    return [*_POSITION, *_NORMAL, *_BASE_COLOUR, *rest, "opacity", *_SCALE, *_ROTATION]


def write_ply(path: Path, gaussians: Gaussians, marks: Marks = Marks()) -> None:  # noqa: B008 - frozen
    """Write binary little-endian PLY in the INRIA layout; the file appears whole or not at all.

    Parameters
    ----------
    path: the file.
    gaussians: N Gaussians in world units, with logarithms of scales and logits of opacities, as they are stored.
    marks: up, offset and antialiasing, written as comments; none by default.
    """
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
    data = PlyData([PlyElement.describe(vertices, "vertex")], byte_order="<", comments=marks.as_comments())
    with whole(path) as partial:
        data.write(str(partial))


def read_ply(path: Path) -> Gaussians:
    """The Gaussians of `read_stored_ply` alone; the offset that was subtracted from their positions is not returned."""
    return read_stored_ply(path).gaussians


def read_stored_ply(path: Path, *, centre: bool = True) -> StoredSplat:
    """Read a splat of any degree, with or without normals, ASCII or binary, and the marks in its comments.

    Values are not checked: some tools write rows that are not finite (see splat.gaussians.sound). Positions far from
    the origin are centred, and this offset is added to that of the marks, unless `centre` is False: parts of one scene
    keep the coordinates that they have in common.

    Raises InvalidSplatError if the file is not a PLY, is truncated, lacks a property or holds no Gaussian.
    """
    try:
        data = _parsed(path)
        vertices = data["vertex"]
        if is_packed(data):
            return StoredSplat(unpacked(data), _marks(data))
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
    if fault := gaussian_fault(known):
        raise _invalid(path, fault)
    higher, surfels = higher_coefficients(known), _SCALE[2] not in known
    if len(vertices) == 0:
        raise _invalid(path, "holds no Gaussian")

    def columns(names: tuple[str, ...], dtype: type[np.floating] = np.float32) -> NDArray[np.floating]:
        with np.errstate(over="ignore", invalid="ignore"):  # doubles beyond float32's range become infinite
            return np.stack([np.asarray(vertices[name]).astype(dtype) for name in names], axis=1)

    read = min(higher, HIGHER_COEFFICIENTS[-1])
    rest = np.zeros((len(vertices), 3, 0), dtype=np.float32)
    if higher:
        names = tuple(f"f_rest_{channel * higher + i}" for channel in range(3) for i in range(read))
        rest = columns(names).reshape(len(vertices), 3, read)
    positions = columns(_POSITION, np.float64).astype(np.float64)
    offset = offset_of(positions) if centre else NOWHERE
    marks = _marks(data)
    x, y, z = (own + more for own, more in zip(marks.offset, offset, strict=True))
    scales = columns(_SCALE[:2] if surfels else _SCALE)
    with np.errstate(over="ignore", invalid="ignore"):
        means = (positions - offset).astype(np.float32)
    gaussians = Gaussians(
        means=means,
        quats=columns(_ROTATION),
        scales=np.pad(scales, ((0, 0), (0, 1)), constant_values=-np.inf) if surfels else scales,
        opacities=columns(("opacity",))[:, 0],
        sh0=columns(_BASE_COLOUR),
        shN=rest.transpose(0, 2, 1),
    )
    filtered = _FILTER in known and bool(np.any(vertices[_FILTER] != 0))
    if filtered:
        gaussians = smoothed(gaussians, columns((_FILTER,), np.float64)[:, 0])
    return StoredSplat(
        gaussians,
        replace(marks, antialiased=marks.antialiased or filtered, offset=(x, y, z)),
        moved=offset,
        plain=not (surfels or filtered or any(offset) or read < higher),
        dropped_degrees=read < higher,
    )


def smoothed(gaussians: Gaussians, deviations: NDArray[np.floating]) -> Gaussians:
    """Apply the 3D smoothing filter of Mip-Splatting, whose standard deviations are `deviations` (N,).

    The filter widens every axis and lowers the opacity, so that the mass stays the same. Mip-Splatting stores it
    separately and applies it when drawing.
    """
    added = np.square(deviations.astype(np.float64))[:, None]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        own = np.exp(2 * gaussians.scales.astype(np.float64))
        opacities = opacity_of(gaussians.opacities) * np.sqrt(np.prod(own / (own + added), axis=1))
        return replace(
            gaussians,
            scales=(0.5 * np.log(own + added)).astype(np.float32),
            opacities=logit_of(opacities).astype(np.float32),
        )


_ASCII = bytes(byte if byte < 128 else ord("?") for byte in range(256))


class _AsciiHeader(io.BufferedReader):
    """A PLY file that replaces non-ASCII characters in the header with question marks: plyfile accepts only ASCII
    headers, and tools write names of people and folders into comments.
    """

    def __init__(self, raw: io.FileIO, header: int) -> None:
        super().__init__(raw)
        self._header = header

    def read(self, size: int | None = -1, /) -> bytes:
        begun = self.tell()
        data = super().read(size)
        return data.translate(_ASCII) if begun < self._header else data


def _parsed(path: Path) -> PlyData:
    """Parse the file with plyfile. Raises ValueError, OSError, and the errors of plyfile."""
    with path.open("rb") as stream:
        head = stream.read(MAX_HEADER_BYTES)
    header_of(head, path.stat().st_size)
    with _AsciiHeader(io.FileIO(path), header_bytes(head)) as stream:
        return PlyData.read(stream)


def _marks(data: PlyData) -> Marks:
    elements = [comment for element in data.elements for comment in element.comments]
    return marks_in([*data.comments, *elements])


def _invalid(path: Path, what: str) -> InvalidSplatError:
    return InvalidSplatError(f"{path.name} {what}")
