"""Masks: what they hide is neither trained on, nor seeded, nor compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from contract.warning_codes import WarningCode
from splat.loss import Target
from tests.unit.trainer.synthetic import BOUNDLESS, HEIGHT, WIDTH, make_scene
from trainer.dataset import load_scene
from trainer.evaluate import score
from trainer.initialise import from_seeds, seed_points
from trainer.loss import Photometric, seen_only
from trainer.optimise import Splats
from trainer.photo_store import PhotoStore
from trainer.train import draw


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """The left half of every photo is masked, and painted red."""
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
    splats = Splats.of(from_seeds(seed_points(loaded, store, 900, BOUNDLESS), 0), torch.device("cpu"))
    photo = loaded.photos[3]
    image = draw(splats, loaded.frame.camera(photo.camera), 0)[0].detach().numpy().clip(0, 1)
    target, everywhere = store.target(photo, photo.camera), np.ones(image.shape[:2], np.bool_)
    hidden = score(photo.name, image, target, store.mask(photo, photo.camera), everywhere, np.ones(3))
    seen = score(photo.name, image, target, None, everywhere, np.ones(3))
    assert hidden.psnr > seen.psnr + 1  # the red half is not in the splat


def test_nothing_is_seeded_where_a_mask_hides(scene: Path) -> None:
    seeds = seed_points(load_scene(scene, 2000), PhotoStore(), 5000, BOUNDLESS)
    assert not (seeds.colours == (1.0, 0.0, 0.0)).all(axis=1).any()


def test_a_photo_whose_mask_has_another_shape_is_left_out(scene: Path) -> None:
    Image.new("L", (10, 10)).save(scene / "masks" / "000003.png.png")
    loaded = load_scene(scene, 2000)
    assert "000003.png" not in [photo.name for photo in loaded.photos]
    assert [warning.code for warning in loaded.warnings] == [WarningCode.PHOTOS_SKIPPED]
    assert "000003.png.png has 10 by 10" in loaded.warnings[0].names[0]


def test_a_mask_may_be_named_by_the_photos_stem(scene: Path) -> None:
    for path in (scene / "masks").iterdir():
        path.rename(path.with_name(path.name.removesuffix(".png")))
    loaded = load_scene(scene, 2000)
    mask = PhotoStore().mask(loaded.photos[0], loaded.photos[0].camera)
    assert mask is not None
    assert mask.mean() == pytest.approx(0.5)
    assert loaded.warnings == []


def test_masks_of_no_photo_are_reported(scene: Path) -> None:
    for path in (scene / "masks").iterdir():
        path.rename(path.with_name(f"mask_{path.name}"))
    loaded = load_scene(scene, 2000)
    assert [warning.code for warning in loaded.warnings] == [WarningCode.MASKS_UNUSED]


def test_what_is_transparent_in_a_photo_is_hidden(tmp_path: Path) -> None:
    make_scene(tmp_path)
    path = tmp_path / "images" / "000001.png"
    picture = Image.open(path).convert("RGBA")
    alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    alpha[: HEIGHT // 2] = 0
    picture.putalpha(Image.fromarray(alpha))
    picture.save(path)
    loaded, store = load_scene(tmp_path, 2000), PhotoStore()
    mask = store.mask(loaded.photos[0], loaded.photos[0].camera)
    assert mask is not None
    assert not mask[: HEIGHT // 2].any()
    assert mask[HEIGHT // 2 :].all()
    assert store.mask(loaded.photos[1], loaded.photos[1].camera) is None


@pytest.mark.parametrize("white", [1, 255, 65535])
def test_a_mask_is_read_by_its_own_range(scene: Path, white: int) -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.uint16 if white > 255 else np.uint8)
    mask[:, WIDTH // 2 :] = white
    Image.fromarray(mask).save(scene / "masks" / "000001.png.png")
    photo = load_scene(scene, 2000).photos[0]
    shown = PhotoStore().mask(photo, photo.camera)
    assert shown is not None
    assert shown[:, WIDTH // 2 :].all()
    assert not shown[:, : WIDTH // 2].any()


def test_a_white_mask_of_16_bits_hides_nothing(scene: Path) -> None:
    Image.fromarray(np.full((HEIGHT, WIDTH), 65535, np.uint16)).save(scene / "masks" / "000001.png.png")
    photo = load_scene(scene, 2000).photos[0]
    mask = PhotoStore().mask(photo, photo.camera)
    assert mask is not None
    assert mask.all()
