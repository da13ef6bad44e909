"""Tests across processes, browsers and sockets: on CI each gets a second try, and the summary names those that used
it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A shared CI machine can stop for seconds, and a browser or a socket does not wait. Developers' machines get no
    second try, nor do unit tests anywhere."""
    if os.environ.get("CI"):
        for item in items:
            if item.path.is_relative_to(Path(__file__).parent):
                item.add_marker(pytest.mark.flaky(reruns=1))
