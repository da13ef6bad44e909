"""The local cloud leaves nothing behind when it is stopped or killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from local.address import Address
from local.cloud import ROOT, Cloud, attached_cloud, start_detached, stop_detached
from local.customer import upload
from local.deploy import deploy
from local.ports import HOST
from tests.support.processes import alive, command_of, family_of
from tests.support.waiting import wait_until

FIXTURES = Path(__file__).parent / "fixtures"
# what the owner removes at its end; it is still running here
LEFT_TO_ITS_OWNER = {"owner": set[str](), "cloud": {"temporary files"}}


def test_stopping_the_cloud_stops_its_containers(tmp_path: Path) -> None:
    with attached_cloud(tmp_path / "state", root=FIXTURES) as cloud:
        pids = with_a_sleeping_job(cloud, tmp_path)
    wait_until(lambda: left_of(cloud, pids) == [], what="something is left")


@pytest.mark.parametrize("killed", ["owner", "cloud"])
def test_nothing_outlives_a_killed_owner_or_cloud(tmp_path: Path, killed: str) -> None:
    """After SIGKILL, no process can clean up after itself."""
    program = (
        "import sys, time; from pathlib import Path; from local.cloud import attached_cloud\n"
        "with attached_cloud(Path(sys.argv[1]), root=Path(sys.argv[2])) as cloud:\n"
        "    print(cloud.pid, cloud.address.port, cloud.address.sagemaker_port, flush=True); time.sleep(600)"
    )
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    owner = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "state"), str(FIXTURES)],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
    )
    try:
        assert owner.stdout is not None
        pid, port, sagemaker_port = map(int, owner.stdout.readline().split())
        cloud = Cloud(Address(port, sagemaker_port), pid, tmp_path / "state")
        pids = with_a_sleeping_job(cloud, tmp_path)
        os.kill(owner.pid if killed == "owner" else pid, signal.SIGKILL)
        wait_until(lambda: set(left_of(cloud, pids)) <= LEFT_TO_ITS_OWNER[killed], what="something is left")
        assert list(temporary.iterdir()) == []
    finally:
        owner.kill()
        owner.wait()


def test_a_cloud_that_was_killed_is_cleaned_up_after_by_make_down(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    cloud = start_detached(folder)
    pids = family_of(cloud.pid)
    os.kill(cloud.pid, signal.SIGKILL)
    wait_until(lambda: not any(map(alive, pids)))
    assert not stop_detached(folder), "it runs no more"
    wait_until(lambda: left_of(cloud, pids) == [], what="something is left")


# ── helpers ──


def left_of(cloud: Cloud, pids: list[int]) -> list[str]:
    """What is left of a cloud: its processes, listeners on its ports, its temporary files."""
    found = ["a process" for pid in pids if alive(pid)]
    for port in (cloud.address.port, cloud.address.sagemaker_port):
        with suppress(OSError), socket.create_connection((HOST, port), timeout=5):
            found.append("a port")
    return [*found, *(["temporary files"] if (cloud.folder / "tmp").exists() else [])]


def with_a_sleeping_job(cloud: Cloud, folder: Path) -> list[int]:
    """Starts a container that sleeps; returns the process ids of the cloud and of all that it has started."""
    outputs = deploy(cloud.address, FIXTURES / "stack/template.yaml", folder / "cache")
    (folder / "sleep.zip").write_text("sleep")
    upload(cloud.address, outputs["UploadsBucket"], folder / "sleep.zip", {"email": "a@example.com"})
    wait_until(lambda: any("-m\0sfm" in command_of(pid) for pid in family_of(cloud.pid)))
    family = family_of(cloud.pid)
    assert len(family) >= 3  # the cloud, the container, a Lambda worker
    return family
