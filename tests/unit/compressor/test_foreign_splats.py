"""Splats of other tools: rows without meaning, marks, formats, counts and values that no scene has."""

from __future__ import annotations

import itertools
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from plyfile import PlyData, PlyElement

from compressor.deliver.surroundings import default_surroundings
from compressor.encode.compress import compress
from compressor.encode.encoder import arrange
from compressor.encode.pace import Pace
from compressor.encode.presets import Preset
from compressor.formats.reading import read_splat
from compressor.framing import frame_scene
from compressor.source import Source, read_source, visible
from contract.warning_codes import WarningCode
from splat.camera import View, look_at, write_views
from splat.gaussians import Gaussians
from splat.ply import write_ply
from splat.stored import Marks, survey_up
from splat.surroundings import write_surroundings
from stage.errors import ErrorCode, StageError

MakeSplat = Callable[..., Gaussians]


def commented(path: Path, splat: Gaussians, *comments: str) -> None:
    write_ply(path, splat)
    lines = "".join(f"comment {comment}\n" for comment in comments)
    path.write_bytes(path.read_bytes().replace(b"element vertex", lines.encode() + b"element vertex", 1))


def test_bad_rows_are_removed_with_a_warning(tmp_path: Path, make_splat: MakeSplat) -> None:
    splat = make_splat(20, 0)
    means = splat.means.copy()
    means[[3, 7]] = np.nan
    write_ply(tmp_path / "scene.ply", replace(splat, means=means))
    kept, warnings = visible(read_source(tmp_path, tmp_path).gaussians)
    np.testing.assert_array_equal(kept.means, np.delete(splat.means, [3, 7], axis=0))
    assert [warning.code for warning in warnings] == [WarningCode.INVALID_GAUSSIANS]
    assert "2 of 20" in warnings[0].message


def test_a_splat_of_bad_rows_alone_is_invalid(make_splat: MakeSplat) -> None:
    splat = make_splat(5, 0)
    with pytest.raises(StageError) as caught:
        visible(replace(splat, quats=np.zeros_like(splat.quats)))
    assert caught.value.code is ErrorCode.INVALID_SPLAT


def test_an_opacity_of_exactly_one_is_finite_afterwards(make_splat: MakeSplat) -> None:
    splat = make_splat(5, 0)
    kept, warnings = visible(replace(splat, opacities=np.full(5, np.inf, np.float32)))
    assert np.isfinite(kept.opacities).all()
    assert warnings == []


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        ("antialiased", True),
        ("antialiased 1", True),
        ("SplatRenderMode: mip", True),
        ("antialiased 0", False),
        ("SplatRenderMode: default", False),
        ("not antialiased", False),
    ],
)
def test_the_mark_of_every_writer_is_read(tmp_path: Path, make_splat: MakeSplat, comment: str, expected: bool) -> None:
    commented(tmp_path / "scene.ply", make_splat(5, 0), comment)
    assert read_source(tmp_path, tmp_path).marks.antialiased is expected


@pytest.mark.parametrize(
    ("comment", "up"),
    [
        ("Vertical axis: 0 0 1", (0, 0, 1)),
        ("Vertical axis: [0, -2, 0]", (0, -1, 0)),
        ("vertical axis: z", (0, 0, 1)),
        ("Vertical axis: y", (0, -1, 0)),
        ("Vertical axis: 0 0 0", (0, -1, 0)),
        ("Vertical axis: up", (0, -1, 0)),
    ],
)
def test_a_lone_splat_stands_as_its_file_says(
    tmp_path: Path, make_splat: MakeSplat, comment: str, up: tuple[float, ...]
) -> None:
    commented(tmp_path / "scene.ply", make_splat(30, 0), comment)
    source = read_source(tmp_path, tmp_path)
    framing = frame_scene(source.gaussians, source.views, source.z_up, source.marks.up)
    np.testing.assert_allclose(framing.up, up, atol=1e-12)


def test_the_last_iteration_of_a_training_is_taken(tmp_path: Path, make_splat: MakeSplat) -> None:
    write_ply(tmp_path / "late.ply", make_splat(9, 0))
    write_ply(tmp_path / "early.ply", make_splat(4, 0))
    upload = tmp_path / "input"
    upload.mkdir()
    with zipfile.ZipFile(upload / "upload.zip", "w") as archive:
        archive.write(tmp_path / "early.ply", "out/input.ply")
        archive.write(tmp_path / "early.ply", "out/point_cloud/iteration_7000/point_cloud.ply")
        archive.write(tmp_path / "late.ply", "out/point_cloud/iteration_30000/point_cloud.ply")
    assert len(read_source(upload, tmp_path / "scratch").gaussians) == 9


def compressed(source: Source) -> int:
    """The number of Gaussians in the file that the stage would deliver."""
    gaussians = arrange(visible(source.gaussians)[0])
    framing = frame_scene(gaussians, [], z_up=True)
    return len(compress(gaussians, [], None, framing, Preset.TINY, Pace()).decoded)


