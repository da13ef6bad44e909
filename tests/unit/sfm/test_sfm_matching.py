"""Matches searched one way become one to one."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sfm.matching import one_to_one


@given(st.lists(st.integers(0, 12), max_size=40))
def test_what_several_claim_is_given_up(claimed: list[int]) -> None:
    matches = np.column_stack([np.arange(len(claimed)), claimed]).astype(np.uint32).reshape(-1, 2)
    claims = Counter(claimed)
    expected = [(first, second) for first, second in enumerate(claimed) if claims[second] == 1]
    assert [tuple(row) for row in one_to_one(matches).tolist()] == expected
