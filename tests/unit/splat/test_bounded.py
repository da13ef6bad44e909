"""The cache limited by bytes, evenly spaced choice, and logits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splat.bounded import Bounded
from splat.gaussians import logit_of, opacity_of
from splat.sampling import evenly


@given(limit=st.integers(0, 40), asked=st.lists(st.integers(1, 9), max_size=60))
def test_what_is_kept_stays_below_the_limit_and_is_made_once(limit: int, asked: list[int]) -> None:
    made: list[int] = []

    def make(key: int) -> bytes:
        made.append(key)
        return bytes(key)

    cache = Bounded[bytes](limit, len)
    kept: list[int] = []  # the least recently used first
    for key in asked:
        before = len(made)
        assert len(cache.get(key, lambda key=key: make(key))) == key  # type: ignore[misc]
        assert (len(made) == before) == (key in kept)
        kept = [*(other for other in kept if other != key), key]
        while sum(kept) > limit and len(kept) > 1:
            del kept[0]


@given(st.lists(st.integers(), max_size=50), st.integers(1, 60))
def test_some_of_many_are_spread_over_all(items: list[int], limit: int) -> None:
    chosen = evenly(range(len(items)), limit)
    assert len(chosen) == min(limit, len(items))
    steps = np.diff([*chosen, len(items)])
    if len(chosen):
        assert chosen[0] == 0
        assert steps.max() - steps.min() <= 1


@given(st.floats(-30, 30))
def test_a_logit_is_the_inverse_of_its_opacity(logit: float) -> None:
    assert float(logit_of(opacity_of(np.array([logit], np.float32)))[0]) == pytest.approx(logit, rel=1e-5, abs=1e-3)
