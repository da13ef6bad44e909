"""The number of photos that see each place on the ground, compared with what simple flights must give."""

from __future__ import annotations

import numpy as np
import pycolmap
import pytest

from sfm.overlap import footprint, overlap_map

# 800 × 600 pixels at focal length 400 from 20 m: 40 × 30 m of ground
WIDTH, HEIGHT, FOCAL, ALTITUDE = 800, 600, 400.0, 20.0


def flight(centres: list[tuple[float, float]], pitch_degrees: float = -90.0) -> pycolmap.Reconstruction:
    """Photos with north up at `centres` (east, north), over points on flat ground."""
    model = pycolmap.Reconstruction()
    camera = pycolmap.Camera.create_from_model_name(1, "SIMPLE_PINHOLE", FOCAL, WIDTH, HEIGHT)
    model.add_camera_with_trivial_rig(camera)
    pitch = np.deg2rad(pitch_degrees)
    forward = np.array([0.0, np.cos(pitch), np.sin(pitch)])
    right = np.array([1.0, 0.0, 0.0])
    rotation = np.stack([right, np.cross(forward, right), forward])
    for index, (east, north) in enumerate(centres, start=1):
        pose = pycolmap.Rigid3d(pycolmap.Rotation3d(rotation), -rotation @ [east, north, ALTITUDE])
        image = pycolmap.Image(name=f"{index}.jpg", camera_id=1, image_id=index)
        model.add_image_with_trivial_frame(image, pose)
    for east, north in np.random.default_rng(1).uniform([-30, -20], [50, 20], (3000, 2)):
        model.add_point3D(np.array([east, north, 0.0]), pycolmap.Track(), np.zeros(3, np.uint8))
    return model


def test_a_photo_straight_down_shows_its_rectangle() -> None:
    model = flight([(3.0, -2.0)])
    outline = footprint(model.image(1), model.camera(1))
    assert outline is not None
    np.testing.assert_allclose(outline.min(axis=0), [3 - 20, -2 - 15], atol=1e-9)
    np.testing.assert_allclose(outline.max(axis=0), [3 + 20, -2 + 15], atol=1e-9)


def test_an_oblique_photo_shows_what_lies_ahead_and_stays_finite() -> None:
    model = flight([(0.0, 0.0)], pitch_degrees=-30.0)  # its upper edge is above the horizon
    outline = footprint(model.image(1), model.camera(1))
    assert outline is not None
    assert outline[:, 1].min() == pytest.approx(ALTITUDE / np.tan(np.deg2rad(30) + np.arctan(300 / FOCAL)), rel=1e-6)
    assert np.linalg.norm(outline, axis=1).max() < 10 * ALTITUDE


def test_a_photo_that_looks_up_shows_no_ground() -> None:
    model = flight([(0.0, 0.0)], pitch_degrees=60.0)
    assert footprint(model.image(1), model.camera(1)) is None


def test_counts_add_up_where_photos_overlap() -> None:
    overlap = overlap_map(flight([(0.0, 0.0), (20.0, 0.0)]))

    def at(east: float, north: float) -> int:
        row, column = int((overlap.north - north) / overlap.cell), int((east - overlap.west) / overlap.cell)
        return int(overlap.counts[row, column])

    assert [at(-10, 5), at(10, 5), at(30, 5), at(10, 18), at(48, 0)] == [1, 2, 1, 0, 0]
    # 60 × 30 m are seen, 20 × 30 m of it twice
    assert overlap.mean == pytest.approx(80 / 60, rel=0.02)
    assert overlap.enough_share == 0
    assert overlap_map(flight([(0.0, 0.0)] * 4)).enough_share == 1
