"""Splats of other tools: rows that mean nothing, and the marks by which they say that a splat is antialiased."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compressor.source import read_source, visible
from contract.warning_codes import WarningCode
from splat.gaussians import Gaussians
from splat.ply import write_ply
from stage.errors import ErrorCode, StageError

MakeSplat = Callable[..., Gaussians]


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
    path = tmp_path / "scene.ply"
    write_ply(path, make_splat(5, 0))
    path.write_bytes(path.read_bytes().replace(b"element vertex", f"comment {comment}\nelement vertex".encode(), 1))
    assert read_source(tmp_path, tmp_path).antialiased is expected
