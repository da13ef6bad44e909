"""Set-up for tests in which Ctrl-C is pressed."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator

import pytest


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt, even if pytest was started with it ignored (`nohup`, a shell's `&`); and it
    does so in the code under test, not in a callback of the garbage collector, which would swallow it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    collects = gc.isenabled()
    gc.disable()
    yield
    if collects:
        gc.enable()
    signal.signal(signal.SIGINT, before)
