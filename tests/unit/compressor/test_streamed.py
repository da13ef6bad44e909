"""Streamed SOG: every Gaussian once per level, in the leaf that the tree names, and coarser levels that look alike
from afar."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressor.deliver.environment import MAX_ENVIRONMENT, environment_of
from compressor.deliver.merge import contrast_of, group_order, merge_error, merged
from compressor.deliver.streamed import ENVIRONMENT, LOD_META, Layout, write_streamed
from compressor.encode.arranged import Arranged
from compressor.encode.encoder import Coarseness, arrange
from compressor.encode.quality import draw
from compressor.sog.codes import Float32
from compressor.sog.container import read_codes
from compressor.sog.decoder import dequantise
from splat.camera import look_at, orbit
from splat.gaussians import Gaussians, opacity_of
from splat.harmonics import SH_C0
from splat.loss import psnr
from splat.stored import Marks
from tests.support.splats import even_sensitivity, leaves, village, village_surroundings

MakeSplat = Callable[..., Gaussians]
LAYOUT = Layout(leaf=64, leaves_per_file=2, levels=3, group=4)


def unit(path: Path) -> Gaussians:
    return dequantise(read_codes(path.read_bytes()))


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
    units = [unit(folder / name) for name in meta["filenames"]]
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


def test_every_leaf_says_how_wrong_each_of_its_levels_is(written: tuple[Path, Gaussians]) -> None:
    folder, _ = written
    meta = json.loads((folder / LOD_META).read_text())
    assert meta["lodErrors"] is True
    for leaf in leaves(meta["tree"]):
        errors = leaf["errors"]
        assert len(errors) == len(leaf["lods"]) == 3
        assert errors[0] == 0
        assert np.isfinite(errors).all()
        assert (np.diff(errors) > 0).all()  # a level that reduces no error is never loaded


def slow_merge_error(members: Gaussians, coarse: Gaussians, group: int, contrast: float) -> float:
    """The result of `merge_error`, computed for one Gaussian after the other."""
    total = 0.0
    for i in range(len(members)):
        into = i // group
        a, b, c = np.exp(members.scales[i].astype(float))
        faces = a * b + b * c + c * a
        colour = sum((SH_C0 * (float(members.sh0[i, k]) - float(coarse.sh0[into, k]))) ** 2 for k in range(3))
        away = sum((float(members.means[i, k]) - float(coarse.means[into, k])) ** 2 for k in range(3))
        moved = 1 - np.exp(-away / (4 / 3 * faces))
        total += float(opacity_of(members.opacities[i : i + 1])[0]) * faces * (colour + contrast * moved)
    return total


@given(seed=st.integers(0, 1000), group=st.integers(2, 5), contrast=st.floats(0, 1))
def test_the_error_of_merging_is_colour_difference_times_covered_area(
    make_splat: MakeSplat, seed: int, group: int, contrast: float
) -> None:
    splat = make_splat(40, 0)
    members = splat.select(np.random.default_rng(seed).permutation(40))
    coarse = merged(members, group)
    error = merge_error(members, coarse, group, contrast)
    assert error == pytest.approx(slow_merge_error(members, coarse, group, contrast), rel=1e-6)
    assert merge_error(members, merged(members, 1), 1, contrast) == pytest.approx(0, abs=1e-6 * error)


def test_a_leaf_of_many_colours_loses_more_than_one_of_a_single_colour(make_splat: MakeSplat) -> None:
    """The pictures show the same: half of the scene is grey, the other half chequered."""
    row = np.linspace(-1, 1, 32)
    flat = np.column_stack([np.stack(np.meshgrid(row, row), axis=-1).reshape(-1, 2), np.zeros(32 * 32)])
    chequer = np.where((np.indices((32, 32)).sum(axis=0) % 2).reshape(-1, 1), 1.5, -1.5)

    def floor(colours: Float32) -> Gaussians:
        return Gaussians(
            means=flat.astype(np.float32),
            quats=np.tile(np.array((1, 0, 0, 0), np.float32), (len(flat), 1)),
            scales=np.log(np.tile(np.array((0.03, 0.03, 0.005), np.float32), (len(flat), 1))),
            opacities=np.full(len(flat), 4, np.float32),
            sh0=np.broadcast_to(colours, flat.shape).astype(np.float32),
            shN=np.zeros((len(flat), 0, 3), np.float32),
        )

    camera = look_at((0, 0.01, 1.6), (0, 0, 0), width=96, height=96, field_of_view=50)

    def loss(splat: Gaussians) -> tuple[float, float]:
        members = splat.select(group_order(splat, 64))
        coarse = merged(members, 64)
        rendered = float(np.mean(np.square(draw(splat, camera) - draw(coarse, camera))))
        return merge_error(members, coarse, 64, contrast_of(splat)), rendered

    grey, chequered = loss(floor(np.zeros(3, np.float32))), loss(floor(chequer.astype(np.float32)))
    assert chequered[1] > 2 * grey[1]
    assert chequered[0] > 2 * grey[0] > 0


def test_what_lies_far_outside_of_the_photos_is_kept_apart_and_always_drawn(tmp_path: Path) -> None:
    up = np.array([0.0, 0.0, 1.0])
    near = village(up)
    directions = np.random.default_rng(3).normal(size=(400, 3))
    sky = near.select(np.arange(400))
    sky = replace(sky, means=(80 * directions / np.linalg.norm(directions, axis=1)[:, None]).astype(np.float32))
    both = arrange(Gaussians(**{name: np.concatenate([value, vars(sky)[name]]) for name, value in vars(near).items()}))
    apart = environment_of(both, village_surroundings(up))
    assert apart.sum() == 400
    layout = Layout(leaf=2048, leaves_per_file=2, levels=2, group=4)
    arranged = Arranged(both, even_sensitivity(len(both)))
    coarseness = Coarseness(palette_size=64)
    write_streamed(tmp_path, arranged, coarseness, layout, lambda _: None, marks=Marks(), environment=apart)
    meta = json.loads((tmp_path / LOD_META).read_text())
    assert meta["environment"] == ENVIRONMENT
    assert meta["counts"][0] == len(near)
    assert np.linalg.norm(unit(tmp_path / ENVIRONMENT).means, axis=1).min() > 79
    assert len(unit(tmp_path / ENVIRONMENT)) == 400
    for leaf in leaves(meta["tree"]):
        assert np.abs([leaf["bound"]["min"], leaf["bound"]["max"]]).max() < 10
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([LOD_META, ENVIRONMENT, *meta["filenames"]])


def test_a_large_environment_is_merged_until_a_phone_can_always_draw_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_splat: MakeSplat
) -> None:
    monkeypatch.setattr("compressor.deliver.streamed.MAX_ENVIRONMENT", 50)
    splat = arrange(make_splat(500, 0))
    arranged = Arranged(splat, even_sensitivity(500))
    some = np.arange(500) % 2 == 0
    write_streamed(
        tmp_path, arranged, Coarseness(palette_size=0), LAYOUT, lambda _: None, marks=Marks(), environment=some
    )
    assert len(unit(tmp_path / ENVIRONMENT)) == 16  # 250, 63, 16
    assert MAX_ENVIRONMENT <= 100_000


def test_a_scene_that_its_footprint_does_not_hold_has_no_environment() -> None:
    up = np.array([0.0, 0.0, 1.0])
    scene = village(up)
    scattered = replace(scene, means=30 * scene.means)
    assert not environment_of(scattered, village_surroundings(up)).any()
