"""Small splats that the compressor's tests share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from splat.gaussians import Gaussians
from tests.support.splats import make_splat

MakeSplat = Callable[..., Gaussians]


@pytest.fixture(scope="session", name="make_splat")
def make_splat_fixture() -> MakeSplat:
    return make_splat
