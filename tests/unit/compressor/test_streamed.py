"""Streamed SOG: every Gaussian once a level, where the tree says, and coarser levels that look alike from afar."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressor.deliver.merge import group_order, merged
from compressor.deliver.streamed import LOD_META, Layout, write_streamed
from compressor.encode.arranged import Arranged
from compressor.encode.encoder import Coarseness, arrange
from compressor.encode.quality import draw, psnr
from compressor.sog.codes import Float32
from compressor.sog.container import unpack_files
from compressor.sog.decoder import dequantise
from splat.camera import look_at, orbit
from splat.gaussians import Gaussians
from splat.stored import Marks
from tests.support.splats import even_sensitivity, leaves

MakeSplat = Callable[..., Gaussians]
LAYOUT = Layout(leaf=64, leaves_per_file=2, levels=3, group=4)


def unit(folder: Path) -> Gaussians:
    return dequantise(unpack_files({path.name: path.read_bytes() for path in folder.iterdir()}))


@pytest.fixture
def written(tmp_path: Path, make_splat: MakeSplat) -> tuple[Path, Gaussians]:
    splat = arrange(make_splat(500, 2))
    shares: list[float] = []
    arranged = Arranged(splat, even_sensitivity(len(splat)))
    marks = Marks(antialiased=True)
    write_streamed(tmp_path, arranged, Coarseness(palette_size=100), LAYOUT, shares.append, marks=marks)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    return tmp_path, splat


def test_the_tree_says_where_every_gaussian_of_every_level_lies(written: tuple[Path, Gaussians]) -> None:
    folder, splat = written
    meta = json.loads((folder / LOD_META).read_text())
    assert meta["lodLevels"] == 3
    assert meta["counts"][0] == 500
    assert meta["counts"][1] == sum(-(-min(64, 500 - start) // 4) for start in range(0, 500, 64))
    units = [unit((folder / name).parent) for name in meta["filenames"]]
    start = 0
    for leaf in leaves(meta["tree"]):
        low, high = np.array(leaf["bound"]["min"]), np.array(leaf["bound"]["max"])
        for place in leaf["lods"].values():
            means = units[place["file"]].means[place["offset"] : place["offset"] + place["count"]]
            assert len(means) == place["count"]
            assert ((means >= low) & (means <= high)).all()
        fine = leaf["lods"]["0"]
        found = units[fine["file"]].means[fine["offset"] : fine["offset"] + fine["count"]]
        assert np.allclose(found, splat.means[start : start + fine["count"]], atol=1e-3)
        start += fine["count"]
    assert start == 500


def test_merged_gaussians_look_alike_from_afar(make_splat: MakeSplat) -> None:
    splat = make_splat(3000, 1)
    coarse = merged(splat.select(group_order(splat, 4)), 4)
    assert len(coarse) == 750
    (far,) = orbit((0, 0, 0), 30, 50, 1, width=96, height=72)
    dropped = splat.select(np.arange(0, 3000, 4))

    def similarity(other: Gaussians) -> float:
        return psnr(float(np.mean(np.square(draw(splat, far) - draw(other, far)))))

    assert similarity(coarse) > 44
    assert similarity(coarse) > similarity(dropped) + 8


def test_members_of_a_group_are_near_each_other_and_of_like_colour(make_splat: MakeSplat) -> None:
    splat = arrange(make_splat(1002, 0))
    red = np.arange(1002) % 2 == 0
    splat = replace(splat, sh0=np.where(red[:, None], (1.5, -1.5, -1.5), (-1.5, -1.5, 1.5)).astype(np.float32))
    order = group_order(splat, 4)
    assert sorted(order) == list(range(1002))

    def spread(means: Float32) -> float:
        groups = means[:1000].reshape(-1, 4, 3)
        return float(np.square(groups - groups.mean(axis=1, keepdims=True)).sum())

    of_one_colour = [len(set(red[order[start : start + 4]])) == 1 for start in range(0, 1002, 4)]
    assert np.mean(of_one_colour) > 0.95
    along_the_curve = np.argsort(~red, kind="stable")
    assert spread(splat.means[order]) < 0.3 * spread(splat.means[along_the_curve])


def test_a_floor_stays_closed_as_it_gets_coarser() -> None:
    row = np.linspace(-1, 1, 64)
    means = np.column_stack([np.stack(np.meshgrid(row, row), axis=-1).reshape(-1, 2), np.zeros(64 * 64)])
    floor = Gaussians(
        means=means.astype(np.float32),
        quats=np.tile(np.array((1, 0, 0, 0), np.float32), (len(means), 1)),
        scales=np.log(np.tile(np.array((0.02, 0.02, 0.005), np.float32), (len(means), 1))),
        opacities=np.full(len(means), 4, np.float32),
        sh0=np.full((len(means), 3), 1.5, np.float32),  # 0.92
        shN=np.zeros((len(means), 0, 3), np.float32),
    )
    camera = look_at((0, 0.01, 1.6), (0, 0, 0), width=64, height=64, field_of_view=50)
    darkest = [draw(floor, camera).min()]
    for _ in range(2):
        floor = merged(floor.select(group_order(floor, 4)), 4)
        darkest.append(draw(floor, camera).min())
    assert min(darkest) > 0.8


def test_a_group_of_one_stays_as_it_was(make_splat: MakeSplat) -> None:
    splat = make_splat(200, 1)
    same = merged(splat, 1)
    (camera,) = orbit((0, 0, 0), 6, 50, 1, width=64, height=48)
    faint = Gaussians(**{**vars(splat), "opacities": np.minimum(splat.opacities, 4)})
    assert np.allclose(draw(same, camera), draw(faint, camera), atol=0.02)


@given(st.integers(1, 200_000_000))
def test_the_coarsest_level_is_one_that_a_phone_draws(count: int) -> None:
    layout = Layout.of(count)
    assert count / layout.group ** (layout.levels - 1) <= 200_000
    assert layout.levels == 3 or count / layout.group ** (layout.levels - 2) > 200_000
