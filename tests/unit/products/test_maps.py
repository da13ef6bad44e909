"""Maps of a scene with known heights and colours: the surface, the draped photos, and all their files."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from plyfile import PlyData

from contract.options import Quality
from geo.projected import Place, Projected
from products import rasters
from products.__main__ import main
from products.drape import Drape, orthophoto
from products.grid import Grid, Placed
from products.make import Options, make
from products.rasters import NothingSeenError, default_cell, draw, extent
from products.scene import Scene, read_scene
from splat.camera import Camera, look_at, read_views, write_views
from splat.gaussians import Float32, Gaussians
from splat.ply import write_ply
from tests.unit.products import scenes

CELL = 0.05
SHOWN = np.full((1, 1), 255, np.uint8)  # a photo without a mask


class LocalGrid(Placed):
    """A grid equal to the local frame."""

    def to_grid(self, points: np.ndarray) -> np.ndarray:
        return np.asarray(points, dtype=np.float64)

    def to_enu(self, points: np.ndarray) -> np.ndarray:
        return np.asarray(points, dtype=np.float64)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return scenes.write_scene(tmp_path_factory.mktemp("scene"))


@pytest.fixture(scope="module")
def scene(folders: tuple[Path, Path]) -> Scene:
    return read_scene(*folders)


def test_draped_photos_are_the_grounds_own_colours(scene: Scene) -> None:
    grid = Grid(-6.0, 6.0, CELL, 240, 240)
    place = LocalGrid(Projected.about(Place(47.0, 9.0, 0.0)), np.zeros(3))
    x, y = (part.copy() for part in np.meshgrid(*grid.centres()))
    true = scenes.heights(x, y).astype(np.float32)
    drape = Drape.over(true, grid, place)
    for view in scene.views:
        depths = np.full((240, 320), np.inf, np.float32)
        drape.add(view.camera, scene.photo(view.name), np.full(3, 0.8), depths, SHOWN)
    flat = np.maximum(np.abs(x), np.abs(y))
    inner = (np.abs(flat - 2) > 0.3) & drape.seen & (drape.covered >= 3)
    # gains are corrected: photos are 0.8 times as bright as the splat
    on_top = inner & (true > 1)
    error = np.abs(drape.mixed() * 0.8 - scenes.colours(x, y))
    assert np.median(error[inner]) < 0.01
    assert np.percentile(error[on_top], 95) < 0.05


def test_a_scene_about_an_offset_lies_where_its_georeference_says(
    folders: tuple[Path, Path], scene: Scene, tmp_path: Path
) -> None:
    """Training works about a point near the photos, which may lie kilometres from the georeference's origin."""
    offset = np.array([-9000.0, 500.0, 20.0])
    model, cameras = (Path(shutil.copytree(folder, tmp_path / folder.name)) for folder in folders)
    write_ply(model / "scene.ply", replace(scene.gaussians, means=scene.gaussians.means - offset))
    views = [replace(view, camera=view.camera.about(offset)) for view in read_views(model / "views.json")]
    write_views(model / "views.json", views)
    dense = PlyData.read(str(model / "dense.ply"))
    for axis, value in zip("xyz", offset, strict=True):
        dense["vertex"][axis] = dense["vertex"][axis] - value
    dense.write(str(tmp_path / "dense.ply"))
    (tmp_path / "dense.ply").replace(model / "dense.ply")
    document = json.loads((model / "georeference.json").read_text()) | {"offset": offset.tolist()}
    (model / "georeference.json").write_text(json.dumps(document))
    found = read_scene(model, cameras)
    np.testing.assert_allclose(found.gaussians.means, scene.gaussians.means, atol=2e-3)
    np.testing.assert_allclose(found.dense.points, scene.dense.points, atol=2e-3)
    for mine, original in zip(found.views, scene.views, strict=True):
        np.testing.assert_allclose(mine.camera.position, original.camera.position, atol=1e-6)


def test_what_is_masked_in_a_photo_is_not_taken_from_it(folders: tuple[Path, Path], scene: Scene) -> None:
    grid = Grid(-6.0, 6.0, CELL, 240, 240)
    place = LocalGrid(Projected.about(Place(47.0, 9.0, 0.0)), np.zeros(3))
    drape, view = Drape.over(np.zeros((240, 240), np.float32), grid, place), scene.views[4]
    (folders[1] / "masks").mkdir()
    Image.fromarray(np.repeat(np.array([[0, 255]], np.uint8), 2, 0)).save(folders[1] / "masks" / f"{view.name}.png")
    assert (scene.mask(view.name).shape, scene.mask("another.jpg").min()) == ((2, 2), 255)
    far = np.full((60, 80), np.inf, np.float32)
    drape.add(view.camera, scene.photo(view.name), np.ones(3), far, scene.mask(view.name))
    shutil.rmtree(folders[1] / "masks")
    assert not drape.seen[:, :115].any()
    assert drape.covered[100:140, 70:180].all()
    assert drape.seen[100:140, 125:180].all()


