"""Training and scoring over the ground and sky that the page draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from splat.camera import look_at
from splat.loss import Buffers, photometric_loss
from splat.surroundings import Surroundings, background
from tests.support.gaussians import gaussians_of
from tests.unit.trainer.synthetic import BOUNDLESS, make_scene
from trainer.backdrop import Backdrop
from trainer.dataset import load_scene
from trainer.optimise import Splats
from trainer.photo_store import PhotoStore
from trainer.schedule import Budget
from trainer.train import Trainer, draw

CPU = torch.device("cpu")
SURROUNDINGS = Surroundings(
    up=np.array([0.0, 0.0, 1.0]), ground=0.0, ceiling=1.0, haze=20.0,
    footprint=np.array([[-2, -2, 0], [2, -2, 0], [2, 2, 0], [-2, 2, 0]]),
    ground_colour=np.array([0.3, 0.4, 0.2]), horizon=np.array([0.8, 0.8, 0.85]), zenith=np.array([0.4, 0.6, 0.9]),
    sky_photographed=False,
)  # fmt: skip


def transparent(count: int = 3) -> Splats:
    gaussian = gaussians_of(
        means=np.zeros((count, 3)),
        quats=np.tile([1.0, 0, 0, 0], (count, 1)),
        scales=np.full((count, 3), -3.0),
        opacities=np.full(count, -12.0),
        sh0=np.zeros((count, 3)),
        shN=np.zeros((count, 15, 3)),
    )
    return Splats.of(gaussian, CPU)


@pytest.mark.parametrize("target", [(0, 0, 0), (3, 0, 1.5)])
def test_a_small_picture_of_it_enlarged_is_as_good_as_a_whole_one(target: tuple[float, float, float]) -> None:
    """Straight down, and with the horizon in the picture."""
    camera = look_at((0, -3, 2), target, (0, 0, 1), width=640, height=480)
    found = Backdrop(SURROUNDINGS).behind(camera, 640, 480, CPU).numpy()
    assert np.abs(found - background(SURROUNDINGS, camera)).max() < 0.04
    assert np.abs(found - background(SURROUNDINGS, camera)).mean() < 0.001


def test_it_follows_the_camera_and_the_size() -> None:
    backdrop = Backdrop(SURROUNDINGS)
    down = look_at((0, 0, 2), (0, 0, 0), (0, 1, 0), width=64, height=48)
    level = look_at((0, 0, 2), (0, 5, 2), (0, 0, 1), width=64, height=48)
    for camera, size in ((down, (64, 48)), (level, (64, 48)), (level, (32, 24))):
        found = backdrop.behind(camera, *size, CPU).numpy()
        assert found == pytest.approx(background(SURROUNDINGS, camera.resized(*size)), abs=0.03)


def test_what_is_transparent_shows_it_and_learns_from_it() -> None:
    camera = look_at((0, 0, 2), (0, 0, 0), (0, 1, 0), width=32, height=24)
    splats = transparent(1)
    splats.tensors["opacities"].fill_(1.0)
    seen = splats.seen_by(camera, 0)
    behind = torch.full((24, 32, 3), 0.9)
    image, _ = draw(seen, camera, 0, behind=behind)
    black, _ = draw(splats, camera, 0)
    assert image[0, 0].tolist() == pytest.approx([0.9] * 3)
    assert not black[0, 0].any()
    image.sum().backward()
    gradient = seen["opacities"].grad
    assert gradient is not None
    assert float(gradient[0]) < 0  # a grey Gaussian in front of bright ground darkens the picture


def test_photos_are_trained_on_and_scored_over_it(tmp_path: Path) -> None:
    make_scene(tmp_path, photos=5)
    scene, store = load_scene(tmp_path, 96), PhotoStore()
    trainer = Trainer(
        photos=scene.split("train")[:1], held_out=[], frame=scene.frame, store=store, budget=Budget(1, 96, 10),
        splats=transparent(), dropout=0.0, device=CPU, far=BOUNDLESS, backdrop=Backdrop(SURROUNDINGS),
    )  # fmt: skip
    photo = trainer.photos[0]
    expected = background(SURROUNDINGS, photo.camera)
    found = trainer.train_step(trainer.photos, 0)
    target = store.target(photo, photo.camera)
    assert found == pytest.approx(photometric_loss(expected, target, Buffers()).value, abs=0.01)
    trainer.splats = transparent()
    shown = trainer.render(photo, (photo.camera.width, photo.camera.height)).numpy()
    assert shown == pytest.approx(expected, abs=0.03)
