"""What is derived from a surface: contours of known shapes, volumes of known bodies, shading of known slopes."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from products.relief import PolygonOutsideError, coarsened, contours, covered, hillshade, volume


def cone(size: int = 200, height: float = 10.0) -> np.ndarray:
    """A cone of `height` with a circular base of 80 cells, on a floor at 100."""
    y, x = np.mgrid[:size, :size] + 0.5
    away = np.hypot(x - size / 2, y - size / 2)
    return np.asarray(100 + height * np.maximum(1 - away / 80, 0), dtype=np.float32)


SQUARE = np.array([[5.0, 5], [195, 5], [195, 195], [5, 195]])


def test_contours_of_a_cone_are_closed_circles() -> None:
    lines = contours(cone(), 2.5)
    assert sorted({level for level, _ in lines}) == [100.0, 102.5, 105.0, 107.5]
    for level, line in lines:
        if level > 100:
            assert np.allclose(line[0], line[-1])
            radius = np.hypot(*(line - 100).T)
            assert np.abs(radius - 80 * (1 - (level - 100) / 10)).max() < 0.1
            length = np.linalg.norm(np.diff(line, axis=0), axis=1).sum()
            assert length == pytest.approx(2 * np.pi * radius.mean(), rel=0.02)


def test_contours_do_not_cross_what_is_unknown() -> None:
    y, _ = np.mgrid[:40, :60]
    heights = y.astype(np.float32) / 10
    heights[:, 25:30] = np.nan
    lines = [line for level, line in contours(heights, 1.0) if level == 2.0]
    assert len(lines) == 2
    assert {(round(float(line[:, 0].min()), 1), round(float(line[:, 0].max()), 1)) for line in lines} == {
        (0.5, 24.5), (30.5, 59.5),
    }  # fmt: skip
    assert contours(np.full((4, 4), np.nan, np.float32), 1.0) == []


def test_the_volume_of_a_cone() -> None:
    heights = cone()
    sigma = np.full_like(heights, 0.03)
    found = volume(heights, sigma, 0.5, SQUARE)
    assert found.fill == pytest.approx(np.pi * (80 * 0.5) ** 2 * 10 / 3, rel=0.01)
    assert found.cut == pytest.approx(0, abs=0.5)
    assert found.area == pytest.approx((190 * 0.5) ** 2)
    assert found.sigma == pytest.approx(0.03 * found.area)
    pit = volume(heights, sigma, 0.5, SQUARE, base=110.0)
    assert pit.fill == pytest.approx(0, abs=0.1)
    assert pit.cut == pytest.approx(10 * found.area - found.fill, rel=0.01)


def test_a_sloping_floor_is_no_volume() -> None:
    y, x = np.mgrid[:200, :200]
    heights = (cone() + 0.05 * x - 0.02 * y).astype(np.float32)
    found = volume(heights, np.zeros_like(heights), 0.5, SQUARE)
    assert found.fill == pytest.approx(np.pi * (80 * 0.5) ** 2 * 10 / 3, rel=0.01)


def test_a_polygon_that_the_surface_does_not_cover_is_refused() -> None:
    heights = cone()
    sigma = np.zeros_like(heights)
    with pytest.raises(PolygonOutsideError, match="outside"):
        volume(heights, sigma, 0.5, SQUARE + 1000)
    heights[:100] = np.nan
    with pytest.raises(PolygonOutsideError, match=r"5\d%"):
        volume(heights, sigma, 0.5, SQUARE)
    with pytest.raises(PolygonOutsideError):
        volume(heights, sigma, 0.5, SQUARE[:2])


def test_a_polygon_that_reaches_beyond_the_map_is_refused() -> None:
    heights = cone()
    sigma = np.zeros_like(heights)
    with pytest.raises(PolygonOutsideError, match=r"covers 5\d%"):
        volume(heights, sigma, 0.5, SQUARE + np.array([90.0, 0.0]), base=100.0)


def test_what_lies_a_little_beyond_the_map_counts_as_the_mean() -> None:
    flat = np.ones((100, 100), np.float32)
    found = volume(flat, np.full_like(flat, 0.02), 1.0, np.array([[0.0, 10], [104, 10], [104, 90], [0, 90]]), base=0.0)
    assert found.area == pytest.approx(104 * 80)
    assert found.fill == pytest.approx(104 * 80)
    assert found.sigma == pytest.approx(0.02 * 104 * 80)


@given(corners=st.lists(st.tuples(st.floats(-5, 35), st.floats(-5, 25)), min_size=3, max_size=7, unique=True))
def test_cells_in_a_polygon_are_those_of_the_even_odd_rule(corners: list[tuple[float, float]]) -> None:
    polygon = np.array(corners)
    found = covered(polygon, (20, 30))
    for row in range(0, 20, 3):
        for column in range(0, 30, 3):
            x, y, inside = column + 0.5, row + 0.5, False
            for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
                if (y0 <= y) != (y1 <= y) and x >= x0 + (y - y0) * (x1 - x0) / (y1 - y0):
                    inside = not inside
            assert found[row, column] == inside


def shaded(heights: np.ndarray) -> np.ndarray:
    out = np.empty(heights.shape, np.uint8)
    hillshade(heights, 1.0, out)
    return out


def test_light_comes_from_the_north_west() -> None:
    y, x = np.mgrid[:20, :20].astype(np.float32)
    flat = shaded(np.zeros((20, 20), np.float32))
    np.testing.assert_allclose(flat, 1 + 254 * np.sin(np.pi / 4), atol=1)
    towards, away = shaded(x + y)[10, 10], shaded(-x - y)[10, 10]  # rising to the south-east
    assert towards > flat[10, 10] > away
    assert not shaded(np.full((4, 4), np.nan, np.float32)).any()


def rough(rows: int, columns: int) -> np.ndarray:
    """Hills with noise and gaps."""
    rng = np.random.default_rng(rows * columns)
    y, x = np.mgrid[:rows, :columns]
    heights = 460 + 3 * np.sin(x / 7) * np.cos(y / 5) + rng.normal(0, 0.2, (rows, columns))
    heights[rng.random((rows, columns)) < 0.2] = np.nan
    return np.asarray(heights, np.float32)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 5), (8, 5), (9, 5), (64, 33)])
def test_strips_leave_no_trace(shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    heights = rough(*shape)
    found = []
    for strip in (1000, 8, 1):
        monkeypatch.setattr("products.relief._STRIP", strip)
        found.append((shaded(heights), *(coarsened(heights, step) for step in (1, 2, 3))))
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


def test_a_coarse_cell_is_the_mean_of_what_is_known_of_it() -> None:
    heights = np.array([[1, 2, 7, np.nan, 5], [3, np.nan, np.nan, np.nan, 5], [9, 9, 9, 9, 9]], np.float32)
    np.testing.assert_array_equal(coarsened(heights, 2), np.array([[2, np.nan]], np.float32))
    heights[1, 3] = 8
    np.testing.assert_array_equal(coarsened(heights, 2), np.array([[2, 7.5]], np.float32))


def test_memory_does_not_grow_with_the_map(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("products.relief._STRIP", 64)
    heights = rough(2048, 256)
    out = np.empty(heights.shape, np.uint8)
    tracemalloc.start()
    hillshade(heights, 1.0, out)
    coarsened(heights, 16)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < heights.nbytes
