"""Masks: what they hide is neither learnt, nor seeded, nor compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from splat.loss import Target
from stage.errors import ErrorCode, StageError
from tests.unit.trainer.synthetic import HEIGHT, WIDTH, make_scene
from trainer.dataset import PhotoStore, load_scene
from trainer.evaluate import render_photo, score
from trainer.initialise import from_seeds, seed_points
from trainer.loss import Photometric, seen_only
from trainer.optimise import Splats


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """The left half of every photo is hidden, and covered with red."""
    make_scene(tmp_path)
    (tmp_path / "masks").mkdir()
    mask = np.full((HEIGHT, WIDTH), 255, np.uint8)
    mask[:, : WIDTH // 2] = 0
    for path in (tmp_path / "images").iterdir():
        picture = np.asarray(Image.open(path)).copy()
        picture[:, : WIDTH // 2] = (255, 0, 0)
        Image.fromarray(picture).save(path)
        Image.fromarray(mask).save(tmp_path / "masks" / f"{path.name}.png")
    return tmp_path


def test_hidden_pixels_have_no_gradient() -> None:
    rng = np.random.default_rng(0)
    image = torch.tensor(rng.random((40, 50, 3)), dtype=torch.float32, requires_grad=True)
    mask = np.ones((40, 50), bool)
    mask[:, :20] = False
    target = Target.of(rng.random((40, 50, 3)).astype(np.float32))
    Photometric()(seen_only(image, target, mask), target).backward()
    assert image.grad is not None
    assert image.grad[:, :20].abs().max() == 0
    assert image.grad[:, 20:].abs().min() > 0


def test_masks_follow_the_pictures_size(scene: Path) -> None:
    photo = load_scene(scene, 2000).photos[0]
    store = PhotoStore()
    for factor in (1.0, 0.5, 0.25):
        camera = photo.camera.scaled(factor)
        mask = store.mask(photo, camera)
        assert mask is not None
        assert mask.shape == (camera.height, camera.width)
        assert mask.mean() == pytest.approx(0.5)


def test_hidden_places_are_not_compared(scene: Path) -> None:
    loaded = load_scene(scene, 2000)
    store = PhotoStore()
    splats = Splats.of(from_seeds(seed_points(loaded, store, 900), 0), torch.device("cpu"))
    photo = loaded.photos[3]
    image = render_photo(splats, loaded.frame, photo, 0)
    target, everywhere = store.target(photo, photo.camera), np.ones(image.shape[:2], np.bool_)
    hidden = score(photo.name, image, target, store.mask(photo, photo.camera), everywhere, np.ones(3))
    seen = score(photo.name, image, target, None, everywhere, np.ones(3))
    assert hidden.psnr > seen.psnr + 1  # the red half is not in the splat


def test_nothing_is_seeded_where_a_mask_hides(scene: Path) -> None:
    seeds = seed_points(load_scene(scene, 2000), PhotoStore(), 5000)
    assert not (seeds.colours == (1.0, 0.0, 0.0)).all(axis=1).any()


def test_a_mask_of_another_size_is_refused(scene: Path) -> None:
    Image.new("L", (10, 10)).save(scene / "masks" / "000003.png.png")
    with pytest.raises(StageError, match=r"000003\.png\.png has 10 by 10") as caught:
        load_scene(scene, 2000)
    assert caught.value.code is ErrorCode.INVALID_SCENE
