"""Tests across processes, browsers and sockets: on CI each has a second try, which the summary names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A machine that CI shares can stop for seconds, and a browser or a socket does not wait. Nobody's own machine
    gets a second try, and neither does a unit test anywhere."""
    if os.environ.get("CI"):
        for item in items:
            if item.path.is_relative_to(Path(__file__).parent):
                item.add_marker(pytest.mark.flaky(reruns=1))