@pytest.mark.parametrize(("count", "degree", "times"), [(1, 3, 1), (2, 0, 1), (1, 1, 300)])
def test_a_few_gaussians_or_equal_ones_are_compressed(
    tmp_path: Path, make_splat: MakeSplat, count: int, degree: int, times: int
) -> None:
    write_ply(tmp_path / "scene.ply", make_splat(count, degree).select(np.repeat(np.arange(count), times)))
    assert compressed(read_source(tmp_path, tmp_path)) == count * times


def test_rows_with_values_that_no_scene_has_do_not_end_the_stage(tmp_path: Path, make_splat: MakeSplat) -> None:
    splat = make_splat(60, 1)
    values = {name: getattr(splat, name).copy() for name in ("means", "quats", "scales", "opacities", "sh0", "shN")}
    for row, (name, value) in enumerate(itertools.product(values, (1e9, -1e9, 3e38, -3e38))):
        values[name].reshape(60, -1)[row, 0] = value
    write_ply(tmp_path / "scene.ply", Gaussians(**values))
    assert compressed(read_source(tmp_path, tmp_path)) >= 36


def test_colours_beyond_all_reason_are_removed_with_a_warning(make_splat: MakeSplat) -> None:
    splat = make_splat(20, 3)
    harmonics = splat.shN.copy()
    harmonics[4, 2, 1] = 1e30
    kept, warnings = visible(replace(splat, shN=harmonics))
    assert len(kept) == 19
    assert [warning.code for warning in warnings] == [WarningCode.INVALID_GAUSSIANS]


def test_marks_are_comments_of_a_ply() -> None:
    assert Marks().as_comments() == []
    assert Marks(True, (0, 0, 1), (500000, 0, 12.5)).as_comments() == [
        "SplatRenderMode: mip",
        "Vertical axis: 0 0 1",
        "offset 500000 0 12.5",
    ]


UTM = (500_000.0, 5_200_000.0, 400.0)


def far_ply(path: Path, splat: Gaussians, offset: tuple[float, float, float]) -> None:
    """A PLY as survey tools write it: positions in doubles."""
    write_ply(path, splat)
    vertices = PlyData.read(str(path))["vertex"].data
    wide = np.empty(len(vertices), [(name, "f8" if name in "xyz" else "f4") for name in vertices.dtype.names])
    for name in vertices.dtype.names:
        wide[name] = vertices[name]
    for axis, shift in zip("xyz", offset, strict=True):
        wide[axis] += shift
    PlyData([PlyElement.describe(wide, "vertex")]).write(str(path))


def test_a_splat_of_a_survey_is_delivered_about_its_middle_with_its_offset(
    tmp_path: Path, make_splat: MakeSplat
) -> None:
    splat = make_splat(50, 0)
    far_ply(tmp_path / "survey.ply", splat, UTM)
    source = read_source(tmp_path, tmp_path / "scratch")
    np.testing.assert_allclose(source.marks.offset, UTM, atol=2)
    assert source.marks.up == pytest.approx((0, 0, 1))
    assert not source.plain
    np.testing.assert_allclose(source.gaussians.means + np.subtract(source.marks.offset, UTM), splat.means, atol=1e-6)
    write_ply(tmp_path / "again.ply", source.gaussians, source.marks)
    assert read_splat(tmp_path / "again.ply").marks == source.marks


def test_cameras_and_surroundings_of_a_far_splat_move_with_it(tmp_path: Path, make_splat: MakeSplat) -> None:
    splat = make_splat(50, 0)
    far_ply(tmp_path / "scene.ply", splat, UTM)
    eye = np.add(UTM, (0, -3, 4))
    camera = look_at(eye, UTM, width=64, height=48)
    write_views(tmp_path / "views.json", [View("a.jpg", "train", camera)])
    own = default_surroundings(splat, [], np.array([0.0, 0.0, 1.0]))
    far = replace(
        own, ground=own.ground + UTM[2], ceiling=own.ceiling + UTM[2], footprint=own.footprint + np.array(UTM)
    )
    write_surroundings(tmp_path / "surroundings.json", far)
    source = read_source(tmp_path, tmp_path / "scratch")
    rest = np.subtract(UTM, source.marks.offset)
    np.testing.assert_allclose(source.views[0].camera.position, np.add((0, -3, 4), rest), atol=1e-6)
    assert source.surroundings is not None
    assert source.surroundings.ground == pytest.approx(own.ground + rest[2], abs=1e-6)
    assert source.surroundings.ceiling == pytest.approx(own.ceiling + rest[2], abs=1e-6)
    np.testing.assert_allclose(source.surroundings.footprint, own.footprint + rest, atol=1e-6)


@pytest.mark.parametrize(
    ("offset", "up"),
    [
        (UTM, (0, 0, 1)),
        ((400_000.0, 6_350_000.0, 30.0), (0, 0, 1)),  # UTM, an Earth's radius from the origin
        ((0.0, 0.0, 5000.0), (0, 0, 1)),
        ((4_280_000.0, 640_000.0, 4_670_000.0), (0.6696, 0.1001, 0.7359)),
        ((0.0, 0.0, 0.0), None),
    ],
)
def test_up_follows_from_coordinates_that_are_a_surveys(
    offset: tuple[float, float, float], up: tuple[float, float, float] | None
) -> None:
    assert survey_up(offset) == (None if up is None else pytest.approx(up, abs=2e-3))
