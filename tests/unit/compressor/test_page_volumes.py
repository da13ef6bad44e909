"""Volumes in the page: of a heap with a known shape, compared with a float64 twin and thousands of random draws."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from products.relief import covered
from products.relief import volume as relief_volume
from splat.gaussians import Gaussians
from tests.support.gaussians import gaussians_of
from tests.support.picked import met_by_each, moved
from tests.support.viewer_modules import module_calls, needs_node, run_module

pytestmark = needs_node

Vector = NDArray[np.float64]
HEIGHT, RADIUS = 1.5, 2.0
UPS = {"z-up": (0.0, 0.0, 1.0), "tilted": (0.36, 0.48, 0.8)}
CORNERS = np.array([(2.6, 0.3), (1.4, 2.5), (-1.9, 2.2), (-2.7, -0.4), (-0.6, -2.6), (2.1, -2.0)])
VOLUME = """
const [picks, grid, surface, how] = given;
const { along, unseen } = how;
const fill = ({ heights, fogs }) => ({ heights: heights.map((h) => h ?? NaN), fogs });
console.log(JSON.stringify(module.volume(picks, grid, fill(surface), {
    ...how, along: () => along, maxFog: how.maxFog ?? Infinity, seen: ([x]) => x > unseen
})));
"""


def dome(x: Vector, y: Vector) -> Vector:
    """The heap, on ground that slopes down to the east."""
    return np.maximum(HEIGHT * (1 - (x**2 + y**2) / RADIUS**2), 0) - 0.1 * x


TRUE = math.pi * RADIUS**2 * HEIGHT / 2


def turned(up: Vector) -> Vector:
    """(3, 3): its rows are two level axes, as the page chooses them, and `up`."""
    x, y, z = up
    right = np.array([y, -x, 0] if abs(z) < 0.9 else [0, z, -y])
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(right, up), up])


def heap(frame: Vector) -> Gaussians:
    """Flat Gaussians on the dome and around it, with the last row of `frame` as their up direction."""
    row = np.linspace(-3, 3, 76)
    x, y = (part.ravel() for part in np.meshgrid(row, row))
    means = np.column_stack([x, y, dome(x, y)]) @ frame
    scales = np.full((len(means), 3), math.log(0.05))
    return gaussians_of(
        means=means.astype(np.float32),
        quats=np.tile([1.0, 0.0, 0.0, 0.0], (len(means), 1)).astype(np.float32),
        scales=(scales + np.log([1.0, 1.0, 0.6])).astype(np.float32),
        opacities=np.full(len(means), 2.5, np.float32),
        sh0=np.zeros((len(means), 3), np.float32),
        shN=np.zeros((len(means), 0, 3), np.float32),
    )


def pick_at(point: Vector, frame: Vector, **more: Any) -> dict[str, Any]:
    slant = np.array([0.3, 0.2, -1.0]) @ frame
    return {
        "point": point.tolist(), "direction": (slant / np.linalg.norm(slant)).tolist(), "along": 0.02, "aside": 0.01,
        "depth": 20.0, "doubt": None, **more,
    }  # fmt: skip


def corner_picks(frame: Vector, **more: Any) -> list[dict[str, Any]]:
    x, y = CORNERS.T
    return [pick_at(point, frame, **more) for point in np.column_stack([x, y, dome(x, y)]) @ frame]


def grid_of(picks: list[dict[str, Any]], up: Vector, finest: float) -> dict[str, Any]:
    points = [pick["point"] for pick in picks]
    found: dict[str, Any] = module_calls("measure/volume", "gridOf", [[points, up.tolist(), finest]])[0]
    return found


def centres(grid: dict[str, Any]) -> tuple[Vector, Vector]:
    columns, rows = (grid["cell"] * (np.arange(grid[name]) + 0.5) for name in ("columns", "rows"))
    return tuple(part.ravel() for part in np.meshgrid(columns, rows))


@pytest.mark.parametrize("up", UPS.values(), ids=UPS)
def test_the_volume_of_a_heap_is_its_twins_and_the_true_one(up: tuple[float, ...]) -> None:
    frame = turned(np.array(up))
    splat = heap(frame)
    picks = corner_picks(frame)
    grid = grid_of(picks, frame[2], 0.15)
    numbers = np.column_stack(
        [splat.means, np.exp(splat.scales), splat.quats, 1 / (1 + np.exp(-splat.opacities.reshape(-1)))]
    )
    body = """
    const [numbers, cut, grid] = given;
    const { gaussiansOf } = await import(folder + "/measure/picking.mjs");
    const of = (rows) => gaussiansOf(rows.length, (i) => rows[i].slice(0, 3), (i) => rows[i].slice(3, 6),
        (i) => rows[i].slice(6, 10), (i) => rows[i][10]);
    const parts = [numbers.slice(0, cut), numbers.slice(cut)].map(of); // as a streamed scene has them
    const { heights, fogs } = module.heightsOf(parts, grid);
    console.log(JSON.stringify({ heights: [...heights], fogs: [...fogs] }));
    """
    surface = run_module("measure/heights", body, [numbers.tolist(), 2000, grid])
    x, y = centres(grid)
    origins = np.array(grid["corner"]) + np.column_stack([x, y, np.full(len(x), 10.0)]) @ np.array(grid["axes"])
    met = np.array(met_by_each(splat, [(origin, -frame[2]) for origin in origins]))
    heights = origins @ frame[2] - met[:, 1]
    known = np.isfinite(heights)
    assert [height is not None for height in surface["heights"]] == known.tolist()
    assert known.mean() > 0.95
    assert np.array(surface["heights"], dtype=float)[known] == pytest.approx(heights[known], abs=1e-5)
    fogs = (met[:, 2] - met[:, 0])[known]
    assert np.array(surface["fogs"], dtype=float)[known] == pytest.approx(fogs, abs=1e-5)

    how = {"along": 0.03, "scale": 0.0, "unseen": -1e9}
    of_plane, of_lowest = (
        run_module("measure/volume", VOLUME, [picks, grid, surface, {**how, "base": base}])
        for base in ("plane", "lowest")
    )
    corners = np.array([pick["point"] for pick in picks]) @ frame.T
    local = (corners[:, :2] - (np.array(grid["corner"]) @ frame.T)[:2]) / grid["cell"]
    shape = (grid["rows"], grid["columns"])
    inside = covered(local, shape).ravel()
    plane, *_ = np.linalg.lstsq(np.column_stack([np.ones(len(local)), local]), corners[:, 2], rcond=None)
    above = heights - (plane[0] + plane[1] * x / grid["cell"] + plane[2] * y / grid["cell"])
    square = grid["cell"] ** 2 * inside.sum() / (inside & known).sum()
    expected = square * np.maximum(above, 0)[inside & known].sum()
    assert of_plane["above"]["value"] == pytest.approx(expected, rel=1e-4)
    assert of_plane["net"]["value"] == pytest.approx(of_plane["above"]["value"] - of_plane["below"]["value"])
    level = relief_volume(
        np.where(known, heights, np.nan).reshape(shape).astype(np.float32), np.full(shape, 0.03, np.float32),
        grid["cell"], local, float(corners[:, 2].min()),
    )  # fmt: skip
    assert of_lowest["above"]["value"] == pytest.approx(level.fill, rel=1e-3)
    assert of_lowest["below"]["value"] == pytest.approx(level.cut, abs=1e-3)
    print(f"true {TRUE:.3f}, found {of_plane['above']['value']:.3f} ± {of_plane['above']['sigma']:.3f}")
    assert of_plane["above"]["value"] == pytest.approx(TRUE, abs=2 * of_plane["above"]["sigma"])


@pytest.mark.parametrize("base", ["plane", "lowest"])
def test_the_deviation_of_a_volume_agrees_with_a_thousand_draws(base: str) -> None:
    """The surface as a whole, each corner, and the scale vary; also if the heap extends beyond the polygon."""
    frame = turned(np.array([0.0, 0.0, 1.0]))
    rng = np.random.default_rng(5)
    x, y = 0.6 * CORNERS.T
    picks = [pick_at(point, frame) for point in np.column_stack([x, y, dome(x, y)]) @ frame]
    grid = grid_of(picks, frame[2], 0.01)
    columns, rows = centres(grid)
    start = (np.array(grid["corner"]) @ frame.T)[:2]
    surface = dome(columns + start[0], rows + start[1])
    along, scale = 0.01, 0.002

    def figures(corners: Vector, shift: float, factor: float) -> dict[str, float]:
        inside = covered((corners[:, :2] - start) / grid["cell"], (grid["rows"], grid["columns"])).ravel()
        floor = np.full(len(surface), corners[:, 2].min())
        if base == "plane":
            fit, *_ = np.linalg.lstsq(
                np.column_stack([np.ones(len(corners)), corners[:, :2]]), corners[:, 2], rcond=None
            )
            floor = fit[0] + fit[1] * (columns + start[0]) + fit[2] * (rows + start[1])
        height = (surface + shift - floor)[inside] * (factor * grid["cell"]) ** 2 * factor
        return {
            "above": float(np.maximum(height, 0).sum()), "below": float(np.maximum(-height, 0).sum()),
            "net": float(height.sum()),
        }  # fmt: skip

    truth = np.array([pick["point"] for pick in picks]) @ frame.T
    draws = []
    for _ in range(1200):
        draws.append(figures(moved(picks, rng) @ frame.T, rng.normal(0, along), 1 + rng.normal(0, scale)))
    how = {"along": along, "scale": scale, "unseen": -1e9, "base": base}
    given = {"heights": surface.tolist(), "fogs": np.zeros(len(surface)).tolist()}
    found = run_module("measure/volume", VOLUME, [picks, grid, given, how])
    for name, value in figures(truth, 0.0, 1.0).items():
        assert found[name]["value"] == pytest.approx(value, abs=1e-3), name
        spread = np.std([draw[name] for draw in draws])
        assert found[name]["sigma"] == pytest.approx(spread, rel=0.12, abs=2e-3), name


SURVEY: dict[str, Any] = {"gsd": 0.03, "scale": 0.0, "unit": "m", "up": [0, 0, 1]}
SAID = """
const [picks, grid, surface, survey, unseen] = given;
const filled = { heights: surface.heights.map((h) => h ?? NaN), fogs: surface.fogs };
console.log(JSON.stringify(module.saidOfVolume(picks, grid, filled, 'plane', survey, ([x]) => x > unseen)));
"""


def said(
    missing: int = 0, foggy: int = 0, unseen: float = -1e9, survey: dict[str, Any] = SURVEY,
    height: float = 2.0, lifted: int = 0,
) -> list[str]:  # fmt: skip
    """The page's answer for a block of 10 by 10 m on a grid of 100 cells, some of which are unknown, open or part of a
    heap."""
    frame = turned(np.array([0.0, 0.0, 1.0]))
    picks = [pick_at(np.array(corner), frame) for corner in ((0, 0, 0), (10, 0, 0), (10, 10, 0), (0, 10, 0))]
    grid = grid_of(picks, frame[2], 1.0)
    assert grid["columns"] * grid["rows"] == 100
    heights = [None if i < missing else abs(height) if 100 - i <= lifted else height for i in range(100)]
    fogs = [0.5 if 100 - i <= foggy else 0.01 for i in range(100)]
    found: list[str] = run_module(
        "measure/report", SAID, [picks, grid, {"heights": heights, "fogs": fogs}, survey, unseen]
    )
    return found


def test_volumes_have_their_accuracy_and_are_refused_or_unsure_where_there_is_nothing_to_measure() -> None:
    sure = said()
    assert sure[0].startswith("Above the base 200 m³ ± ")
    assert sure[1:] == []
    below = said(height=-2.0)
    assert [line.replace("Below", "Above") for line in below] == sure
    both = said(height=-2.0, lifted=30)
    assert [line.split(" ± ")[0] for line in both] == [
        "Above the base 60.0 m³", "Below the base 140 m³", "Above less below -80 m³",
    ]  # fmt: skip
    assert said(missing=8)[0].startswith("Above the base 200 m³")
    assert said(missing=20) == ["No volume: there is no surface over 20 % of the polygon"]
    assert said(foggy=30)[1:] == ["Unsure: there is no sharp surface over 30 % of the polygon"]
    assert said(unseen=4.0)[1:] == ["Unsure: no photos show 40 % of the polygon"]
    assert said(unseen=4.0, survey={**SURVEY, "gsd": None}) == said(survey={**SURVEY, "gsd": None})


def test_a_grid_asks_for_the_leaves_above_and_below_it_and_no_others() -> None:
    rng = np.random.default_rng(8)
    frame = turned(np.array(UPS["tilted"]))
    grid = {"corner": [1.0, 0.5, 2.0], "axes": frame.tolist(), "cell": 0.1, "columns": 20, "rows": 30}
    lows = rng.uniform(-6, 6, (200, 3))
    highs = lows + rng.uniform(0.2, 1.5, (200, 3))
    leaves = [{"low": low.tolist(), "high": high.tolist()} for low, high in zip(lows, highs, strict=True)]
    (found,) = module_calls("measure/streamed", "above", [[leaves, grid]])
    chosen = [leaf in found for leaf in leaves]
    for low, high, is_chosen in zip(lows, highs, chosen, strict=True):
        inside = (rng.uniform(low, high, (4000, 3)) - grid["corner"]) @ frame.T[:, :2]
        if ((inside >= 0) & (inside <= (2.0, 3.0))).all(axis=1).any():
            assert is_chosen
        corners = np.stack(np.meshgrid(*zip(low, high, strict=True)), axis=-1).reshape(-1, 3)
        local = (corners - grid["corner"]) @ frame.T[:, :2]
        if (local.max(axis=0) < 0).any() or (local.min(axis=0) > (2.0, 3.0)).any():
            assert not is_chosen
    assert 5 < sum(chosen) < 100


def test_corners_on_one_line_hold_no_volume() -> None:
    line = [[0, 0, 0], [1, 1, 0], [3, 3, 1]]
    assert module_calls("measure/volume", "gridOf", [[line, [0, 0, 1], 0.1], [line[:2], [0, 0, 1], 0.1]]) == [
        None,
        None,
    ]


def test_lengths_and_areas_follow_the_scenes_own_up() -> None:
    frame = turned(np.array(UPS["tilted"]))
    points = np.array([(0, 0, 0), (4, 0, 1), (4, 3, 2), (0, 3, 1)], float)
    picks = [pick_at(point, frame) for point in points @ frame]
    upright = [pick_at(point, np.eye(3)) for point in points]
    for name in ("line", "area"):
        (found,) = module_calls("measure/geometry", name, [[picks, 0.01, frame[2].tolist()]])
        (expected,) = module_calls("measure/geometry", name, [[upright, 0.01]])
        for part, each in expected.items():
            assert found[part]["value"] == pytest.approx(each["value"]), part
            assert found[part]["sigma"] == pytest.approx(each["sigma"]), part
