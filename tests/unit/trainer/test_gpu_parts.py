"""The parts of the GPU's training loop one by one: loss, schedule, cost, growth by relocation, photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.options import Quality
from splat.camera import look_at
from splat.culling import in_view
from splat.loss import Buffers, Target, photometric_loss
from splat.projection import packed
from stage.environment import Options
from stage.errors import StageError
from tests.support.gaussians import gaussians_of
from tests.support.gsplat_on_cpu import gsplat_on_cpu
from tests.support.tensors import gradient
from tests.unit.trainer.synthetic import BEHIND, BOUNDLESS, PlainBackdrop, make_scene
from trainer.dataset import Frame, Known, Photo, load_scene
from trainer.gpu import cost, schedule
from trainer.gpu.loss import photometric
from trainer.gpu.optimise import DeviceSplats
from trainer.gpu.photos import Backgrounds, Pictures
from trainer.gpu.shots import Shots, rows_in_view
from trainer.gpu.strategy import MAX_SHARES, Relocation, shared
from trainer.gpu.training import DeviceTrainer
from trainer.initialise import from_seeds, seed_points
from trainer.optimise import LEARNING_RATES, Seen, Splats
from trainer.photo_store import PhotoStore
from trainer.schedule import Budget, Flight, budget, preset_of

CPU = torch.device("cpu")
HERE = Frame(np.zeros(3), 1.0)
steps = st.integers(200, 40_000)


@pytest.mark.parametrize("size", [(24, 30), (7, 9)])
def test_the_loss_and_its_gradient_are_the_cpus(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((2, *size, 3)).astype(np.float32)
    fused = photometric_loss(x, Target.of(y), Buffers())
    image = torch.tensor(x, requires_grad=True)
    loss = photometric(image, torch.tensor(y).permute(2, 0, 1))
    (2 * loss).backward()
    assert float(loss.detach()) == pytest.approx(fused.value, abs=1e-6)
    np.testing.assert_allclose(gradient(image).numpy(), 2 * fused.gradient, atol=2e-6)


def test_the_rows_in_view_are_the_cpus() -> None:
    rng = np.random.default_rng(5)
    means = rng.normal(0, 3, (3000, 3)).astype(np.float32)
    scales = rng.normal(-3, 1.5, (3000, 3)).astype(np.float32)
    cameras = [
        look_at((0.5, -1, 3), (0, 0.2, 0), width=90, height=50),
        look_at((3, 0, 0), (0, 0, 0), width=60, height=60),
    ]
    photos = [Photo(str(number), Path(), camera, "train") for number, camera in enumerate(cameras)]
    shots = [Shots(photos, HERE, CPU).of(photo, 1.0) for photo in photos]
    found = rows_in_view(shots, torch.from_numpy(means), torch.from_numpy(scales))
    for rows, camera in zip(found, cameras, strict=True):
        expected = set(in_view(means, scales, packed(camera), camera.width, camera.height))
        assert len(expected ^ set(rows.tolist())) <= 0.01 * len(expected)


@given(total=steps)
def test_pictures_only_grow_and_are_whole_for_the_second_half(total: int) -> None:
    walk = range(0, total, max(1, total // 50))
    factors = [schedule.picture_factor(step, total) for step in walk]
    assert factors == sorted(factors)
    assert set(factors) <= set(schedule.FACTORS)
    assert schedule.picture_factor(total // 2, total) == 1.0


@settings(max_examples=10)
@given(total=steps, start=st.integers(1, 10_000), more=st.integers(0, 100_000))
def test_growth_follows_the_pixels_shown_and_goes_on_after_the_first_whole_picture(
    total: int, start: int, more: int
) -> None:
    growth = schedule.Growth.of(total)
    due = [step for step in range(1, total + 1) if growth.due(step)]
    allowed = [growth.allowed(step, start, start + more) for step in due]
    assert allowed == sorted(allowed)
    assert all(start <= count <= start + more for count in allowed)
    assert allowed[-1] == start + more
    whole = next(step for step in range(total) if schedule.picture_factor(step, total) == 1.0)
    assert growth.allowed(whole, start, start + more) - start <= 0.45 * more + 1
    assert growth.last > whole


def test_learning_rates_fall_with_the_length_of_the_run() -> None:
    shares = [schedule.rate_share(total) for total in (100, 2_000, 7_000, 30_000, 100_000)]
    assert shares[0] == shares[1] == 1
    assert 0.5 < shares[2] < 0.7
    assert shares[3] == pytest.approx(0.25)
    assert shares[4] == shares[3]


@pytest.mark.parametrize(("quality", "minutes"), [(Quality.PREVIEW, 3), (Quality.STANDARD, 12), (Quality.HIGH, 60)])
@given(photos=st.integers(5, 1500), views=st.floats(2, 40))
def test_a_quality_keeps_to_its_minutes_of_a_t4(quality: Quality, minutes: int, photos: int, views: float) -> None:
    preset = preset_of(Options(quality=quality), cuda=True)
    flight = Flight(photos, min(views, photos), round(photos * preset.long_edge**2 * 3 / 4))
    plan = budget(Options(quality=quality), preset, flight, 16 << 30)
    assert preset.minutes == minutes
    kept = cost.within(plan, flight, minutes)
    assert cost.seconds(kept, flight) <= 1.02 * 60 * minutes * max(1, photos / 100)
    assert kept.steps == plan.steps or cost.seconds(kept, flight) >= 0.9 * 60 * minutes * max(1, photos / 100)


def test_a_step_costs_its_pixels_and_what_is_in_view() -> None:
    flight = Flight(photos=100, views=10.0, pixels=100 * 1_000_000)
    machine = cost.Machine(step=0.0, pixel=1e-6, gaussian=0.0)
    whole = cost.seconds(Budget(1000, 1200, 100_000), flight, machine)
    shown = schedule.pixels_shown(1000, 1000) + cost.FINISH_SHARE * 1000
    assert whole == pytest.approx(shown, rel=0.02)
    drawn = cost.seconds(Budget(1000, 1200, 100_000), flight, cost.Machine(0.0, 0.0, 1e-6))
    assert 0.5 * 10 * 1.15 < drawn < 10 * 1.15  # a tenth of half to all of the Gaussians, a microsecond each


@pytest.mark.parametrize("count", [1, 2, 5, MAX_SHARES])
def test_what_one_is_shared_by_shows_the_same(count: int) -> None:
    """The integral of the alpha of `count` Gaussians blended at one place equals that of the Gaussian that they
    replace."""
    opacities = torch.tensor([0.1, 0.5, 0.9])
    new, factor = shared(opacities, torch.full((3,), count))
    x = torch.linspace(-12, 12, 20_001, dtype=torch.float64)[:, None]
    one = opacities.double() * torch.exp(-0.5 * x**2)
    many = 1 - (1 - new.double() * torch.exp(-0.5 * (x / factor.double()) ** 2)) ** count
    torch.testing.assert_close(many.sum(dim=0), one.sum(dim=0), rtol=1e-3, atol=0)


def test_relocation_moves_the_transparent_and_fills_up() -> None:
    rng = np.random.default_rng(0)
    gaussians = gaussians_of(
        means=rng.normal(size=(50, 3)),
        quats=rng.normal(size=(50, 4)),
        scales=np.full((50, 3), -3.0),
        opacities=np.where(np.arange(50) < 10, -9.0, 1.0),
        sh0=np.zeros((50, 3)),
        shN=np.zeros((50, 15, 3)),
    )
    splats = DeviceSplats.of(gaussians, CPU)
    Relocation().refine(splats, 60, torch.Generator().manual_seed(0))
    assert len(splats) == 60
    assert float(torch.sigmoid(splats["opacities"]).min()) > 0.005
    known = {tuple(mean) for mean in gaussians.means[10:].tolist()}
    assert {tuple(mean) for mean in splats["means"].tolist()} == known


def test_noise_moves_the_transparent_by_the_learning_rate_along_their_shape() -> None:
    """As in gsplat's `inject_noise_to_position`: a draw times the covariance, the means' learning rate and 5e5."""
    sigma, rate, count = 1e-3, 2e-3, 4000
    splats = DeviceSplats.of(
        gaussians_of(
            means=np.zeros((count, 3)), quats=np.tile([1.0, 0, 0, 0], (count, 1)),
            scales=np.tile(np.log([4 * sigma, sigma, sigma]), (count, 1)),
            opacities=np.where(np.arange(count) % 2, -12.0, 3.0), sh0=np.zeros((count, 3)),
            shN=np.zeros((count, 15, 3)),
        ),
        CPU,
    )  # fmt: skip
    Relocation().perturb(splats, splats.take(torch.arange(count), 0), rate, torch.Generator().manual_seed(0))
    moved = splats["means"]
    loose = 1 / (1 + np.exp(-0.5))  # the factor for an opacity of zero
    expected = loose * 5e5 * rate * sigma**2
    np.testing.assert_allclose(moved[1::2].std(dim=0).numpy(), expected * np.array([16, 1, 1]), rtol=0.1)
    assert float(moved[::2].abs().max()) < 1e-9


def test_training_hands_noise_the_means_learning_rate(tmp_path: Path) -> None:
    make_scene(tmp_path)
    scene, rates = load_scene(tmp_path, 48), list[float]()

    class Watched(Relocation):
        def perturb(self, splats: Splats, seen: Seen, means_rate: float, chance: torch.Generator) -> None:
            rates.append(means_rate)

    with gsplat_on_cpu():
        trainer = DeviceTrainer(
            photos=scene.split("train"), held_out=scene.split("test"), frame=scene.frame, budget=Budget(100, 48, 150),
            splats=DeviceSplats.of(from_seeds(seed_points(scene, PhotoStore(), 120, BOUNDLESS), 3), CPU), dropout=0.0,
            far=BOUNDLESS, room=1 << 30, strategy=Watched(),
        )  # fmt: skip
        trainer.run(lambda progress: progress.step < 8)
    assert rates[0] == pytest.approx(LEARNING_RATES["means"])
    assert rates == sorted(rates, reverse=True)


def test_the_penalty_of_relocation_is_of_the_visible_alone() -> None:
    rng = np.random.default_rng(0)
    splats = DeviceSplats.of(
        gaussians_of(
            means=rng.normal(size=(4, 3)), quats=rng.normal(size=(4, 4)), scales=np.full((4, 3), -3.0),
            opacities=np.zeros(4), sh0=np.zeros((4, 3)), shN=np.zeros((4, 15, 3)),
        ),
        CPU,
    )  # fmt: skip
    seen = splats.take(torch.arange(4), 3)
    Relocation().penalty(seen, torch.tensor([True, False, False, True])).backward()  # type: ignore[union-attr]
    assert (gradient(seen["opacities"]) > 0).tolist() == [True, False, False, True]


@pytest.mark.parametrize("room", [0, 1 << 30])
def test_photos_are_the_stores_divided_by_their_gains(tmp_path: Path, room: int) -> None:
    make_scene(tmp_path, photos=5)
    scene = load_scene(tmp_path, 96)
    pictures, store = Pictures(scene.photos, CPU, room), PhotoStore()
    pictures.set_gains({scene.photos[1].name: np.array([0.5, 1.0, 2.0])})
    for photo in scene.photos[:2]:
        for factor in (1.0, 0.5):
            camera = photo.camera.scaled(factor)
            gains = {photo.name: np.array([0.5, 1.0, 2.0])} if photo is scene.photos[1] else {}
            expected = store.with_gains(gains).target(photo, camera).planes
            pictures.coming([(photo, camera)])
            planes, shown = pictures.target(photo, camera)
            assert shown is None
            np.testing.assert_allclose(planes.numpy(), expected, atol=0.02)
    pictures.close()


@pytest.mark.parametrize("room", [0, 1 << 30])
def test_a_virtual_view_teaches_no_colour_of_what_is_unknown(room: int) -> None:
    """Unknown pixels are black, and a smaller picture mixes them with known ones."""
    camera = look_at((0, 0, 2), (0, 0, 0), (0, 1, 0), width=40, height=30)
    known = np.zeros((30, 40), np.bool_)
    known[:, :21] = True
    known[5, 4] = known[9, 8] = False
    picture = np.where(known[..., None], np.uint8(200), np.uint8(0)).repeat(3, axis=2)
    photo = Photo("virtual", Path(), camera, "train", virtual=Known(picture, known))
    smaller = photo.at(0.25)
    pictures = Pictures([photo], CPU, room)
    pictures.coming([(photo, smaller)])
    planes, shown = pictures.target(photo, smaller)
    pictures.close()
    assert shown is not None
    np.testing.assert_array_equal(shown.numpy(), PhotoStore().mask(photo, smaller))
    np.testing.assert_allclose(planes[:, shown].numpy(), 200 / 255, atol=1e-6)


def test_a_damaged_photo_is_an_invalid_scene(tmp_path: Path) -> None:
    make_scene(tmp_path, photos=5)
    scene = load_scene(tmp_path, 96)
    path = scene.photos[0].path
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(StageError, match="INVALID_SCENE"):
        Pictures(scene.photos, CPU, 1 << 30)


def test_backgrounds_are_drawn_once_with_progress_and_kept_as_bytes(tmp_path: Path) -> None:
    make_scene(tmp_path, photos=5)
    photos, drawn = load_scene(tmp_path, 96).photos, list[int]()
    backgrounds = Backgrounds(PlainBackdrop(), photos, CPU, drawn.append)
    assert drawn == [1, 2, 3, 4, 5]
    assert backgrounds.bytes == 5 * 3 * 40 * 30
    found = backgrounds.of(photos[0], 96, 72)
    assert found.shape == (72, 96, 3)
    np.testing.assert_allclose(found.numpy(), np.broadcast_to(BEHIND, found.shape), atol=1 / 500)
