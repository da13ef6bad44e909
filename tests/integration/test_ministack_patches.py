"""Each patch of local/patches.py is needed, and works.

Every probe runs on the unpatched and on the patched MiniStack. The patched one must do what AWS does. The unpatched
one must not: once a new MiniStack does, its test fails here, and the patch is removed.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from local.address import Address, get
from local.cloud import attached_cloud
from local.ports import free_ports
from local.server import server_environment
from tests.support.ministack_bench import PATIENCE
from tests.support.ministack_parts import PARTS_ON_AWS, PartsProbes
from tests.support.ministack_states import STATES_ON_AWS, StatesProbes

HANGING = 12.0  # seconds after which an execution of the plain MiniStack counts as hanging
ON_AWS = STATES_ON_AWS | PARTS_ON_AWS


class Probes(StatesProbes, PartsProbes):
    """All probes of one MiniStack."""


def observe(address: Address, patience: float) -> dict[str, Any]:
    probes = Probes(address, patience)
    with ThreadPoolExecutor(4) as pool:
        running = {name: pool.submit(getattr(probes, name)) for name in ON_AWS}
        return {name: future.result() for name, future in running.items()}


@contextmanager
def plain_ministack(folder: Path) -> Iterator[Address]:
    address = Address(*free_ports(2))
    (folder / "tmp").mkdir(parents=True)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ministack"],
            cwd=folder,
            env=server_environment(address, folder),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until_it_answers(address, process)
        yield address
    finally:
        process.kill()  # hanging Map threads would keep it from ending
        process.wait(20)


def wait_until_it_answers(address: Address, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            get(f"{address.url}/_ministack/health")
            return
        except OSError:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What each probe observes, by MiniStack: they run in parallel, because most of the time is waiting."""
    folder = tmp_path_factory.mktemp("ministack")
    with (
        plain_ministack(folder / "plain") as plain,
        attached_cloud(folder / "patched") as patched,
        ThreadPoolExecutor(2) as pool,
    ):
        plainly, mended = pool.submit(observe, plain, HANGING), pool.submit(observe, patched.address, PATIENCE)
        return {"plain": plainly.result(), "patched": mended.result()}


@pytest.mark.parametrize("probe", ON_AWS)
def test_the_patched_ministack_does_what_aws_does(observed: dict[str, dict[str, Any]], probe: str) -> None:
    assert observed["patched"][probe] == ON_AWS[probe]


@pytest.mark.parametrize("probe", ON_AWS)
def test_the_patch_is_still_needed(observed: dict[str, dict[str, Any]], probe: str) -> None:
    assert observed["plain"][probe] != ON_AWS[probe], f"MiniStack does {probe} right now: take the patch out"
