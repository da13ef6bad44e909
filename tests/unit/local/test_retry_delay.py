"""Seconds between attempts, as the States Language defines them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.patches import _delay


@pytest.mark.parametrize(("count", "seconds"), [(0, 2), (1, 6), (2, 18), (3, 20)])
def test_grows_by_the_backoff_rate_up_to_the_longest(count: int, seconds: int) -> None:
    assert _delay({"IntervalSeconds": 2, "BackoffRate": 3, "MaxDelaySeconds": 20}, count) == seconds


def test_defaults_are_one_second_doubled() -> None:
    assert [_delay({}, count) for count in range(4)] == [1, 2, 4, 8]


@given(st.integers(0, 10))
def test_full_jitter_lies_between_nothing_and_the_delay(count: int) -> None:
    retrier = {"IntervalSeconds": 2, "MaxDelaySeconds": 60, "JitterStrategy": "FULL"}
    assert 0 <= _delay(retrier, count) <= min(2 * 2**count, 60)
