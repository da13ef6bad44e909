"""Inputs that the compressor's stage accepts and refuses: a coded reason, and no part of a result."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compressor.encode.quality import held_out_photos
from compressor.source import read_source, visible
from splat.camera import orbit
from splat.gaussians import Gaussians
from splat.ply import read_stored_ply, write_ply
from splat.render import render
from stage.errors import ErrorCode, StageError
from tests.support.compressing import run, write_scene
from tests.support.schemas import file_faults

MakeSplat = Callable[..., Gaussians]


def test_a_lone_ply_in_a_zip_is_enough(model: Path, bundle: Path, tmp_path: Path, make_splat: MakeSplat) -> None:
    write_ply(tmp_path / "statue.ply", make_splat(60, 0))
    with zipfile.ZipFile(model / "upload", "w") as archive:  # an upload's name in S3 need not have an extension
        archive.write(tmp_path / "statue.ply", "folder/statue.ply")
        archive.writestr("folder/readme.txt", "by hand")
    code, output = run(tmp_path, QUALITY="preview")
    assert code == 0
    result = json.loads((output / "result.json").read_text())
    assert result["metrics"]["psnrBefore"] is result["metrics"]["psnrAfter"] is None
    assert result["counts"]["gaussians"] == 60


@pytest.mark.parametrize("folder", ["output", "products", "upload", "joined"])
def test_no_folder_in_a_zip_is_in_the_way_of_our_own(
    model: Path, bundle: Path, tmp_path: Path, make_splat: MakeSplat, folder: str
) -> None:
    """The reference trainer writes below output/."""
    write_ply(tmp_path / "statue.ply", make_splat(60, 0))
    with zipfile.ZipFile(model / "upload.zip", "w") as archive:
        archive.write(tmp_path / "statue.ply", f"{folder}/1a2b/point_cloud/iteration_30000/point_cloud.ply")
    code, output = run(tmp_path, QUALITY="preview")
    assert code == 0
    assert (output / "scene.sog").is_file()


@pytest.mark.parametrize(("scales", "missed"), [((-2.0, -2.0, -2.0), False), ((3.0, -9.0, -9.0), True)])
def test_a_lone_splat_that_the_format_cannot_hold_is_delivered_with_a_warning(
    model: Path, bundle: Path, tmp_path: Path, make_splat: MakeSplat, scales: tuple[float, float, float], missed: bool
) -> None:
    """Of a needle 160,000 times as long as it is thick, eight bits of rotation say too little."""
    splat = make_splat(200, 0)
    write_ply(model / "scene.ply", replace(splat, scales=np.tile(np.array(scales, np.float32), (200, 1))))
    code, output = run(tmp_path, QUALITY="standard")
    assert code == 0
    result = json.loads((output / "result.json").read_text())
    found = [warning["message"] for warning in result["warnings"] if warning["code"] == "TARGET_MISSED"]
    assert len(found) == missed
    assert all(f"is {result['metrics']['fidelity']:.1f} dB" in message for message in found)


def test_a_splat_in_far_coordinates_is_delivered_with_its_offset(
    model: Path, bundle: Path, tmp_path: Path, make_splat: MakeSplat
) -> None:
    splat = make_splat(40, 0)
    write_ply(model / "scene.ply", replace(splat, means=splat.means + np.float32(5000)))
    code, output = run(tmp_path, QUALITY="preview")
    assert code == 0
    assert file_faults(output, "compressor", "offset") == []
    offset = json.loads((output / "offset.json").read_text())["offset"]
    stored = read_stored_ply(output / "scene.ply")
    assert list(stored.marks.offset) == offset
    assert not any(stored.moved)
    np.testing.assert_allclose(
        np.sort(stored.gaussians.means[:, 0] + offset[0]), np.sort(splat.means[:, 0] + 5000), atol=1e-3
    )
    with zipfile.ZipFile(output / "scene.sog") as archive:
        assert json.loads(archive.read("meta.json"))["extras"]["spaceport"]["offset"] == offset


def test_a_row_that_is_not_finite_is_dropped_and_reported(
    model: Path, bundle: Path, tmp_path: Path, make_splat: MakeSplat
) -> None:
    splat = make_splat(40, 0)
    means = splat.means.copy()
    means[3, 1] = np.nan
    write_ply(model / "scene.ply", replace(splat, means=means))
    code, output = run(tmp_path, QUALITY="preview")
    assert code == 0
    result = json.loads((output / "result.json").read_text())
    assert [warning["code"] for warning in result["warnings"]] == ["INVALID_GAUSSIANS"]
    assert result["counts"]["gaussians"] + result["counts"]["pruned"] == 39


def nothing(_folder: Path, _splat: Gaussians) -> None:
    pass


def garbage(folder: Path, _splat: Gaussians) -> None:
    (folder / "scene.ply").write_bytes(b"ply\nformat binary_little_endian 1.0\nelement vertex 9\nend_header\n")


def two(folder: Path, splat: Gaussians) -> None:
    write_ply(folder / "a.ply", splat)
    write_ply(folder / "b.ply", splat)


def not_a_zip(folder: Path, _splat: Gaussians) -> None:
    (folder / "splat.zip").write_bytes(b"PK no")


def zip_without_ply(folder: Path, _splat: Gaussians) -> None:
    with zipfile.ZipFile(folder / "splat.zip", "w") as archive:
        archive.writestr("readme.txt", "nothing")


def no_numbers(folder: Path, splat: Gaussians) -> None:
    means = np.full_like(splat.means, np.nan)
    write_ply(folder / "scene.ply", Gaussians(**{**vars(splat), "means": means}))


def transparent(folder: Path, splat: Gaussians) -> None:
    write_ply(folder / "scene.ply", Gaussians(**{**vars(splat), "opacities": np.full(len(splat), -9)}))


def broken_views(folder: Path, splat: Gaussians) -> None:
    write_ply(folder / "scene.ply", splat)
    (folder / "views.json").write_text("[]")


@pytest.mark.parametrize(
    ("prepare", "code"),
    [
        (nothing, ErrorCode.INVALID_SPLAT),
        (garbage, ErrorCode.INVALID_SPLAT),
        (two, ErrorCode.INVALID_SPLAT),
        (not_a_zip, ErrorCode.NOT_A_ZIP),
        (zip_without_ply, ErrorCode.INVALID_SPLAT),
        (no_numbers, ErrorCode.INVALID_SPLAT),
        (transparent, ErrorCode.INVALID_SPLAT),
        (broken_views, ErrorCode.INVALID_SCENE),
    ],
)
def test_bad_input_leaves_a_coded_reason_and_no_output(
    prepare: Callable[[Path, Gaussians], None],
    code: ErrorCode,
    model: Path,
    bundle: Path,
    tmp_path: Path,
    make_splat: MakeSplat,
) -> None:
    prepare(model, make_splat(40, 0))
    exit_code, output = run(tmp_path)
    assert exit_code == 1
    assert (tmp_path / "ml/output/message").read_text().startswith(f"{code}: ")
    assert list(output.rglob("*")) == []


def test_gaussians_that_nobody_draws_are_left_out_and_named(make_splat: MakeSplat) -> None:
    splat = make_splat(50, 0)
    opacities = splat.opacities.copy()
    opacities[:20], opacities[20] = -7, np.inf
    faint = Gaussians(**{**vars(splat), "opacities": opacities})
    kept, warnings = visible(faint)
    assert len(kept) == 30
    assert np.isfinite(kept.opacities).all()
    assert [warning.code for warning in warnings] == ["TRANSPARENT_GAUSSIANS"]
    assert warnings[0].message.startswith("20 ")
    camera = orbit((0, 0, 0), 5, 35, 1, width=64, height=48)[0]
    assert np.allclose(render(kept, camera), render(faint, camera), atol=1e-4)


def test_the_source_takes_the_trainings_own_folder(model: Path, tmp_path: Path, make_splat: MakeSplat) -> None:
    write_scene(model, make_splat(80, 0))
    source = read_source(model, tmp_path / "scratch")
    assert source.z_up
    assert len(source.views) == 6
    held_out = held_out_photos(source.views, source.folder)
    assert held_out is not None
    assert [photo.shape for photo in held_out.photos] == [(72, 96, 3)] * 2
    (model / "georeference.json").write_text("{}")
    with pytest.raises(StageError, match=r"INVALID_SCENE: georeference\.json"):
        read_source(model, tmp_path / "scratch")
