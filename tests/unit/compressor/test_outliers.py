"""Which Gaussians are outliers, and in particular which are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from compressor.encode.outliers import outliers
from splat.gaussians import Gaussians

MakeSplat = Callable[..., Gaussians]


def with_outliers(splat: Gaussians) -> Gaussians:
    means = splat.means.copy()
    means[0] = (900, 0, 0)  # out of bounds
    means[1] = (0, 0, 3)  # alone in the air
    means[2:6] = (0.01, 0, 3.5)  # a clump in the air
    return replace(splat, means=means)


def test_only_what_nobody_sees_and_is_far_or_alone_is_an_outlier(make_splat: MakeSplat) -> None:
    splat = with_outliers(make_splat(2000, 0))
    nobody = np.zeros(len(splat), dtype=bool)
    assert np.flatnonzero(outliers(splat, nobody)).tolist()[:2] == [0, 1]
    assert not outliers(splat, nobody)[2:6].any()
    assert not outliers(splat, ~nobody).any()


@given(seed=st.integers(0, 1000), count=st.integers(1, 40))
def test_nothing_seen_is_ever_an_outlier(make_splat: MakeSplat, seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    splat = make_splat(count, 0, seed)
    wild = replace(splat, means=(splat.means * rng.choice([1, 1e6, 1e-6], (count, 1))).astype(np.float32))
    seen = rng.random(count) < 0.5
    assert not (outliers(wild, seen) & seen).any()
