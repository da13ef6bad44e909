"""What splat tools export, and broken splats: for each kind, preflight's answer and what the compressor reads.

Compression itself is tested with the stage.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from compressor.deliver.spz import FixedPoint
from compressor.encode.encoder import Coarseness, arrange, quantise
from compressor.sog.container import pack_files, zip_files
from compressor.source import Source, read_source, visible
from contract.codes import ErrorCode
from contract.stages import PipelineStep
from contract.warning_codes import WarningCode
from domain.errors import RejectedUpload
from domain.preflight import check_bare_splat, check_contents, check_entries, read_entries, step_of
from domain.upload_kind import START_BYTES, UploadKind, kind_of
from splat.gaussians import Gaussians
from splat.ply import write_ply
from splat.stored import Marks
from stage.errors import StageError
from stage.result import Warning
from tests.support.archives import zip_of
from tests.support.foreign_splats import changed_ply, dot_splat, packed_ply
from tests.support.plys import NO_SPLATS
from tests.support.splats import even_sensitivity, make_splat

COUNT = 60
SPLAT = replace(make_splat(COUNT, 1), opacities=np.full(COUNT, 2.0, np.float32))
UTM = (412_345.0, 5_412_347.0, 480.0)
Body = Callable[[Path], bytes]


@dataclass(frozen=True)
class Case:
    """An upload and the expected answer. `kept`: how many Gaussians are compressed, or the code of a refusal; `moved`:
    its coordinates are centred; `preflight`: whether preflight refuses it, too."""

    name: str
    key: str
    body: Body
    kept: int | ErrorCode = COUNT
    warnings: tuple[WarningCode, ...] = ()
    antialiased: bool = False
    moved: bool = False
    preflight: bool = False


def ply(folder: Path, splat: Gaussians = SPLAT, marks: Marks = Marks()) -> bytes:  # noqa: B008 - frozen
    write_ply(folder / "made.ply", splat, marks)
    return (folder / "made.ply").read_bytes()


def written(change: Callable[[NDArray[np.void]], None] = lambda _vertices: None, **layout: Any) -> Body:
    """A PLY as other tools write it (`changed_ply`)."""
    return lambda folder: changed_ply(folder / "made.ply", SPLAT, change, **layout)


def setting(**values: float) -> Body:
    """A PLY whose third row has these values."""

    def change(vertices: NDArray[np.void]) -> None:
        for name, value in values.items():
            vertices[name][2] = value

    return lambda folder: changed_ply(folder / "made.ply", SPLAT, change)


def spz(folder: Path, legacy: bool) -> bytes:
    points = FixedPoint.of(SPLAT, antialiased=True)
    (points.write_legacy if legacy else points.write)(folder / "made.spz")
    return (folder / "made.spz").read_bytes()


def sog(_folder: Path) -> bytes:
    arranged = arrange(make_splat(COUNT, 0))
    return zip_files(pack_files(quantise(arranged, even_sensitivity(COUNT), Coarseness(), None), Marks(True)))


def survey(vertices: NDArray[np.void]) -> None:
    for axis, shift in zip("xyz", UTM, strict=True):
        vertices[axis] += shift


def iterations(folder: Path) -> bytes:
    early, late = ply(folder, SPLAT.select(np.arange(9))), ply(folder)
    return zip_of(
        {
            "out/input.ply": early,
            "out/point_cloud/iteration_7000/point_cloud.ply": early,
            "out/point_cloud/iteration_30000/point_cloud.ply": late,
        }
    )


HARMONICS = ("f_dc_0", "f_dc_1", "f_dc_2", "opacity", "scale_0", "scale_1", "scale_2")
DROPPED, TRANSPARENT = (WarningCode.INVALID_GAUSSIANS,), (WarningCode.TRANSPARENT_GAUSSIANS,)
INVALID = ErrorCode.INVALID_SPLAT
CASES = [
    Case("a PLY", "scene.ply", ply),
    Case("without a suffix", "flights/scene", ply),
    Case("in a ZIP", "scene.zip", lambda folder: zip_of({"export/scene.ply": ply(folder), "readme.txt": b"x"})),
    Case("two in one", "a.zip", lambda folder: zip_of({"a.ply": ply(folder), "b.ply": b"x"}), INVALID, preflight=True),
    Case("INRIA: an output folder", "out.zip", iterations),
    Case("a row of NaN", "a.ply", setting(x=np.nan), COUNT - 1, DROPPED),
    Case("a row without rotation", "a.ply", setting(rot_0=0, rot_1=0, rot_2=0, rot_3=0), COUNT - 1, DROPPED),
    Case("colours beyond all reason", "a.ply", setting(f_rest_0=1e30), COUNT - 1, DROPPED),
    Case("a scale of minus infinity", "a.ply", setting(scale_2=-np.inf)),
    Case("an opacity of infinity", "a.ply", setting(opacity=np.inf)),
    Case("an opacity of minus infinity", "a.ply", setting(opacity=-np.inf), COUNT - 1, TRANSPARENT),
    Case("nothing but NaN", "a.ply", lambda folder: ply(folder, replace(SPLAT, means=SPLAT.means * np.nan)), INVALID),
    Case("Mip-Splatting: filter_3D", "a.ply", written(more={"filter_3D": 0.01}), antialiased=True),
    Case("Brush: a render mode", "a.ply", written(comments=["SplatRenderMode: mip"]), antialiased=True),
    Case("Postshot: antialiased 1", "a.ply", written(comments=["antialiased 1"]), antialiased=True),
    Case("2DGS: two scales", "a.ply", written(without=["scale_2"])),
    Case("without normals", "a.ply", written(without=["nx", "ny", "nz"])),
    Case("PlayCanvas: compressed", "scene.compressed.ply", lambda _folder: packed_ply(SPLAT), antialiased=True),
    Case("SPZ 3", "scene.spz", lambda folder: spz(folder, legacy=True), antialiased=True),
    Case("SPZ 4", "scene.spz", lambda folder: spz(folder, legacy=False), antialiased=True),
    Case("SOG", "scene.sog", sog, antialiased=True),
    Case(".splat", "scene.splat", lambda _folder: dot_splat(SPLAT)),
    Case("one Gaussian", "a.ply", lambda folder: ply(folder, SPLAT.select(np.arange(1))), 1),
    Case("all alike", "a.ply", lambda folder: ply(folder, SPLAT.select(np.zeros(COUNT, int)))),
    Case("a survey: UTM in doubles", "a.ply", written(survey, doubles=True), moved=True),
    Case("a point cloud", "a.ply", written(without=HARMONICS), INVALID, preflight=True),
    Case("a mesh", "a.ply", lambda _folder: NO_SPLATS["a mesh"], INVALID, preflight=True),
    Case("a mesh in a ZIP", "a.zip", lambda _folder: zip_of({"a.ply": NO_SPLATS["a mesh"]}), INVALID, preflight=True),
    Case("cut off", "a.ply", lambda folder: ply(folder)[:-100], INVALID, preflight=True),
]  # fmt: skip


def door(case: Case, body: bytes) -> PipelineStep | ErrorCode:
    """The step that the job begins with, or the code of a refusal."""
    stream = io.BytesIO(body)
    try:
        if kind_of(case.key, stream.read(START_BYTES)) is UploadKind.SPLAT:
            check_bare_splat(stream, case.key, len(body))
            return PipelineStep.COMPRESSION
        entries = read_entries(stream)
        step = step_of(entries, PipelineStep.COMPRESSION if case.preflight else PipelineStep.FULL)
        check_entries(entries, len(body), step)
        check_contents(stream, entries, step)
    except RejectedUpload as rejected:
        return rejected.error.code
    return step


def read(channel: Path, scratch: Path) -> tuple[Source, Gaussians, list[Warning]] | ErrorCode:
    try:
        source = read_source(channel, scratch)
        return source, *visible(source.gaussians)
    except StageError as error:
        return error.code


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_splat_gets_its_answer(case: Case, tmp_path: Path) -> None:
    body = case.body(tmp_path)
    channel = tmp_path / "channel"
    channel.mkdir()
    (channel / Path(case.key).name).write_bytes(body)
    assert door(case, body) is (INVALID if case.preflight else PipelineStep.COMPRESSION)
    found = read(channel, tmp_path / "scratch")
    if isinstance(case.kept, ErrorCode):
        assert found is case.kept
        return
    assert not isinstance(found, ErrorCode), found
    source, kept, warnings = found
    assert len(kept) == case.kept
    assert tuple(warning.code for warning in warnings) == case.warnings
    assert source.marks.antialiased is case.antialiased
    assert any(source.marks.offset) is case.moved
    values = (kept.means, kept.quats, kept.scales, kept.opacities, kept.sh0, kept.shN)
    assert all(np.isfinite(value).all() for value in values)
    if case.moved:
        np.testing.assert_allclose(kept.means + np.subtract(source.marks.offset, UTM), SPLAT.means, atol=1e-3)
