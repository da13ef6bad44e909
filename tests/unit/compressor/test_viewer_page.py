"""The page that opens the SOG, as text; tests/integration/test_viewer.py opens it in a browser."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from compressor.deliver.limits import Limits
from compressor.deliver.viewer import Journey, Page, rotate, settings, upright_rotation, write_page
from splat.surroundings import Surroundings
from tests.support.splats import village_surroundings

JOURNEY = Journey([(3, 0, 1), (0, 3, 1), (-3, 0, 1)], (0, 0, 1), 50, seconds=30)
LIMITS = Limits(nearest=0.5, farthest=9, lowest=20, clearance=0.7, margin=2)


@pytest.fixture(scope="module")
def surroundings() -> Surroundings:
    return village_surroundings(np.array([0.0, 0.0, 1.0]))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "viewer.js").write_text("var Supersplat = { cost: '$5' };")
    (folder / "viewer.css").write_text(".viewer {}")
    (folder / "LICENSE").write_text("Permission is granted -- to all")
    return folder


@given(arrays(np.float64, 3, elements=st.floats(-1, 1)).filter(lambda up: np.linalg.norm(up) > 1e-3))
def test_up_turns_to_the_viewers_y(up: np.ndarray) -> None:
    rotation = upright_rotation(up)
    assert np.linalg.norm(rotation) == pytest.approx(1)
    assert np.allclose(rotate(rotation, up / np.linalg.norm(up)), (0, 1, 0), atol=1e-6)


def test_a_y_down_scene_is_turned_as_every_viewer_turns_it() -> None:
    assert rotate(upright_rotation((0, -1, 0)), (1, 2, 3)) == pytest.approx([-1, -2, 3])


def test_settings_turn_the_whole_journey() -> None:
    found = settings(upright_rotation((0, 0, 1)), JOURNEY, (0, 0, 0))
    assert found["cameras"][0]["initial"]["position"] == pytest.approx([3, 1, 0])
    assert found["cameras"][0]["initial"]["target"] == pytest.approx([0, 1, 0])
    frames = found["animTracks"][0]["keyframes"]
    assert frames["times"] == [0, 10, 20]
    assert frames["values"]["position"][3:6] == pytest.approx([0, 1, -3])
    assert len(frames["values"]["target"]) == 9


def test_the_page_holds_everything_and_escapes_the_name(
    bundle: Path, tmp_path: Path, surroundings: Surroundings
) -> None:
    page_file = tmp_path / "index.html"
    sog = bytes(range(256)) * 3
    poster = b"\xff\xd8 poster"
    content = Page("Tom & <script>", JOURNEY, surroundings, LIMITS, poster, True, {"scene.ply": 1_000_000})
    write_page(page_file, bundle, sog, content)
    page = page_file.read_text()
    assert "<title>Tom &amp; &lt;script&gt;</title>" in page
    assert "var Supersplat = { cost: '$5' };" in page
    payload = re.search(r'id="splat">([^<]*)</script>', page)
    assert payload is not None
    assert base64.b64decode(payload[1]) == sog
    presentation = re.search(r'id="presentation">(.*?)</script>', page)
    assert presentation is not None
    shown = json.loads(presentation[1])
    assert shown["settings"]["annotations"] == []
    assert shown["title"] == "Tom & <script>"
    assert shown["metric"] is True
    assert shown["target"] == pytest.approx([0, 1, 0])
    assert shown["limits"] == {"nearest": 0.5, "farthest": 9, "lowest": 20, "clearance": 0.7, "margin": 2}
    # the splat's z is the viewer's y, the splat's y its -z
    assert shown["surroundings"]["footprint"] == pytest.approx(surroundings.footprint[:, :2] * (1, -1))
    assert shown["surroundings"]["ground"] == surroundings.ground
    assert shown["settings"]["background"]["color"] == surroundings.horizon.tolist()
    assert shown["downloads"] == {"ply": {"path": "../scene.ply", "bytes": 1_000_000}}
    assert f"url('data:image/jpeg;base64,{base64.b64encode(poster).decode()}')" in page
    assert not re.search(r"""\s(src|href)\s*=\s*["']""", page)
    # the licence is in a comment, which two dashes would end
    assert "Permission is granted - - to all" in page


@pytest.mark.parametrize(
    "title", ["<!--<script>", "</script><script>alert(1)</script>", "<!--", "\u2028'\"\\", "$title", "x\x00y"]
)
def test_no_name_of_a_scene_breaks_the_page(
    bundle: Path, tmp_path: Path, surroundings: Surroundings, title: str
) -> None:
    page_file = tmp_path / "index.html"
    write_page(page_file, bundle, b"", Page(title, JOURNEY, surroundings, LIMITS))
    presentation = re.search(r'id="presentation">(.*?)</script>', page_file.read_text(), re.DOTALL)
    assert presentation is not None
    assert "<" not in presentation[1]  # no `<`, so the HTML parser sees no tag in any state
    assert json.loads(presentation[1])["title"] == title


def test_a_viewer_that_was_not_built_is_an_error_not_a_broken_page(tmp_path: Path, surroundings: Surroundings) -> None:
    with pytest.raises(FileNotFoundError):
        write_page(tmp_path / "index.html", tmp_path / "nothing", b"", Page("x", JOURNEY, surroundings, LIMITS))
    assert not (tmp_path / "index.html").exists()
