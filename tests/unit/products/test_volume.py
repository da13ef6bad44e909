"""Volumes over polygons, from the delivered files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyproj import Transformer

from products.cog import Georeference, write_heights
from products.volume import main

WEST, NORTH, CELL = 464_500.0, 5_245_450.0, 0.25


@pytest.fixture
def delivery(tmp_path: Path) -> Path:
    """A box of 20 by 10 m, 3 m high, on a floor at 466 m, 30 m east and south of the map's corner."""
    heights = np.full((400, 400), 466.0, np.float32)
    heights[120:160, 120:200] += 3
    heights[300:] = np.nan
    place = Georeference(WEST, NORTH, CELL, 32632, "UTM 32N")
    write_heights(tmp_path / "surface.tif", heights, place, 0.005)
    write_heights(tmp_path / "surface_sigma.tif", np.full_like(heights, 0.02), place, 0.01)
    return tmp_path


def polygon(path: Path, east: float, south: float, across: float, down: float) -> Path:
    """A rectangle in metres from the map's corner, as GeoJSON."""
    x, y = WEST + east, NORTH - south
    corners = [(x, y), (x + across, y), (x + across, y - down), (x, y - down), (x, y)]
    to_degrees = Transformer.from_crs(32632, 4326, always_xy=True)
    ring = [list(to_degrees.transform(*corner)) for corner in corners]
    feature = {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    return path


def test_a_box_has_its_volume_above_the_plane_round_it(delivery: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rim = polygon(delivery / "rim.geojson", 25.0, 25.0, 30.0, 20.0)
    assert main([str(delivery), str(rim)]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found["fill"] == pytest.approx(600, rel=0.01)
    assert found["cut"] == pytest.approx(0, abs=1)
    assert found["area"] == pytest.approx(600, rel=0.01)
    assert found["sigma"] == pytest.approx(12, rel=0.02)
    assert main([str(delivery), str(rim), "--base", "467"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["fill"] == pytest.approx(400, rel=0.01)
    assert found["cut"] == pytest.approx(400, rel=0.01)


def test_a_stretched_system_changes_no_volume(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Web Mercator's metre is 0.67 m at 48° north."""
    east, north = Transformer.from_crs(4326, 3857, always_xy=True).transform(8.5, 48.0)
    west, top, stretch = round(east), round(north), 1 / 0.6712
    heights = np.full((400, 400), 466.0, np.float32)
    heights[120:160, 120:200] += 3
    place = Georeference(west, top, CELL, 3857, "Web Mercator")
    write_heights(tmp_path / "surface.tif", heights, place, 0.005)
    write_heights(tmp_path / "surface_sigma.tif", np.full_like(heights, 0.02), place, 0.01)
    corners = [(west + x, top - y) for x, y in ((25, 25), (55, 25), (55, 45), (25, 45), (25, 25))]
    ring = [list(Transformer.from_crs(3857, 4326, always_xy=True).transform(*corner)) for corner in corners]
    (tmp_path / "rim.geojson").write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    assert main([str(tmp_path), str(tmp_path / "rim.geojson")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["area"] == pytest.approx(600 / stretch**2, rel=0.01)
    assert found["fill"] == pytest.approx(600 / stretch**2, rel=0.01)


def test_a_feature_without_a_geometry_is_passed_over(delivery: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """RFC 7946, 3.2: an unlocated feature has a null geometry."""
    rim = polygon(delivery / "rim.geojson", 25.0, 25.0, 30.0, 20.0)
    document = json.loads(rim.read_text())
    document["features"].insert(0, {"type": "Feature", "properties": {}, "geometry": None})
    rim.write_text(json.dumps(document))
    assert main([str(delivery), str(rim)]) == 0
    assert json.loads(capsys.readouterr().out)["area"] == pytest.approx(600, rel=0.01)


@pytest.mark.parametrize(
    ("place", "words"), [((500.0, 500.0), "outside"), ((25.0, 60.0), "covers")], ids=["beyond", "half known"]
)
def test_a_polygon_outside_is_refused_by_code(
    delivery: Path, place: tuple[float, float], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rim = polygon(delivery / "rim.geojson", *place, 30.0, 30.0)
    assert main([str(delivery), str(rim)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("INVALID_OPTION: ")
    assert words in said


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"type": "Point", "coordinates": [1, 2]}', '{"features": [1]}'])
def test_what_is_no_polygon_is_refused_by_code(
    delivery: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (delivery / "a.geojson").write_text(content)
    assert main([str(delivery), str(delivery / "a.geojson")]) == 1
    assert "a.geojson holds no GeoJSON polygon" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, b"no picture"], ids=["missing", "damaged"])
def test_without_a_surface_model_it_is_refused_by_code(
    delivery: Path, content: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """A preview has none, nor does a scene without a georeference."""
    rim = polygon(delivery / "rim.geojson", 25.0, 25.0, 30.0, 20.0)
    (delivery / "surface.tif").unlink()
    if content is not None:
        (delivery / "surface.tif").write_bytes(content)
    assert main([str(delivery), str(rim)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("INVALID_OPTION: surface.tif is not in")
    assert "standard or high" in said