def test_a_surface_that_photos_see_from_below_has_their_colours() -> None:
    place = LocalGrid(Projected.about(Place(47.0, 9.0, 0.0)), np.zeros(3))
    drape = Drape.over(np.full((40, 40), 12.0, np.float32), Grid(-1, 1, 0.05, 40, 40), place)
    for x in (-6.0, 0.0, 6.0):
        camera = look_at((x, -15, 9), (0, 0, 12), width=320, height=240, field_of_view=60)
        far = np.full((60, 80), np.inf, np.float32)
        drape.add(camera, np.full((240, 320, 3), 200, np.uint8), np.ones(3), far, SHOWN)
    assert drape.seen.all()
    np.testing.assert_allclose(drape.mixed(), 200 / 255, atol=1e-3)


def test_what_the_splat_hides_from_a_photo_is_not_taken_from_it(scene: Scene) -> None:
    grid = Grid(-6.0, 6.0, CELL, 240, 240)
    place = LocalGrid(Projected.about(Place(47.0, 9.0, 0.0)), np.zeros(3))
    heights = np.zeros((240, 240), np.float32)
    drape, view = Drape.over(heights, grid, place), scene.views[4]
    near = np.full((60, 80), 10.0, np.float32)  # something is 10 m from the camera, the ground 16 m
    near[:, 40:] = np.inf
    drape.add(view.camera, scene.photo(view.name), np.ones(3), near, SHOWN)
    assert not drape.seen[:, :115].any()
    assert drape.covered[100:140, 70:180].all()
    assert drape.seen[100:140, 125:180].all()


def test_the_splat_stands_in_at_jumps_and_where_no_photo_sees() -> None:
    grid = Grid(0.0, 3.0, CELL, 60, 60)
    heights = np.zeros((60, 60), np.float32)
    heights[:, :20] = 3.0
    drape = Drape.over(heights, grid, LocalGrid(Projected.about(Place(47.0, 9.0, 0.0)), np.zeros(3)))
    drape.scores[0], drape.colours[0], drape.seen[:] = 0.9, 0.25, True
    drape.seen[:, 50:] = 0
    found = orthophoto(np.full((60, 60, 3), 0.75, np.float32), drape)
    assert np.allclose(found[:, :10], 0.25)
    assert (found[:, 18:22] > 0.65).all()  # mostly the splat, with a transition of three cells
    assert np.allclose(found[:, 35:40], 0.25)
    assert np.allclose(found[:, 50:], 0.75)


def test_at_jumps_photos_and_splat_even_out_where_they_agree() -> None:
    grid = Grid(0.0, 5.0, CELL, 100, 100)
    rng = np.random.default_rng(0)
    heights = rng.uniform(0, 3, (100, 100)).astype(np.float32)  # leaves
    drape = Drape.over(heights, grid, LocalGrid(Projected.about(Place(47.0, 9.0, 0.0)), np.zeros(3)))
    true = rng.uniform(0.3, 0.7, (100, 100, 3))
    photos, splat = (np.asarray(true + rng.normal(0, 0.05, true.shape), np.float32) for _ in range(2))
    photos[:20] = 1.0  # something else
    drape.scores[0], drape.colours[0], drape.seen[:] = 0.9, photos, True
    found = orthophoto(splat, drape)

    def rms(picture: np.ndarray) -> float:
        return float(np.sqrt(np.mean((picture - true)[20:] ** 2)))

    assert rms(found) < 0.8 * min(rms(photos), rms(splat))
    assert np.abs(found - splat)[:20].mean() < 0.1 * np.abs(photos - splat)[:20].mean()


def test_holes_between_what_photos_see_are_shown_and_crumbs_and_guesses_are_not() -> None:
    grid = Grid(0.0, 5.0, CELL, 100, 100)
    heights = np.zeros((100, 100), np.float32)
    heights[90:, :60] = np.nan
    drape = Drape.over(heights, grid, LocalGrid(Projected.about(Place(47.0, 9.0, 0.0)), np.zeros(3)))
    drape.covered[:], drape.seen[:, :60] = 3, True
    drape.seen[40:45, 20:25] = 0  # leaves on which no photo agrees
    drape.seen[40:42, 85:87] = 1  # an isolated patch, too small to be shown
    drape.covered[:10] = 2
    shown = drape.shown(3)
    assert shown[10:90, :55].all()
    assert not shown[:, 70:].any()
    assert not shown[:10].any()
    assert not shown[90:].any()


