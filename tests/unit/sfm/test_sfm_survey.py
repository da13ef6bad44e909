"""Figures of a flight for its quality report."""

from __future__ import annotations

import numpy as np
import pytest

from sfm.survey import MIN_IN_PART, PARTS, _systematic


def test_what_a_lens_model_leaves_is_told_from_chance() -> None:
    rng = np.random.default_rng(1)
    count = 60_000
    shares = rng.uniform(0, 1, (count, 2))
    chance = rng.normal(0, 0.3, (count, 2))
    assert _systematic(chance, shares) == pytest.approx(0, abs=5 * 0.3 / np.sqrt(count / np.prod(PARTS)))
    corner = np.all(shares > (15 / 16, 11 / 12), axis=1)
    assert _systematic(chance + corner[:, None] * (0.3, -0.4), shares) == pytest.approx(0.5, abs=0.1)


def test_parts_with_few_observations_say_nothing() -> None:
    shares = np.full((MIN_IN_PART, 2), 1.0)  # the edge belongs to the last part
    residuals = np.tile([3.0, 4.0], (MIN_IN_PART, 1))
    assert _systematic(residuals, shares) == 5.0
    assert _systematic(residuals[1:], shares[1:]) is None
    assert _systematic(np.zeros((0, 2)), np.zeros((0, 2))) is None
