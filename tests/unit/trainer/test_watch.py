"""When the training curve gets a point, and when it shows that training may end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trainer.watch import MIN_GAIN, PATIENCE, CurvePoint, due, plateaued


def curve(*psnrs: float) -> list[CurvePoint]:
    return [CurvePoint(100 * (i + 1), 1000, psnr, float(i)) for i, psnr in enumerate(psnrs)]


@given(steps=st.integers(1, 40_000))
def test_a_curve_has_a_dozen_points_and_ends_with_the_run(steps: int) -> None:
    points = [step for step in range(1, steps + 1) if due(step, steps)]
    assert points[-1] == steps
    assert min(12, steps) <= len(points) <= max(25, steps // 500 + 1)


def test_a_flat_end_is_a_plateau() -> None:
    flat = curve(20, *[25.0] * (PATIENCE + 1))
    assert plateaued(flat, settled=0)
    assert not plateaued(flat[:-2], settled=0)


def test_a_gain_within_the_patience_is_none() -> None:
    assert not plateaued(curve(20, 25, *[24.9] * (PATIENCE - 1), 25 + 2 * MIN_GAIN), settled=0)


def test_nothing_is_a_plateau_while_gaussians_are_added() -> None:
    flat = curve(*[25.0] * (PATIENCE + 4))
    assert not plateaued(flat, settled=500)
    assert plateaued(flat, settled=100)


def test_noise_below_the_gain_is_a_plateau() -> None:
    assert plateaued(curve(25, *[25 + 0.9 * MIN_GAIN] * PATIENCE), settled=0)
