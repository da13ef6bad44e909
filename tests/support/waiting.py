"""Wait, with a time limit, for what another process does a moment later: checking only once fails on a busy machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from local.address import Address
from local.logs import function_logs

WAIT_SECONDS = 60.0
PAUSE_SECONDS = 0.1
STILL_SECONDS = 2.0

_Seen = TypeVar("_Seen")


def wait_until(condition: Callable[[], object], seconds: float = WAIT_SECONDS, what: str = "it did not happen") -> None:
    """Raises AssertionError if `condition` is not true within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} within {seconds:.0f} s"
        time.sleep(PAUSE_SECONDS)


def settled(look: Callable[[], _Seen], seconds: float = WAIT_SECONDS) -> _Seen:
    """The return value of `look`, once it has been the same for `STILL_SECONDS`."""
    deadline = time.monotonic() + seconds
    seen, since = look(), time.monotonic()
    while time.monotonic() - since < STILL_SECONDS:
        assert time.monotonic() < deadline, f"still changing after {seconds:.0f} s"
        time.sleep(PAUSE_SECONDS)
        if (now := look()) != seen:
            seen, since = now, time.monotonic()
    return seen


def quiet_logs(address: Address) -> list[str]:
    """The functions' logs, once no more lines arrive: a call writes its log when it has ended, after its effects are
    visible."""
    return settled(lambda: function_logs(address))
