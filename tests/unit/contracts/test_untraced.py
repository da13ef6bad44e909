"""Libraries that run untraced leave the tracer as it was, whatever becomes of the call."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import pytest

from tests.support.untraced import untraced


def library(number: int) -> float:
    return 1 / number


@pytest.mark.parametrize("number", [2, 0])
def test_a_call_is_not_traced_and_the_code_after_it_is(number: int) -> None:
    seen = list[str]()

    def tracer(frame: FrameType, _event: str, _argument: Any) -> None:
        seen.append(frame.f_code.co_name)

    def after() -> None:
        pass

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        if number:
            assert untraced(library)(number) == 0.5
        else:
            with pytest.raises(ZeroDivisionError):
                untraced(library)(number)
        after()
    finally:
        sys.settrace(before)
    assert "library" not in seen
    assert "after" in seen
