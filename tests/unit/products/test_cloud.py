"""Point clouds in LAZ and COPC, read back by laspy and copclib."""

from __future__ import annotations

from pathlib import Path

import copclib
import laspy
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS

from products.cloud import Cloud, along_curve, octree, write_copc, write_laz

SYSTEM = CRS.from_epsg(2056)


@pytest.fixture
def cloud() -> Cloud:
    rng = np.random.default_rng(1)
    points = np.array([2_682_400.0, 1_246_100.0, 466.0]) + rng.uniform(0, (60, 40, 12), (20_000, 3))
    return Cloud(
        points,
        rng.integers(0, 256, (20_000, 3), np.uint8),
        rng.integers(2, 12, 20_000, np.uint8),
        rng.uniform(0.005, 0.2, 20_000).astype(np.float32),
    )


def test_laz_holds_every_point_to_the_millimetre(tmp_path: Path, cloud: Cloud) -> None:
    write_laz(tmp_path / "points.laz", cloud, SYSTEM)
    las = laspy.read(tmp_path / "points.laz")
    assert (las.header.version.major, las.header.version.minor, las.header.point_format.id) == (1, 4, 7)
    parsed = las.header.parse_crs()
    assert parsed is not None
    assert parsed.to_epsg() == 2056
    order = along_curve(cloud.points)
    np.testing.assert_allclose(las.xyz, cloud.points[order], atol=6e-4)
    np.testing.assert_array_equal(las.red // 257, cloud.rgb[order, 0])
    np.testing.assert_array_equal(las.photos, cloud.photos[order])
    np.testing.assert_allclose(las.sigma / 1000, cloud.sigma[order], atol=6e-4)


def test_a_system_that_wkt_1_cannot_express_is_written_in_wkt_2(tmp_path: Path, cloud: Cloud) -> None:
    bogota = CRS.from_epsg(6247)
    write_laz(tmp_path / "points.laz", cloud, bogota)
    write_copc(tmp_path / "points.copc.laz", cloud, bogota)
    texts = [vlr.string for vlr in laspy.read(tmp_path / "points.laz").header.vlrs if hasattr(vlr, "string")]
    assert CRS.from_wkt(texts[0]).to_epsg() == 6247
    assert CRS.from_wkt(copclib.FileReader(str(tmp_path / "points.copc.laz")).copc_config.wkt).to_epsg() == 6247


def test_copc_holds_every_point_once_and_a_coarse_level_alone(tmp_path: Path, cloud: Cloud) -> None:
    path = tmp_path / "points.copc.laz"
    write_copc(path, cloud, SYSTEM)
    reader = copclib.FileReader(str(path))
    assert CRS.from_wkt(reader.copc_config.wkt).to_epsg() == 2056
    assert sum(node.point_count for node in reader.GetAllNodes()) == len(cloud)
    with laspy.CopcReader.open(path) as copc:
        every = copc.query()
        coarse = copc.query(level=0)
    assert len(every) == len(cloud)
    assert 0 < len(coarse) < len(cloud)
    found = np.sort(np.column_stack([every.x, every.y, every.z]).view("f8,f8,f8").ravel())
    wanted = np.round(cloud.points, 3)
    np.testing.assert_allclose(np.sort(found["f0"]), np.sort(wanted[:, 0]), atol=6e-4)
    assert int(every.intensity.max()) == int(cloud.photos.max())


@given(seed=st.integers(0, 1000), count=st.integers(1, 3000))
def test_an_octree_holds_each_point_in_one_node_that_contains_it(seed: int, count: int) -> None:
    points = np.random.default_rng(seed).normal(0, (10, 10, 1), (count, 3))
    low, span = points.min(axis=0), max(float(np.ptp(points, axis=0).max()), 1.0)
    nodes = octree(points, low, span)
    assert sorted(np.concatenate([rows for _, _, rows in nodes]).tolist()) == list(range(count))
    for level, voxel, rows in nodes:
        size = span / 2**level
        corner = low + np.array(voxel) * size
        assert (points[rows] >= corner - 1e-9).all()
        assert (points[rows] <= corner + size + 1e-9).all()


def test_neighbours_along_the_curve_are_near() -> None:
    points = np.random.default_rng(0).uniform(0, 100, (5000, 3))
    steps = np.linalg.norm(np.diff(points[along_curve(points), :2], axis=0), axis=1)
    assert np.median(steps) < 3
