"""PLY files: the exact INRIA layout, and how malformed files are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plyfile import PlyData, PlyElement

from contract.ply import splat_fault
from splat.errors import InvalidSplatError
from splat.gaussians import HIGHER_COEFFICIENTS, Gaussians, sound
from splat.ply import property_names, read_ply, read_stored_ply, write_ply
from splat.stored import Marks
from tests.support.plys import NO_SPLATS, SPLATS
from tests.unit.splat.scenes import make_gaussians

FIELDS = ("means", "quats", "scales", "opacities", "sh0", "shN")


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_what_is_written_is_read_back_to_the_bit(tmp_path: Path, degree: int) -> None:
    gaussians = make_gaussians(["plain"] * 5, degree, degree)
    write_ply(tmp_path / "a.ply", gaussians)
    found = read_ply(tmp_path / "a.ply")
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(found, name), getattr(gaussians, name))
    assert found.sh_degree == degree


def test_layout_is_inrias(tmp_path: Path) -> None:
    gaussians = make_gaussians(["plain"] * 2, 1)
    write_ply(tmp_path / "a.ply", gaussians)
    data = PlyData.read(str(tmp_path / "a.ply"))
    names = [p.name for p in data["vertex"].properties]
    assert len(names) == 62
    assert names == property_names(15)
    assert names[:9] == ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2"]
    assert names[-8:] == ["opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]
    assert data.byte_order == "<"
    assert not data.text
    assert not data["vertex"]["nx"].any()
    # all coefficients of red, then green, then blue
    assert data["vertex"]["f_rest_1"][0] == gaussians.shN[0, 1, 0]
    assert data["vertex"]["f_rest_15"][0] == gaussians.shN[0, 0, 1]


def vertices(gaussians: Gaussians, names: list[str], **values: float) -> PlyElement:
    table = np.zeros(len(gaussians), dtype=[(name, "f4") for name in names])
    for name in names:
        table[name] = 0.5
    for name, value in values.items():
        table[name][1] = value
    return PlyElement.describe(table, "vertex")


def test_text_big_endian_and_without_normals_are_read(tmp_path: Path) -> None:
    gaussians = make_gaussians(["plain"] * 3, 1)
    names = [name for name in property_names(0) if not name.startswith("n")]
    for label, options in (("text", {"text": True}), ("big", {"byte_order": ">"})):
        PlyData([vertices(gaussians, names)], **options).write(str(tmp_path / f"{label}.ply"))
        found = read_ply(tmp_path / f"{label}.ply")
        assert len(found) == 3
        assert (found.means == 0.5).all()


@pytest.mark.parametrize(
    "values",
    [
        {"x": np.nan},
        {"scale_1": np.inf},
        {"opacity": np.nan},
        {"f_rest_7": -np.inf},
        dict.fromkeys(("rot_0", "rot_1", "rot_2", "rot_3"), 0.0),
        dict.fromkeys(("scale_0", "scale_1", "scale_2"), -np.inf),
    ],
)
def test_a_row_that_means_nothing_is_dropped_and_the_others_stay(tmp_path: Path, values: dict[str, float]) -> None:
    element = vertices(make_gaussians(["plain"] * 3, 1), property_names(15), **values)
    PlyData([element]).write(str(tmp_path / "a.ply"))
    kept, dropped = sound(read_ply(tmp_path / "a.ply"))
    assert (len(kept), dropped) == (2, 1)
    assert (kept.means == 0.5).all()


def test_a_flat_gaussian_becomes_thin_and_an_infinite_logit_stays(tmp_path: Path) -> None:
    values = {"scale_0": -1.0, "scale_2": -np.inf, "opacity": np.inf}
    PlyData([vertices(make_gaussians(["plain"] * 3, 1), property_names(0), **values)]).write(str(tmp_path / "a.ply"))
    kept, dropped = sound(read_ply(tmp_path / "a.ply"))
    assert dropped == 0
    np.testing.assert_allclose(kept.scales[1], [-1, 0.5, -1 + np.log(1e-3)], rtol=1e-6)
    assert np.isposinf(kept.opacities[1])


def test_malformed_files_are_refused(tmp_path: Path) -> None:
    whole = tmp_path / "whole.ply"
    write_ply(whole, make_gaussians(["plain"] * 4, 1))
    content = whole.read_bytes()
    cases = {
        "empty": b"",
        "text": b"hello\n",
        "half": content[: len(content) // 2],
        "header": content[:100],
        "none": content.replace(b"vertex 4", b"vertex 0"),
        "faces": b"ply\nformat ascii 1.0\nelement face 1\nproperty float x\nend_header\n1\n",
        "points": b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\n1\n",
        "words": b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\nred\n",
        "odd": content.replace(b"property float f_rest_44\n", b"property float f_rest_x44\n"),
    }
    for name, data in cases.items():
        path = tmp_path / f"{name}.ply"
        path.write_bytes(data)
        with pytest.raises(InvalidSplatError, match=path.name):
            read_ply(path)
    with pytest.raises(InvalidSplatError, match=r"missing\.ply"):
        read_ply(tmp_path / "missing.ply")


@pytest.mark.parametrize(
    ("header", "says"),
    [(b"element vertex 1" + b"0" * 40, "no count"), (b"element vertex 20000001", "at most 20000000"),
     (b"element vertex 9999", "ends before"), (b"comment " + b"x" * (1 << 20) + b"\nelement vertex 4", "does not end"),
     (b"element vertex 4\n" + b"property uchar a\n" * 1001, "properties")],
)  # fmt: skip
def test_headers_are_held_to_bounds_before_they_are_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, header: bytes, says: str
) -> None:
    path = tmp_path / "a.ply"
    write_ply(path, make_gaussians(["plain"] * 4, 1))
    path.write_bytes(path.read_bytes().replace(b"element vertex 4", header))
    monkeypatch.setattr(PlyData, "read", lambda *_: pytest.fail("read although its header is out of bounds"))
    with pytest.raises(InvalidSplatError, match=says):
        read_ply(path)


def test_a_comment_may_hold_the_words_that_end_a_header(tmp_path: Path) -> None:
    path = tmp_path / "a.ply"
    write_ply(path, make_gaussians(["plain"] * 4, 1))
    path.write_bytes(path.read_bytes().replace(b"element vertex", b"comment end_header comes later\nelement vertex"))
    assert len(read_ply(path)) == 4


def test_gaussians_hold_their_shapes() -> None:
    good = make_gaussians(["plain"] * 3, 1)
    assert HIGHER_COEFFICIENTS[good.sh_degree] == 15
    picked = good.select(np.array([2, 0]))
    np.testing.assert_array_equal(picked.means, good.means[[2, 0]])
    with pytest.raises(ValueError, match="quats"):
        Gaussians(good.means, good.quats[:2], good.scales, good.opacities, good.sh0, good.shN)
    with pytest.raises(ValueError, match="coefficients"):
        Gaussians(good.means, good.quats, good.scales, good.opacities, good.sh0, good.shN[:, :4])


def test_marks_are_read_back_from_the_comments(tmp_path: Path) -> None:
    marks = Marks(True, (0.0, 0.6, 0.8), (500000.0, 5200000.0, 12.0))
    write_ply(tmp_path / "a.ply", make_gaussians(["plain"] * 3, 1), marks)
    stored = read_stored_ply(tmp_path / "a.ply")
    assert stored.marks == marks
    assert stored.plain


def test_two_scales_are_a_flat_splat(tmp_path: Path) -> None:
    names = [name for name in property_names(3) if name != "scale_2"]
    PlyData([vertices(make_gaussians(["plain"] * 3, 1), names)]).write(str(tmp_path / "a.ply"))
    stored = read_stored_ply(tmp_path / "a.ply")
    assert not stored.plain
    kept, dropped = sound(stored.gaussians)
    assert dropped == 0
    np.testing.assert_allclose(kept.scales, np.tile([0.5, 0.5, 0.5 + np.log(1e-3)], (3, 1)), rtol=1e-6)


def test_the_3d_filter_is_folded_into_scales_and_opacity(tmp_path: Path) -> None:
    gaussians = make_gaussians(["plain"] * 3, 1)
    PlyData([vertices(gaussians, [*property_names(0), "filter_3D"], filter_3D=2.0)]).write(str(tmp_path / "a.ply"))
    stored = read_stored_ply(tmp_path / "a.ply")
    assert stored.marks.antialiased
    for row, deviation in enumerate((0.5, 2.0, 0.5)):
        own = np.exp(0.5)
        wide = np.hypot(own, deviation)
        opacity = 1 / (1 + np.exp(-0.5)) * (own / wide) ** 3
        np.testing.assert_allclose(stored.gaussians.scales[row], np.log(wide), rtol=1e-6)
        np.testing.assert_allclose(1 / (1 + np.exp(-stored.gaussians.opacities[row])), opacity, rtol=1e-5)


def test_a_filter_of_zero_changes_nothing(tmp_path: Path) -> None:
    gaussians = make_gaussians(["plain"] * 3, 1)
    element = vertices(gaussians, [*property_names(0), "filter_3D"])
    element.data["filter_3D"] = 0
    PlyData([element]).write(str(tmp_path / "a.ply"))
    stored = read_stored_ply(tmp_path / "a.ply")
    assert not stored.marks.antialiased
    assert (stored.gaussians.scales == 0.5).all()


@pytest.mark.parametrize(("higher", "degree"), [(24, 4), (35, 5)])
def test_harmonics_above_degree_3_are_left_out_and_said(tmp_path: Path, higher: int, degree: int) -> None:
    names = property_names(higher)
    table = np.zeros(2, dtype=[(name, "f4") for name in names])
    for i in range(3 * higher):
        table[f"f_rest_{i}"] = i
    table["rot_0"] = 1
    PlyData([PlyElement.describe(table, "vertex")]).write(str(tmp_path / "a.ply"))
    stored = read_stored_ply(tmp_path / "a.ply")
    assert stored.dropped_degrees
    assert not stored.plain
    assert stored.gaussians.sh_degree == 3
    np.testing.assert_array_equal(stored.gaussians.shN[0, :, 1], np.arange(higher, higher + 15))


@pytest.mark.parametrize("higher", [1, 4, 10, 48])
def test_a_number_of_harmonics_that_is_no_degree_is_refused(tmp_path: Path, higher: int) -> None:
    element = vertices(make_gaussians(["plain"] * 2, 1), property_names(higher))
    PlyData([element]).write(str(tmp_path / "a.ply"))
    with pytest.raises(InvalidSplatError, match=f"holds {higher} higher"):
        read_ply(tmp_path / "a.ply")


@settings(deadline=None, max_examples=50)
@given(
    middle=st.tuples(*[st.floats(-7e6, 7e6)] * 3),
    doubles=st.booleans(),
)
def test_coordinates_of_a_survey_keep_their_millimetres(
    tmp_path_factory: pytest.TempPathFactory, middle: tuple[float, ...], doubles: bool
) -> None:
    path = tmp_path_factory.mktemp("survey") / "a.ply"
    names = property_names(0)
    kinds = [(name, "f8" if doubles and name in "xyz" else "f4") for name in names]
    table = np.zeros(50, dtype=kinds)
    rng = np.random.default_rng(0)
    for axis, centre in zip("xyz", middle, strict=True):
        table[axis] = centre + rng.uniform(-200, 200, 50)
    table["rot_0"] = 1
    PlyData([PlyElement.describe(table, "vertex")]).write(str(path))
    stored = read_stored_ply(path)
    truth = np.stack([table[axis].astype(np.float64) for axis in "xyz"], axis=1)
    assert np.abs(stored.gaussians.means + np.array(stored.marks.offset) - truth).max() < 5e-4
    assert stored.plain == (not any(stored.marks.offset))
    write_ply(path, stored.gaussians, stored.marks)
    assert read_stored_ply(path).marks.offset == stored.marks.offset


@pytest.mark.parametrize("name", NO_SPLATS)
def test_what_preflight_refuses_by_its_header_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.ply").write_bytes(NO_SPLATS[name])
    assert (fault := splat_fault(NO_SPLATS[name], len(NO_SPLATS[name]))) is not None
    with pytest.raises(InvalidSplatError) as refused:
        read_ply(tmp_path / "a.ply")
    assert str(refused.value) == f"a.ply {fault}"


@pytest.mark.parametrize("name", [name for name in SPLATS if name != "words in chunks"])
def test_what_preflight_takes_by_its_header_is_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.ply").write_bytes(SPLATS[name])
    assert splat_fault(SPLATS[name], len(SPLATS[name])) is None
    assert len(read_ply(tmp_path / "a.ply")) == 4
