"""GLB files, read back by the extension's specification."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splat import glb
from splat.gaussians import HIGHER_COEFFICIENTS, Gaussians
from splat.glb import write_glb
from tests.support.glb import read_glb

UPRIGHT = (0.0, 0.0, 1.0, 0.0)


def splat_of(count: int, degree: int, seed: int = 0) -> Gaussians:
    rng = np.random.default_rng(seed)
    return Gaussians(
        means=rng.normal(0, 3, (count, 3)).astype(np.float32),
        quats=rng.normal(size=(count, 4)).astype(np.float32),
        scales=rng.normal(-3, 1, (count, 3)).astype(np.float32),
        opacities=rng.normal(0, 3, count).astype(np.float32),
        sh0=rng.normal(size=(count, 3)).astype(np.float32),
        shN=rng.normal(0, 0.2, (count, HIGHER_COEFFICIENTS[degree], 3)).astype(np.float32),
    )


@settings(deadline=None, max_examples=20)
@given(count=st.integers(1, 50), degree=st.integers(0, 3), seed=st.integers(0, 99))
def test_what_is_written_is_the_splat_as_the_extension_has_it(
    tmp_path_factory: pytest.TempPathFactory, count: int, degree: int, seed: int
) -> None:
    splat = splat_of(count, degree, seed)
    path = tmp_path_factory.mktemp("glb") / "scene.glb"
    write_glb(path, splat, UPRIGHT)
    document, values = read_glb(path.read_bytes())
    own = {name.removeprefix("KHR_gaussian_splatting:"): value for name, value in values.items()}
    assert np.array_equal(own.pop("POSITION"), splat.means)
    unit = splat.quats / np.linalg.norm(splat.quats, axis=1, keepdims=True)
    assert own.pop("ROTATION") == pytest.approx(unit[:, [1, 2, 3, 0]], abs=1e-6)
    assert own.pop("SCALE") == pytest.approx(np.exp(splat.scales), rel=1e-6)
    assert own.pop("OPACITY")[:, 0] == pytest.approx(1 / (1 + np.exp(-splat.opacities.astype(float))), abs=1e-6)
    fallback = own.pop("COLOR_0")
    assert fallback[:, 3] == pytest.approx(1 / (1 + np.exp(-splat.opacities.astype(float))), abs=0.51 / 255)
    assert np.array_equal(own.pop("SH_DEGREE_0_COEF_0"), splat.sh0)
    higher = [own.pop(f"SH_DEGREE_{d}_COEF_{n}") for d in range(1, degree + 1) for n in range(2 * d + 1)]
    assert own == {}
    assert np.array_equal(np.stack(higher, axis=1) if higher else splat.shN, splat.shN)
    primitive = document["meshes"][0]["primitives"][0]
    assert primitive["mode"] == 0
    extension = primitive["extensions"]["KHR_gaussian_splatting"]
    assert extension == {"kernel": "ellipse", "colorSpace": "srgb_rec709_display"}
    assert document["extensionsUsed"] == ["KHR_gaussian_splatting"]
    position = document["accessors"][primitive["attributes"]["POSITION"]]
    assert position["min"] == splat.means.min(axis=0).tolist()
    assert position["max"] == splat.means.max(axis=0).tolist()
    assert document["nodes"] == [{"name": "splat", "mesh": 0, "rotation": list(UPRIGHT)}]


def test_a_grey_of_half_is_darker_in_linear_light(tmp_path: Path) -> None:
    splat = splat_of(1, 0)
    grey = Gaussians(**{**vars(splat), "sh0": np.zeros((1, 3), np.float32)})
    write_glb(tmp_path / "scene.glb", grey, UPRIGHT)
    assert read_glb((tmp_path / "scene.glb").read_bytes())[1]["COLOR_0"][0, :3] == pytest.approx([0.214] * 3, abs=2e-3)


@pytest.mark.parametrize(("room", "degree"), [(50 * 240, 3), (50 * 240 - 1, 2), (50 * 156 - 1, 1), (50 * 96 - 1, 0)])
def test_of_too_many_gaussians_the_highest_harmonics_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int, degree: int
) -> None:
    monkeypatch.setattr(glb, "_MAX_BYTES", room + glb._SPARE_BYTES)
    write_glb(tmp_path / "scene.glb", splat_of(50, 3), UPRIGHT)
    names = read_glb((tmp_path / "scene.glb").read_bytes())[1]
    assert max(int(name.partition("SH_DEGREE_")[2][0]) for name in names if "SH_DEGREE_" in name) == degree


def test_more_than_four_gigabytes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glb, "_MAX_BYTES", 1000)
    with pytest.raises(ValueError, match="4 GB"):
        write_glb(tmp_path / "scene.glb", splat_of(50, 0), UPRIGHT)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_nothing_that_looks_whole(tmp_path: Path) -> None:
    (tmp_path / "scene.glb.partial").mkdir()
    with pytest.raises(IsADirectoryError):
        write_glb(tmp_path / "scene.glb", splat_of(3, 1), UPRIGHT)
    assert not (tmp_path / "scene.glb").exists()
