"""Measuring in the page (containers/compressor/viewer/src/measure/), run in Node.js and compared with float64 twins."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from compressor.sog.codes import Codes
from compressor.sog.container import pack_files
from compressor.sog.decoder import dequantise
from compressor.sog.images import COLOURS, MEANS, QUATS, SCALES
from compressor.sog.means import bounds_of, log_transform
from compressor.sog.webp import decode_webp
from splat.gaussians import Gaussians
from tests.support.picked import met_depths, moved, picked_depth
from tests.support.viewer_modules import module_calls, needs_node, run_module

pytestmark = needs_node

Vector = NDArray[np.float64]
RADIUS = 0.02


Scene = tuple[Gaussians, dict[str, Any], list[list[int]]]


@pytest.fixture(scope="module")
def scene() -> Scene:
    """A floor with a tower as a viewer of its SOG receives it: the meta.json and the bytes (RGBA) of the images."""
    rng = np.random.default_rng(1)
    row = np.linspace(-2, 2, 60)
    floor = np.column_stack([np.stack(np.meshgrid(row, row), axis=-1).reshape(-1, 2), np.zeros(len(row) ** 2)])
    tower = rng.uniform((-1.25, -1.25, 0), (-0.75, -0.75, 1.6), (900, 3))
    means = np.concatenate([floor, tower])
    low, high = bounds_of(means.astype(np.float32))
    count = len(means)
    codes = Codes(
        mins=low,
        maxs=high,
        means=np.rint(65535 * (log_transform(means) - low) / (high - low)).astype(np.uint16),
        quats=np.column_stack([rng.integers(60, 196, (count, 3)), rng.integers(252, 256, count)]).astype(np.uint8),
        scales=rng.integers(0, 256, (count, 3)).astype(np.uint8),
        scale_codebook=np.linspace(math.log(0.02), math.log(0.05), 256).astype(np.float32),
        colours=rng.integers(200, 256, (count, 4)).astype(np.uint8),
        colour_codebook=np.zeros(256, np.float32),
        palette=None,
    )
    files = pack_files(codes)
    laid = [decode_webp(files[name]).ravel().tolist() for name in (*MEANS, SCALES, QUATS, COLOURS)]
    return dequantise(codes), json.loads(files["meta.json"]), laid


def rays(count: int, seed: int) -> tuple[Vector, Vector]:
    """Rays from all directions above the village to places in it."""
    rng = np.random.default_rng(seed)
    targets = np.column_stack([rng.uniform(-1.8, 1.8, (count, 2)), rng.uniform(0, 0.8, count)])
    outward = rng.normal(size=(count, 3))
    outward[:, 2] = np.abs(outward[:, 2]) + 0.3
    origins = targets + 5 * outward / np.linalg.norm(outward, axis=1, keepdims=True)
    directions = targets - origins
    return origins, directions / np.linalg.norm(directions, axis=1, keepdims=True)


def picked(scene: Scene, origins: Vector, directions: Vector) -> list[Any]:
    """The picks by the page's own code, from the SOG's bytes."""
    body = """
    const [meta, images, rays, radius] = given;
    const splat = module.decoded(meta, images);
    const { pick } = await import(folder + "/measure/picking.mjs");
    console.log(JSON.stringify(rays.map(([origin, direction]) => pick([splat], origin, direction, radius))));
    """
    given = [scene[1], scene[2], [[o.tolist(), d.tolist()] for o, d in zip(origins, directions, strict=True)], RADIUS]
    found: list[Any] = run_module("measure/sog", body, given)
    return found


def test_a_pick_is_the_plane_through_what_nine_rays_meet(
    scene: Scene,
) -> None:
    origins, directions = rays(60, 3)
    found = picked(scene, origins, directions)
    whole = 0
    for origin, direction, each in zip(origins, directions, found, strict=True):
        expected = picked_depth(scene[0], origin, direction, RADIUS)
        if expected is None:
            assert each is None
            continue
        assert each["point"] == pytest.approx((origin + each["depth"] * direction).tolist(), abs=1e-9)
        if expected.whole:
            whole += 1
            assert each["depth"] == pytest.approx(expected.depth, abs=1e-4)
            assert each["rough"] == pytest.approx(expected.rough, abs=1e-4)
            assert each["fog"] == (pytest.approx(expected.fog, abs=1e-4) if np.isfinite(expected.fog) else None)
        else:
            assert each["rough"] is None  # infinity, which JSON writes as null
    assert whole > 40


def test_one_ray_meets_what_its_float64_twin_meets(scene: Scene) -> None:
    origins, directions = rays(80, 4)
    body = """
    const [meta, images, rays] = given;
    const splat = module.decoded(meta, images);
    const { depthsAt } = await import(folder + "/measure/picking.mjs");
    const all = Array.from({ length: splat.count }, (_, i) => i);
    const found = rays.map(([o, d]) => depthsAt([[splat, all]], o, d));
    console.log(JSON.stringify(found.map((depths) => depths.map((t) => (t < Infinity ? t : -1)))));
    """
    pairs = [[o.tolist(), d.tolist()] for o, d in zip(origins, directions, strict=True)]
    found = np.array(run_module("measure/sog", body, [scene[1], scene[2], pairs]))
    expected = np.array([met_depths(scene[0], o, d) for o, d in zip(origins, directions, strict=True)])
    expected[np.isinf(expected)] = -1
    assert np.count_nonzero(expected[:, 1] > 0) > 60
    close = np.isclose(found, expected, atol=1e-5)
    assert close.mean() > 0.99, "a threshold that is met within float32's last digit may go either way"


def test_candidates_leave_out_nothing_that_a_ray_meets(
    scene: Scene,
) -> None:
    origins, directions = rays(40, 5)
    body = """
    const [meta, images, rays] = given;
    const splat = module.decoded(meta, images);
    const { depthsAt, near } = await import(folder + "/measure/picking.mjs");
    const all = Array.from({ length: splat.count }, (_, i) => i);
    const [some, counts] = [[], []];
    for (const [o, d] of rays) {
        const candidates = near(splat, o, d, 0);
        some.push(String(depthsAt([[splat, candidates]], o, d)) === String(depthsAt([[splat, all]], o, d)));
        counts.push(candidates.length);
    }
    console.log(JSON.stringify([some.every(Boolean), Math.max(...counts), splat.count]));
    """
    pairs = [[o.tolist(), d.tolist()] for o, d in zip(origins, directions, strict=True)]
    same, most, count = run_module("measure/sog", body, [scene[1], scene[2], pairs])
    assert same
    assert most < count / 4


def a_pick(point: Vector, rng: np.random.Generator) -> dict[str, Any]:
    direction = rng.normal(size=3)
    direction /= np.linalg.norm(direction)
    return {
        "point": point.tolist(), "direction": direction.tolist(), "along": float(rng.uniform(0.02, 0.1)),
        "aside": float(rng.uniform(0.005, 0.02)), "doubt": None,
    }  # fmt: skip


def figures(name: str, points: Vector) -> dict[str, float]:
    """Lengths and areas in plain float64."""
    if name == "line":
        steps = np.diff(points, axis=0)
        return {
            "length": float(np.linalg.norm(steps, axis=1).sum()),
            "plan": float(np.linalg.norm(steps[:, :2], axis=1).sum()),
            "rise": float(points[-1, 2] - points[0, 2]),
        }
    normal = 0.5 * np.cross(points, np.roll(points, -1, axis=0)).sum(axis=0)
    return {"plan": abs(float(normal[2])), "own": float(np.linalg.norm(normal))}


@pytest.mark.parametrize(("name", "corners"), [("line", 2), ("line", 5), ("area", 3), ("area", 6)])
def test_figures_and_their_deviations_agree_with_a_thousand_draws(name: str, corners: int) -> None:
    rng = np.random.default_rng(corners)
    turn = 2 * np.pi * np.arange(corners) / corners
    points = np.column_stack([9 * np.cos(turn), 6 * np.sin(turn), 3 * np.cos(2 * turn + 1)])
    picks = [a_pick(point, rng) for point in points + rng.normal(0, 0.5, points.shape)]
    places = np.array([pick["point"] for pick in picks])
    scale = 0.004
    (found,) = module_calls("measure/geometry", name, [[picks, scale]])
    drawn = []
    for _ in range(3000):
        places_drawn = moved(picks, rng)
        drawn.append(figures(name, (1 + rng.normal(0, scale)) * places_drawn))
    for part, value in figures(name, places).items():
        assert found[part]["value"] == pytest.approx(value, abs=1e-9)
        assert found[part]["sigma"] == pytest.approx(np.std([each[part] for each in drawn]), rel=0.08), part


SURVEY: dict[str, Any] = {
    "gsd": 0.03, "scale": 0.0, "unit": "m", "georeferenced": True, "offset": [0, 0, 0], "system": None,
    "absolute": None,
}  # fmt: skip


def judged(survey: dict[str, Any] = SURVEY, supported: bool = True, **found: float | None) -> dict[str, Any]:
    pick = {"point": [1.0, 2.0, 3.0], "direction": [0, 0, -1], "depth": 30, "fog": 0.05, "rough": 0.01, **found}
    result: dict[str, Any] = module_calls("measure/report", "judged", [[pick, survey, supported]])[0]
    return result


def test_thick_fog_edges_and_places_without_photos_are_unsure() -> None:
    sure = judged()
    assert sure["doubt"] is None
    assert 0.5 * 0.03 < sure["along"] < 0.04
    assert judged(fog=0.5)["doubt"] == "there is no sharp surface within 0.50 m"
    assert judged(fog=0.5)["along"] > 4 * sure["along"]
    assert judged(rough=0.2)["doubt"] == "an edge or leaves"
    assert judged(supported=False)["doubt"] == "no photos show this place"
    assert judged({**SURVEY, "gsd": None}, supported=False)["doubt"] is None


def said(kind: str, picks: list[dict[str, Any]], survey: dict[str, Any] = SURVEY) -> list[str]:
    found: list[str] = module_calls("measure/report", "said", [[kind, picks, survey]])[0]
    return found


def pick_at(*point: float, doubt: str | None = None) -> dict[str, Any]:
    return {"point": list(point), "direction": [0, 0, -1], "along": 0.03, "aside": 0.01, "doubt": doubt}


def test_every_figure_has_its_accuracy_and_doubts_are_numbered() -> None:
    line = [pick_at(0, 0, 0), pick_at(3, 4, 2), pick_at(3, 4, 0.5, doubt="an edge or leaves")]
    assert said("line", line[:1]) == []
    assert said("line", line) == [
        "Length 6.89 m ± 0.05 m", "In plan 5.00 m ± 0.01 m", "Height +0.50 m ± 0.04 m",
        "Unsure at point 3: an edge or leaves",
    ]  # fmt: skip
    corners = [pick_at(0, 0, 0), pick_at(4, 0, 0), pick_at(4, 2, 2), pick_at(0, 2, 2)]
    assert said("area", corners[:2]) == []
    plan, own = said("area", corners)
    assert plan.startswith("Area in plan 8.00 m² ± 0.0")
    assert own.startswith("On its own plane 11.31 m² ± 0.0")
    assert said("point", [pick_at(1, 2, 3, doubt="an edge or leaves")]) == [
        "East 1.00, north 2.00, up 3.00 m ± 0.03 m in the scene", "Unsure here: an edge or leaves",
    ]  # fmt: skip


def test_no_figure_is_less_than_nothing_by_its_sign_alone() -> None:
    flat = said("line", [pick_at(0, 0, 0.004), pick_at(3, 4, 0)])
    assert flat[2] == "Height 0.00 m ± 0.04 m"
    assert said("line", [pick_at(0, 0, 0), pick_at(3, 4, 0.004)])[2] == "Height 0.00 m ± 0.04 m"
    assert said("point", [pick_at(-0.001, -1, 0)])[0].startswith("East 0.00, north -1.00, up 0.00 m")


def leaf(low: tuple[float, ...], high: tuple[float, ...], file: int) -> dict[str, Any]:
    lods = {"0": {"file": file, "offset": 0, "count": 10}, "1": {"file": 9, "offset": 0, "count": 3}}
    return {"bound": {"min": low, "max": high}, "lods": lods}


def test_the_leaves_that_a_ray_passes_come_by_how_soon_it_enters_them() -> None:
    rng = np.random.default_rng(3)
    lows = rng.uniform(-5, 4, (40, 3))
    highs = lows + rng.uniform(0.1, 2, (40, 3))
    children = [leaf(tuple(low), tuple(high), i) for i, (low, high) in enumerate(zip(lows, highs, strict=True))]
    tree = {"children": [{"children": children[:25]}, {"children": children[25:]}]}
    origins = rng.uniform(-6, 6, (60, 3))
    directions = rng.normal(size=(60, 3))
    directions[:6, :2] = 0  # straight down, as volumes are measured
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    body = """
    const [tree, rays, radius] = given;
    const leaves = module.leavesOf(tree);
    const found = rays.map(([origin, direction]) => module.passedBy(leaves, { origin, direction }, radius));
    console.log(JSON.stringify(found.map((passed) => passed.map(({ file, entry }) => [file, entry]))));
    """
    pairs = [[o.tolist(), d.tolist()] for o, d in zip(origins, directions, strict=True)]
    steps = np.linspace(0, 25, 5001)
    met = 0
    for origin, direction, passed in zip(
        origins, directions, run_module("measure/streamed", body, [tree, pairs, 0.05]), strict=True
    ):
        entries = [entry for _, entry in passed]
        assert entries == sorted(entries)
        along = origin + steps[:, None] * direction
        for index, (low, high) in enumerate(zip(lows - 0.05, highs + 0.05, strict=True)):
            inside = ((along > low) & (along < high)).all(axis=1)
            if inside.any():
                met += 1
                assert dict(passed)[index] == pytest.approx(steps[np.argmax(inside)], abs=0.006)
    assert met > 20


def test_coordinates_are_the_projections_with_what_they_are_worth_on_earth() -> None:
    terms = [
        [500_000, 1, 0.01, 0, 0, 0, 0, 0, 0],
        [5_200_000, -0.01, 1, 0, 0, 0, 0, 0, 0],
        [400, 0, 0, 1, 0, 0, 0, 0, 0],
    ]
    survey = {
        **SURVEY, "system": {"name": "UTM 32N", "terms": terms},
        "absolute": {"plan": 0.4, "height": 0.5, "by": "GPS"},
    }  # fmt: skip
    assert said("point", [pick_at(10, 20, 3)], survey) == [
        "East 10.00, north 20.00, up 3.00 m ± 0.03 m in the scene",
        "E 500010.2, N 5200019.9, height 403.0", "UTM 32N", "On Earth ± 0.4 m in plan, ± 0.5 m in height, by GPS",
    ]  # fmt: skip


def test_a_scene_without_a_scale_is_measured_in_its_own_units() -> None:
    survey = {**SURVEY, "unit": "units", "georeferenced": False}
    assert said("line", [pick_at(0, 0, 0), pick_at(3, 4, 0)], survey)[0] == "Length 5.00 units ± 0.01 units"
    assert said("point", [pick_at(1, 2, 3)], survey)[0] == "x 1.00, y 2.00, z 3.00"


def test_views_are_those_of_one_splat_and_not_of_every_scene_of_the_title() -> None:
    body = """
const stored = new Map();
globalThis.localStorage = {
    getItem: (key) => stored.get(key) ?? null,
    setItem: (key, value) => stored.set(key, value)
};
new module.SavedViews(...given[0]).add({ name: 'from the gate' });
console.log(JSON.stringify(given.map((each) => new module.SavedViews(...each).views.length)));
"""
    assert run_module("measure/views", body, [["Roof", 1000], ["Roof", 1001], ["Roof", 1000]]) == [1, 0, 1]
