"""3D Tiles of a splat: the rules of the standard, the place on Earth, and what each level shows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyproj import Transformer

from compressor.deliver.tiles import TILESET, write_tiles
from compressor.encode.encoder import arrange
from compressor.formats.reading import read_splat
from geo.projected import Place
from splat.gaussians import Gaussians
from tests.support.glb import chunks_of

MakeSplat = Callable[..., Gaussians]
ZURICH = Place(47.3612, 8.5306, 466.0)
EXTENSIONS = ["KHR_gaussian_splatting", "KHR_gaussian_splatting_compression_spz_2"]
HEIGHTS = {"datum": "sea level", "epsg": None}


@pytest.fixture(scope="module")
def splat(make_splat: MakeSplat) -> Gaussians:
    return arrange(make_splat(600, 2))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, splat: Gaussians) -> Path:
    found = tmp_path_factory.mktemp("scene") / "tiles"
    shares: list[float] = []
    write_tiles(found, splat, ZURICH, (0.0, 0.0, 0.0), HEIGHTS, shares.append, antialiased=True, leaf=64)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    return found


def tileset(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / TILESET).read_text())
    return found


def tiles(tile: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield tile
    for child in tile.get("children", []):
        yield from tiles(child)


def content(folder: Path, tile: dict[str, Any], tmp_path: Path) -> Gaussians:
    """The Gaussians of a tile's SPZ, in the scene's axes."""
    document, binary = chunks_of((folder / tile["content"]["uri"]).read_bytes())
    extension = document["meshes"][0]["primitives"][0]["extensions"][EXTENSIONS[0]]
    view = document["bufferViews"][extension["extensions"][EXTENSIONS[1]]["bufferView"]]
    (tmp_path / "content.spz").write_bytes(binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]])
    stored = read_splat(tmp_path / "content.spz")
    assert stored.marks.antialiased
    return stored.gaussians


def bounds(box: list[float]) -> tuple[np.ndarray, np.ndarray]:
    middle, axes = np.array(box[:3]), np.array(box[3:]).reshape(3, 3)
    assert np.count_nonzero(axes - np.diag(np.diag(axes))) == 0
    return middle - np.diag(axes), middle + np.diag(axes)


def test_a_tileset_keeps_the_rules_of_the_standard(folder: Path) -> None:
    found = tileset(folder)
    assert found["asset"]["version"] == "1.1"
    assert found["asset"]["extras"] == {"heights": HEIGHTS}
    assert found["extensionsUsed"] == ["3DTILES_content_gltf"]
    # CesiumJS draws splats only if the tileset names their extensions here
    assert found["extensions"]["3DTILES_content_gltf"] == {
        "extensionsUsed": EXTENSIONS,
        "extensionsRequired": EXTENSIONS,
    }
    root = found["root"]
    assert root["refine"] == "REPLACE"
    assert found["geometricError"] >= root["geometricError"]
    known = {"boundingVolume", "geometricError", "content", "children"}
    for tile in tiles(root):
        assert set(tile) - known <= ({"refine", "transform"} if tile is root else set())
        assert tile["geometricError"] >= 0
        assert len(tile["boundingVolume"]["box"]) == 12
        low, high = bounds(tile["boundingVolume"]["box"])
        assert (high > low).all()
        for child in tile.get("children", []):
            assert child["geometricError"] <= tile["geometricError"]
            inner_low, inner_high = bounds(child["boundingVolume"]["box"])
            assert (inner_low >= low - 1e-9).all()
            assert (inner_high <= high + 1e-9).all()
        if "children" in tile:
            assert tile["children"]
            assert tile["geometricError"] > 0
        else:
            assert tile["geometricError"] == 0
    names = [tile["content"]["uri"] for tile in tiles(root)]
    assert sorted([*names, TILESET]) == sorted(path.name for path in folder.iterdir())


def test_a_content_is_gltf_with_one_node_and_an_spz(folder: Path) -> None:
    for tile in tiles(tileset(folder)["root"]):
        document, binary = chunks_of((folder / tile["content"]["uri"]).read_bytes())
        assert document["asset"]["version"] == "2.0"
        assert document["extensionsUsed"] == document["extensionsRequired"] == EXTENSIONS
        assert document["buffers"] == [{"byteLength": len(binary)}]
        (node,) = document["nodes"]
        turn = np.array(node["matrix"]).reshape(4, 4).T  # column-major
        np.testing.assert_array_equal(turn @ [1, 2, 3, 1], [1, 3, -2, 1])
        (primitive,) = document["meshes"][node["mesh"]]["primitives"]
        assert primitive["mode"] == 0
        counts = {accessor["count"] for accessor in document["accessors"]}
        assert len(counts) == 1
        assert {"min", "max"} <= set(document["accessors"][primitive["attributes"]["POSITION"]])
        assert "KHR_gaussian_splatting:SH_DEGREE_2_COEF_4" in primitive["attributes"]
        assert "KHR_gaussian_splatting:SH_DEGREE_3_COEF_0" not in primitive["attributes"]
        assert all("bufferView" not in accessor for accessor in document["accessors"])


def test_leaves_hold_the_splat_and_levels_a_quarter_each(folder: Path, splat: Gaussians, tmp_path: Path) -> None:
    root = tileset(folder)["root"]
    leaves = [content(folder, tile, tmp_path) for tile in tiles(root) if "children" not in tile]
    np.testing.assert_allclose(np.concatenate([leaf.means for leaf in leaves]), splat.means, atol=1 / 4096)
    assert max(map(len, leaves)) == 64
    for tile in tiles(root):
        inside = content(folder, tile, tmp_path)
        low, high = bounds(tile["boundingVolume"]["box"])
        assert (inside.means >= low - 1e-3).all()
        assert (inside.means <= high + 1e-3).all()
        if "children" in tile:
            below = [len(content(folder, child, tmp_path)) for child in tile["children"]]
            assert len(inside) == sum(-(-count // 4) for count in below)
            # at a screen-space error of 16 pixels, the tile's Gaussians appear smaller than a pixel
            assert tile["geometricError"] >= 15 * np.median(np.exp(inside.scales.max(axis=1)))


def test_a_tile_announces_as_many_gaussians_as_it_holds(make_splat: MakeSplat, tmp_path: Path) -> None:
    """One that would make the positions of all others coarse is left out of both."""
    splat = make_splat(2000, 0)
    splat.means[7] = [1e5, 0, 0]
    write_tiles(tmp_path / "far", splat, ZURICH, (0.0, 0.0, 0.0), {}, lambda _share: None, antialiased=False)
    for tile in tiles(tileset(tmp_path / "far")["root"]):
        document, binary = chunks_of((tmp_path / "far" / tile["content"]["uri"]).read_bytes())
        (tmp_path / "content.spz").write_bytes(binary)
        announced = {accessor["count"] for accessor in document["accessors"]}
        assert announced == {len(read_splat(tmp_path / "content.spz").gaussians)}


def test_the_root_lies_where_the_scene_is_on_earth(folder: Path) -> None:
    transform = np.array(tileset(folder)["root"]["transform"]).reshape(4, 4).T
    to_earth = Transformer.from_pipeline(
        "+proj=pipeline +step +inv +proj=topocentric +ellps=WGS84 +lon_0=8.5306 +lat_0=47.3612 +h_0=466"
    )
    for east, north, up in ((0.0, 0.0, 0.0), (100.0, 0.0, 0.0), (0.0, 100.0, 0.0), (3.0, -40.0, 100.0)):
        expected = np.array(to_earth.transform(east, north, up))
        np.testing.assert_allclose((transform @ [east, north, up, 1])[:3], expected, atol=1e-6)


def test_what_was_subtracted_from_the_splat_is_put_back(make_splat: MakeSplat, tmp_path: Path) -> None:
    offset = (5000.0, -200.0, 30.0)
    write_tiles(tmp_path / "far", make_splat(20, 0), ZURICH, offset, {}, lambda _share: None, antialiased=False)
    root = tileset(tmp_path / "far")["root"]
    transform = np.array(root["transform"]).reshape(4, 4).T
    np.testing.assert_allclose(transform[:3, 3], (ZURICH.to_earth @ [*offset, 1])[:3], atol=1e-6)
    assert "children" not in root
    assert root["geometricError"] == 0
