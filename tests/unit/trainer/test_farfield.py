"""The far field: Gaussians in the air are moved along their ray to where scenery can be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from splat.camera import look_at
from splat.footprint import footprint_of
from splat.surroundings import Surroundings
from tests.support.gaussians import gaussians_of
from tests.support.gsplat_on_cpu import gsplat_on_cpu
from tests.unit.trainer.synthetic import BOUNDLESS, make_scene
from tests.unit.trainer.test_trainer_stage import run
from trainer import stage as trainer_stage
from trainer.dataset import Frame, Scene, load_scene
from trainer.farfield import MAX_DISTANCE, FarField
from trainer.gpu.optimise import DeviceSplats
from trainer.gpu.training import DeviceTrainer
from trainer.initialise import seed_points
from trainer.optimise import Splats
from trainer.photo_store import PhotoStore
from trainer.schedule import Budget
from trainer.stage import train_scene
from trainer.train import Trainer

CPU = torch.device("cpu")
UP = np.array([0.0, 0.0, 1.0])
SQUARE = np.array([[1.0, 1, 0], [-1, 1, 0], [-1, -1, 0], [1, -1, 0]])
NOTHING_KNOWN = np.full((1, 3), 1e6)
FAR = FarField(UP, 0.25, 0.25, SQUARE, NOTHING_KNOWN)
EYE = np.array([-1.0, 0, 0.75])


def splats_at(means: Any) -> Splats:
    rng = np.random.default_rng(0)
    count = len(means)
    return Splats.of(
        gaussians_of(
            means=np.asarray(means, np.float64),
            quats=rng.normal(size=(count, 4)),
            scales=np.log(rng.uniform(0.01, 0.05, (count, 3))),
            opacities=np.zeros(count),
            sh0=rng.uniform(-1, 1, (count, 3)),
            shN=np.zeros((count, 0, 3)),
        ),
        CPU,
    )


def test_only_what_is_high_and_beside_the_photographed_part_is_moved() -> None:
    points = np.array([[2.0, 0, 0.3], [2, 0, 0.2], [0.5, 0, 0.3], [0, -1.1, 0.26], [0, 0, 9]])
    assert FAR.beside(points).tolist() == [True, False, False, True, False]


def test_what_no_point_is_near_lies_where_scenery_usually_does_and_the_rest_below_the_ceiling() -> None:
    far = FarField(UP, 0.5, 0.1, SQUARE, np.array([[3.0, 0, 0.3], [0, 0, 0.3]]))
    points = np.array([[3.1, 0, 0.3], [3.5, 0, 0.3], [3.1, 0, 0.55], [0.5, 0, 0.3], [3.5, 0, 0.05]])
    eyes = np.tile([-1.0, 0, 1.0], (len(points), 1))
    assert far.limits(points, eyes).tolist() == [0.5, 0.1, 0.1, 0.5, 0.5]
    lowered = eyes + far.factors(points, eyes)[:, None] * (points - eyes)
    np.testing.assert_allclose(lowered[:, 2], [0.3, 0.1, 0.1, 0.3, 0.05])


def test_the_farther_from_the_camera_the_farther_from_it_a_point_makes_known() -> None:
    far = FarField(UP, 0.5, 0.1, SQUARE, np.array([[3.0, 0, 0.3]]))
    point = np.array([[3.3, 0, 0.3]])
    near, distant = (far.limits(point, np.array([[eye, 0, 1.0]])) for eye in (-2.0, -4.0))
    assert (near.tolist(), distant.tolist()) == ([0.1], [0.5])


def test_further_known_points_keep_what_is_near_them_at_its_height() -> None:
    far = FarField(UP, 0.5, 0.1, SQUARE, np.array([[3.0, 0, 0.3]]))
    points, eyes = np.array([[3.0, 0, 0.3], [3.0, 2, 0.3]]), np.tile([-1.0, 0, 1.0], (2, 1))
    assert far.limits(points, eyes).tolist() == [0.5, 0.1]
    assert far.knowing(points[1:]).limits(points, eyes).tolist() == [0.5, 0.5]


def test_a_ray_that_falls_is_followed_down_to_the_limit() -> None:
    points = np.array([[1.5, 0, 0.5], [1.5, 0, 0.25], [1.5, 0, 0.1], [1.5, 0, 0.75], [1.5, 0, 0.9], [1.5, 0, 0.74]])
    factors = FAR.factors(points, np.tile(EYE, (len(points), 1)))
    assert factors[:3].tolist() == pytest.approx([2, 1, 1])
    away = factors * np.linalg.norm(points - EYE, axis=1)
    assert away[3:].tolist() == pytest.approx([MAX_DISTANCE] * 3)


def test_a_low_camera_looks_up_to_what_is_far() -> None:
    point, eye = np.array([[3.0, 0, 0.4]]), np.array([[2.0, 0, 0.1]])
    away = FAR.factors(point, eye) * np.linalg.norm(point - eye)
    assert away.tolist() == pytest.approx([MAX_DISTANCE])


@given(st.integers(0, 10_000))
def test_the_picture_of_the_nearest_camera_stays_and_a_second_time_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cameras = [
        look_at(EYE, (1, 0, 0.3), UP, width=64, height=48),
        look_at((-3, 0, 0.8), (1, 0, 0), width=64, height=48),
    ]
    splats = splats_at(rng.uniform((0, -1, 0), (5, 1, 0.7), (40, 3)))
    before = {name: values.clone() for name, values in splats.tensors.items()}
    points = before["means"].numpy().astype(np.float64)
    high = FAR.beside(points)
    pixels, depths = cameras[0].project(points)
    seen = cameras[0].contains(pixels, depths)
    FAR.carry_out(splats, cameras)
    moved = splats["means"].numpy().astype(np.float64)
    again, farther = cameras[0].project(moved)
    assert not FAR.beside(moved[seen & (np.linalg.norm(moved - EYE, axis=1) < MAX_DISTANCE - 1e-3)]).any()
    np.testing.assert_allclose(again[seen], pixels[seen], atol=1e-2)
    grown = np.exp((splats["scales"] - before["scales"]).numpy())
    np.testing.assert_allclose(grown[seen], (farther / depths)[seen, None].repeat(3, axis=1), rtol=1e-4)
    assert (moved[~high] == points[~high]).all()
    once = {name: values.clone() for name, values in splats.tensors.items()}
    FAR.carry_out(splats, cameras)
    for name, values in splats.tensors.items():
        torch.testing.assert_close(values, once[name], atol=2e-4, rtol=1e-4)


def test_what_no_camera_sees_stays() -> None:
    splats = splats_at([[3.0, 0, 0.5]])
    before = {name: values.clone() for name, values in splats.tensors.items()}
    FAR.carry_out(splats, [look_at(EYE, (-5, 0, 0), UP, width=64, height=48)])
    for name, values in splats.tensors.items():
        assert torch.equal(values, before[name]), name


def surroundings(ceiling: float) -> Surroundings:
    grey = np.full(3, 0.5)
    return Surroundings(UP, 100.0, ceiling, 50.0, 10 * SQUARE + (200, 0, 100), grey, grey, grey, sky_photographed=False)


def test_it_is_found_in_the_frame_of_training() -> None:
    frame = Frame(np.array([200.0, 0, 100]), 10.0)
    low = np.tile([200.0, 0, 101], (1000, 1))
    far = FarField.of(surroundings(105.0), low, frame)
    assert (far.ceiling, far.level) == pytest.approx((0.5, 0.1))
    np.testing.assert_allclose(far.points[0], [0, 0, 0.1], atol=1e-12)
    np.testing.assert_allclose(far.corners, SQUARE, atol=1e-12)


def test_hills_that_were_triangulated_are_scenery() -> None:
    frame = Frame(np.array([200.0, 0, 100]), 10.0)
    points = np.tile([200.0, 0, 101], (1000, 1))
    points[:100, 2] = 120
    far = FarField.of(surroundings(105.0), points, frame)
    assert (far.ceiling, far.level) == pytest.approx((2.0, 0.1))


def test_in_a_wood_the_treetops_are_what_scenery_usually_is() -> None:
    frame = Frame(np.array([200.0, 0, 100]), 10.0)
    points = np.tile([200.0, 0, 101], (1000, 1))
    points[:300, 2] = 104
    assert FarField.of(surroundings(105.0), points, frame).level == pytest.approx(0.4)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("scene")
    make_scene(folder, photos=5)
    return load_scene(folder, 48)


def test_no_guessed_seed_hangs_in_the_air(scene: Scene) -> None:
    cameras = [photo.camera for photo in scene.photos]
    ceiling = footprint_of(scene.positions, cameras, UP).ceiling
    height = (ceiling - scene.frame.centre[2] - 0.1) / scene.frame.scale
    low = FarField(UP, height, height, SQUARE, NOTHING_KNOWN)
    guessed = slice(len(scene.positions), None)
    as_found = seed_points(scene, PhotoStore(), 5000, BOUNDLESS).positions[guessed]
    assert (as_found[:, 2] > low.ceiling + 0.01).any()
    assert (seed_points(scene, PhotoStore(), 5000, low).positions[guessed][:, 2] < low.ceiling + 0.01).all()


@pytest.fixture
def _gsplat() -> Iterator[None]:
    with gsplat_on_cpu():
        yield


@pytest.mark.usefixtures("_gsplat")
@pytest.mark.parametrize("device", [False, True], ids=["cpu", "device"])
def test_training_carries_out_what_hangs_in_the_air(scene: Scene, *, device: bool) -> None:
    """A splat of Gaussians over a photographed part of size zero, below a ceiling far beneath the ground."""
    photos, budget = scene.split("train"), Budget(12, 48, 60, sh_degree=0)
    splats = splats_at(scene.frame.points(scene.positions)[:50])
    far = FarField(UP, -1.0, -1.0, 1e-6 * SQUARE, NOTHING_KNOWN)
    trainer: Trainer | DeviceTrainer
    if device:
        on_device = DeviceSplats(dict(splats.tensors))
        trainer = DeviceTrainer(photos, [], scene.frame, budget, on_device, 0.0, far, 1 << 30)
    else:
        trainer = Trainer(photos, [], scene.frame, PhotoStore(), budget, splats, 0.0, CPU, far)
    trainer.run(lambda _progress: True)
    assert float(trainer.splats["means"][:, 2].max()) < -0.9


def noted(asked: list[str], name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def called(*arguments: Any) -> Any:
        asked.append(name)
        return original(*arguments)

    return called


@pytest.mark.usefixtures("_gsplat")
@pytest.mark.parametrize("on_gpu", [False, True], ids=["cpu", "gpu"])
def test_the_stage_seeds_and_trains_by_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, on_gpu: bool) -> None:
    asked: list[str] = []
    monkeypatch.setattr(FarField, "factors", noted(asked, "factors", FarField.factors))
    monkeypatch.setattr(FarField, "knowing", noted(asked, "knowing", FarField.knowing))
    monkeypatch.setattr(FarField, "carry_out", noted(asked, "carry_out", FarField.carry_out))
    monkeypatch.setattr(trainer_stage, "draws_on_gpu", lambda _device: on_gpu)
    make_scene(tmp_path / "scene", photos=5)
    options = {"TRAINING_STEPS": "12", "MAX_GAUSSIANS": "150"}
    assert run(tmp_path / "run", tmp_path / "scene", train_scene, **options) == 0
    assert asked[0] == "factors"
    assert asked.index("knowing") < asked.index("carry_out")
