"""A PLY of any origin: it is read as a splat or refused, and never raises another exception."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from splat.errors import InvalidSplatError
from splat.gaussians import Gaussians
from splat.ply import read_ply, write_ply

MakeSplat = Callable[..., Gaussians]


def is_splat(path: Path, data: bytes) -> bool:
    """Fails for any exception other than a refusal's."""
    path.write_bytes(data)
    try:
        read_ply(path)
    except InvalidSplatError:
        return False
    return True


@pytest.fixture(scope="module")
def ply(tmp_path_factory: pytest.TempPathFactory, make_splat: MakeSplat) -> bytes:
    path = tmp_path_factory.mktemp("ply") / "scene.ply"
    write_ply(path, make_splat(20, 1))
    return path.read_bytes()


@settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_anywhere_is_refused_or_still_a_splat(ply: bytes, tmp_path: Path, data: st.DataObject) -> None:
    damaged = bytearray(ply)
    header = ply.index(b"end_header") + 11
    for _ in range(data.draw(st.integers(1, 4))):
        where = data.draw(st.integers(0, header - 1) | st.integers(0, len(ply) - 1))
        damaged[where] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(ply)))
    for candidate in (bytes(damaged), ply[:cut]):
        assert is_splat(tmp_path / "damaged.ply", candidate) in (True, False)


@pytest.mark.parametrize("count", [b"1000000000000", b"-3", b"0", b"21", b"twenty", b"20.5"])
def test_a_false_count_is_refused(ply: bytes, tmp_path: Path, count: bytes) -> None:
    lying = ply.replace(b"element vertex 20", b"element vertex " + count)
    assert not is_splat(tmp_path / "lying.ply", lying)