def test_a_scene_is_drawn_tile_by_tile_as_at_once(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Placed.of(scene.projected())
    grid = extent(scene.dense.points, [view.camera for view in scene.views], place, 0.1)
    shares: list[float] = []
    drawn = []
    for size in (4096, 50):
        monkeypatch.setattr("products.rasters.TILE", size)
        (tmp_path / str(size)).mkdir()
        drawn.append(draw(scene, place, grid, tmp_path / str(size), shares.append))
    whole, tiled = drawn
    assert shares[-1] == 1.0
    np.testing.assert_array_equal(whole.valid, tiled.valid)
    assert np.abs(np.asarray(whole.heights) - tiled.heights)[whole.valid].max() < 1e-3
    assert np.abs(whole.rgb.astype(int) - tiled.rgb)[whole.valid].max() <= 3
    # at each cell, the scene has the map's height: metres above the datum
    rows, columns = np.nonzero(whole.valid)
    x, y = (grid.west + (columns + 0.5) * 0.1, grid.north - (rows + 0.5) * 0.1)
    enu = place.to_enu(np.column_stack([x, y, whole.heights[rows, columns] - place.corner[2]]))
    error = np.abs(enu[:, 2] - scenes.heights(enu[:, 0], enu[:, 1]))
    assert (error < 0.05).mean() > 0.93
    assert whole.valid.mean() > 0.5


def test_a_photo_is_decoded_once_for_all_tiles(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[str] = []
    photo = Scene.photo

    def counted(self: Scene, name: str) -> np.ndarray:
        decoded.append(name)
        return photo(self, name)

    monkeypatch.setattr(Scene, "photo", counted)
    monkeypatch.setattr("products.rasters.TILE", 50)
    place = Placed.of(scene.projected())
    grid = extent(scene.dense.points, [view.camera for view in scene.views], place, 0.1)
    draw(scene, place, grid, tmp_path, lambda _share: None)
    assert sorted(decoded) == sorted(view.name for view in scene.views)


def test_depths_of_photos_take_bounded_memory_and_the_maps_are_the_same(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_for: list[Camera] = []
    depths = rasters._depths

    def counted(splat: Gaussians, camera: Camera) -> Float32:
        made_for.append(camera)
        return depths(splat, camera)

    monkeypatch.setattr(rasters, "_depths", counted)
    monkeypatch.setattr(rasters, "TILE", 50)
    place = Placed.of(scene.projected())
    grid = extent(scene.dense.points, [view.camera for view in scene.views], place, 0.1)
    drawn = []
    for limit in (1 << 30, 1):
        monkeypatch.setattr(rasters, "_DEPTH_BYTES", limit)
        (tmp_path / str(limit)).mkdir()
        drawn.append(draw(scene, place, grid, tmp_path / str(limit), lambda _share: None))
        if limit > 1:
            assert len(made_for) == len(scene.views), "each once"
    assert len(made_for) > 2 * len(scene.views), "none is kept where there is no room"
    np.testing.assert_array_equal(drawn[0].heights, drawn[1].heights)
    np.testing.assert_array_equal(drawn[0].rgb, drawn[1].rgb)


def test_a_surface_that_is_hidden_from_the_photos_gives_no_maps(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("products.rasters._depths", lambda _splat, _camera: np.ones((60, 80), np.float32))
    (tmp_path / "out").mkdir()
    make(scene, Options(cell=0.2), tmp_path / "out", tmp_path, lambda _share, _text: None)
    found = made(tmp_path / "out")
    assert "3 photos" in found["missing"]["maps"]
    assert "points.laz" in found["files"]


def test_a_map_of_what_too_few_photos_see_is_refused(scene: Scene) -> None:
    with pytest.raises(NothingSeenError, match="3 photos"):
        extent(scene.dense.points, [view.camera for view in scene.views[:2]], Placed.of(scene.projected()), 0.1)


@pytest.mark.parametrize(("gsd", "cell"), [(0.0316, 0.032), (0.16, 0.16), (0.00987, 0.0099), (1.234, 1.2)])
def test_cells_have_two_digits(gsd: float, cell: float) -> None:
    assert default_cell(gsd) == pytest.approx(cell)


def made(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "products.json").read_text())
    assert set(found["files"]) | {"products.json"} == {path.name for path in folder.iterdir()}
    return found


def test_the_command_leaves_every_product(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "products"
    arguments = [*map(str, folders), str(output), "--cell", "0.1", "--epsg", "2056"]
    monkeypatch.setattr("sys.argv", ["products", *arguments])
    assert main() == 0
    found = made(output)
    assert found["missing"] == {}
    assert found["system"] == {"epsg": 2056, "name": "CH1903+ / LV95", "uncertain": None}
    assert {"orthophoto.tif", "surface.tif", "surface_sigma.tif", "points.laz", "points.copc.laz"} <= set(
        found["files"]
    )
    lines = json.loads((output / "contours.geojson").read_text())["features"]
    places = np.array([place for line in lines for place in line["geometry"]["coordinates"]])
    assert np.abs(places - [8.5306, 47.3612]).max() < 2e-4
    with Image.open(output / "orthophoto.jpg") as picture:
        assert picture.width == found["map"]["width"]


def test_no_surface_of_a_preview(scene: Scene, tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    make(scene, Options(quality=Quality.PREVIEW, cell=0.2), output, tmp_path, lambda _share, _text: None)
    found = made(output)
    assert "orthophoto.tif" in found["files"]
    assert "surface.tif" not in found["files"]
    assert "preview" in found["missing"]["surface model"]


@pytest.mark.parametrize(
    ("georeference", "epsg", "words"),
    [
        ({"georeferenced": False, "origin": None, "reason": "the photos have no GPS"}, None, "no GPS"),
        (scenes.GEOREFERENCE, 99_999, "not a known coordinate system"),
        (scenes.GEOREFERENCE, 4326, "not a projected system"),
    ],
)
def test_without_a_place_or_a_system_there_is_no_map_and_it_is_said(
    folders: tuple[Path, Path], tmp_path: Path, georeference: dict[str, Any], epsg: int | None, words: str
) -> None:
    (tmp_path / "out").mkdir()
    scene = read_scene(*folders)
    bare = Scene(**{**vars(scene), "georeference": georeference})
    make(bare, Options(epsg=epsg), tmp_path / "out", tmp_path, lambda _share, _text: None)
    found = made(tmp_path / "out")
    assert found["files"] == []
    assert words in found["missing"]["maps and point cloud"]


LONDON = {"latitude": 51.5, "longitude": -0.1, "altitude": 30.0}


def in_london(folders: tuple[Path, Path], **georeference: Any) -> Scene:
    scene = read_scene(*folders)
    return Scene(**{**vars(scene), "georeference": {**scenes.GEOREFERENCE, "origin": LONDON, **georeference}})


def test_a_system_that_spoils_control_points_is_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    own = Projected.about(Place(51.5, -0.1, 30.0), 25830).as_json()
    scene = in_london(folders, source="control points", projected=own)
    make(scene, Options(epsg=27700), tmp_path / "out", tmp_path, lambda _share, _text: None)
    found = made(tmp_path / "out")
    assert found["files"] == []
    assert "uk_os_OSTN15" in found["missing"]["maps and point cloud"]
    assert "2 m" in found["missing"]["maps and point cloud"]
    assert scene.projected().epsg == scene.projected(25830).epsg == 25830


def test_the_system_of_the_control_points_is_exact_without_its_grid(folders: tuple[Path, Path]) -> None:
    own = Projected.about(Place(51.5, -0.1, 30.0), 27700).as_json()
    scene = in_london(folders, source="control points", projected=own)
    for epsg in (None, 27700):
        projected = scene.projected(epsg)
        assert projected.epsg == 27700
        assert scene.grid_gap(projected) is None


def test_what_gps_cannot_spoil_is_drawn_and_the_uncertainty_said(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    scene = in_london(folders, source="GPS")
    make(scene, Options(epsg=27700, quality=Quality.PREVIEW, cell=0.2), tmp_path / "out", tmp_path, lambda _s, _t: None)
    found = made(tmp_path / "out")
    assert "orthophoto.tif" in found["files"]
    assert "2 m" in found["system"]["uncertain"]


def test_feet_are_taken_in_metres(folders: tuple[Path, Path]) -> None:
    scene = read_scene(*folders)
    georeference = {**scenes.GEOREFERENCE, "origin": {"latitude": 40.0, "longitude": -77.0, "altitude": 100.0}}
    place = Placed.of(Scene(**{**vars(scene), "georeference": georeference}).projected(2272))
    points = np.array([[0.0, 0, 0], [10.0, 0, 0]])
    assert np.linalg.norm(np.diff(place.to_grid(points), axis=0)) == pytest.approx(10.0, abs=0.01)
    np.testing.assert_allclose(place.to_enu(place.to_grid(points)), points, atol=1e-5)


def test_carried_gaussians_lie_and_point_where_the_grid_has_them() -> None:
    place = Placed.of(Projected.about(Place(47.3612, 5.2, 400.0)))  # 3.8° west of its zone's middle meridian
    splat = scenes.gaussians(2.0)
    carried = place.carried(splat)
    np.testing.assert_allclose(carried.means, place.to_grid(splat.means.astype(float)), atol=1e-3)
    east = place.to_grid(np.array([[0.0, 0, 0], [1.0, 0, 0]]))
    turn = np.arctan2(*(east[1] - east[0])[1::-1])
    assert abs(turn) > 0.02
    w, _, _, z = carried.quats[0]
    assert 2 * np.arctan2(z, w) == pytest.approx(turn, abs=1e-6)
