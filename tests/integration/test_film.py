"""A film of the sample through sfm, against the truth: cameras stand where the drone flew, as with photos.

The film is one orbit around the house, in a ZIP as on the drone's memory card, with its `.SRT` file. Photos reach 0.1
% of the scene's span (tests/e2e/test_sample.py).
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap
import pytest
from numpy.typing import NDArray

from contract.warning_codes import WarningCode
from sample.film import Take, camera_on_round, positions, subtitles, write_film
from sample.flight import Lens, Plan, ground_half, texel_for
from sample.lighting import afternoon
from sample.property import build_property
from sample.render import photograph
from sample.scene import illuminate
from sfm.stage import reconstruct_scene
from stage.contract import run_stage

TAKE = Take.steady(480, 12.0, 4.0)
GPS_SIGMA = (0.3, 0.3, 0.5)  # metres
FILM = "DCIM/DJI_0001.MP4"


@pytest.fixture(scope="module")
def flown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """sfm's output, and the terrain that was filmed."""
    folder = tmp_path_factory.mktemp("film")
    lens = Lens()
    scenery = build_property(ground_half(Plan(20), lens), 0)
    scene = illuminate(scenery, afternoon(), texel_for(TAKE.width))

    def picture(seconds: float) -> NDArray[np.uint8]:
        return photograph(scene, camera_on_round(TAKE, seconds, scenery.terrain, lens))

    write_film(folder / "film.mp4", TAKE, picture)
    believed = positions(TAKE, scenery.terrain, lens, GPS_SIGMA, seed=0)
    upload = folder / "ml" / "processing" / "input" / "upload"
    upload.mkdir(parents=True)
    with zipfile.ZipFile(upload / "upload.zip", "w") as archive:
        archive.write(folder / "film.mp4", FILM)
        archive.writestr("DCIM/DJI_0001.SRT", subtitles(TAKE, believed, lens))
    root = folder / "ml"
    code = run_stage("sfm", lambda folders: folders.processing_output, reconstruct_scene, {"ML_ROOT": str(root)})
    assert code == 0, (root / "output" / "message").read_text()
    return root / "processing" / "output", scenery.terrain


def rows(output: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((output / "photos.json").read_text())
    return found


def centres(flown: tuple[Path, Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(N, 3) camera centres of the model, and the true ones."""
    output, terrain = flown
    seconds = {row["name"]: row["seconds"] for row in rows(output)}
    images = pycolmap.Reconstruction(output / "sparse" / "0").images.values()
    found = {image.name: image.projection_center() for image in images}
    names = sorted(found)
    known = [camera_on_round(TAKE, seconds[name], terrain, Lens()).centre for name in names]
    return np.array([found[name] for name in names]), np.array(known)


def test_every_frame_has_a_place(flown: tuple[Path, Any]) -> None:
    output, _ = flown
    assert len(rows(output)) >= 25
    assert all(row["registered"] and row["film"] == FILM for row in rows(output))


def test_the_frames_cover_the_round_from_end_to_end(flown: tuple[Path, Any]) -> None:
    moments = [row["seconds"] for row in rows(flown[0])]
    assert set(moments) <= {round(seconds, 3) for seconds in TAKE.times}
    assert min(moments) < 1
    assert max(moments) > TAKE.times[-1] - 1


def test_the_cameras_stand_where_the_drone_flew(flown: tuple[Path, Any]) -> None:
    found, known = centres(flown)
    similarity = pycolmap.estimate_sim3d(found, known)
    errors = np.linalg.norm([similarity * centre for centre in found] - known, axis=1)
    assert np.sqrt((errors**2).mean()) < 0.001 * np.linalg.norm(np.ptp(known, axis=0))


def test_the_subtitles_give_the_scene_its_scale_and_place(flown: tuple[Path, Any]) -> None:
    found, known = centres(flown)
    similarity = pycolmap.estimate_sim3d(found, known)
    assert similarity is not None
    assert similarity.scale == pytest.approx(1.0, abs=0.01)
    georeference = json.loads((flown[0] / "georeference.json").read_text())
    assert georeference["georeferenced"]
    assert georeference["rms_metres"] < 0.3
    warnings = {warning["code"] for warning in json.loads((flown[0] / "result.json").read_text())["warnings"]}
    assert WarningCode.NOT_GEOREFERENCED not in warnings
