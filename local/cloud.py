"""Start the local cloud as a separate process, wait until it answers, stop it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from botocore.exceptions import BotoCoreError

from local.address import Address, get
from local.ports import listeners, port_of
from local.server import server_environment

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60.0
STOP_SECONDS = 15.0
# a small job's photos, pictures and models; on a full disk, stages wait without any message
MIN_FREE_BYTES = 2 * 10**9
STATE_FILE = "cloud.json"


class CloudError(Exception):
    """The local cloud did not start, or is not there."""


@dataclass(frozen=True)
class Cloud:
    """A running local cloud: its address, its process, and the folder with its log, jobs and temporary files."""

    address: Address
    pid: int
    folder: Path

    @property
    def log(self) -> Path:
        return self.folder / "cloud.log"


@contextmanager
def attached_cloud(
    folder: Path,
    preferred_port: int | None = None,
    root: Path = ROOT,
    images: Mapping[str, str] | None = None,
    quotas: Mapping[str, int] | None = None,
    enforce_iam: bool = False,
    spot: Mapping[str, float] | None = None,
    blocks: int | None = None,
    concurrency: int | None = None,
) -> Iterator[Cloud]:
    """A cloud that runs for the length of the block, and never longer than this process. Raises CloudError.

    Its stages run from `root`/containers as processes, or from built `images` (references by repository name);
    MiniStack and SageMaker are this project's in any case. `quotas`: machines by instance type; unlimited by default.
    `spot`: how long jobs wait for Spot machines, and how often these are interrupted (SpotMarket of
    local/sagemaker/runner.py). `blocks`: the number of blocks for every flight that has enough photos; by default, its
    size decides. With `enforce_iam`, the policies apply to everybody except the account itself (local/iam.py), which
    costs a signature check and an evaluation per call. `concurrency`: how many functions may run at once in this
    account; by default, as many as fit into memory.
    """
    cloud, process = _launch(folder, preferred_port, root, True, images, quotas, enforce_iam, spot, blocks, concurrency)
    try:
        _wait_until_healthy(cloud, process)
        yield cloud
    except (BotoCoreError, OSError) as fault:
        if _ended(process):
            raise CloudError(f"the local cloud ended unexpectedly; {_end_of_log(cloud)}") from fault
        raise
    finally:
        assert process.stdin is not None
        with suppress(OSError):
            process.stdin.close()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(folder / "tmp", ignore_errors=True)


def start_detached(folder: Path, preferred_port: int | None = None, quotas: Mapping[str, int] | None = None) -> Cloud:
    """Start a cloud that keeps running when this process ends; `stop_detached` ends it. Raises CloudError."""
    if running := find_detached(folder):
        raise CloudError(f"the local cloud already runs at {running.address.url} (process {running.pid})")
    cloud, process = _launch(folder, preferred_port, ROOT, attached=False, quotas=quotas)
    try:
        _wait_until_healthy(cloud, process)
    except BaseException:
        process.kill()
        raise
    state = {"pid": cloud.pid, **asdict(cloud.address)}
    (folder / STATE_FILE).write_text(json.dumps(state), encoding="utf-8")
    return cloud


def find_detached(folder: Path) -> Cloud | None:
    """The cloud that `start_detached` left running in `folder`, if it still does."""
    try:
        state = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    cloud = Cloud(Address(state["port"], state["sagemaker_port"]), state["pid"], folder)
    return cloud if _is_ours(cloud) else None


def stop_detached(folder: Path) -> bool:
    """Stop the cloud in `folder`; False when none runs."""
    cloud, started = find_detached(folder), (folder / STATE_FILE).exists()
    (folder / STATE_FILE).unlink(missing_ok=True)
    if cloud is None:
        if started:  # it was killed, so it had no time to clean up
            shutil.rmtree(folder / "tmp", ignore_errors=True)
        return False
    os.kill(cloud.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while _is_ours(cloud) or _is_ending(cloud.pid):
        if time.monotonic() > deadline:
            os.kill(cloud.pid, signal.SIGKILL)
        time.sleep(0.1)
    shutil.rmtree(folder / "tmp", ignore_errors=True)
    return True


def _launch(
    folder: Path,
    preferred_port: int | None,
    root: Path,
    attached: bool,
    images: Mapping[str, str] | None = None,
    quotas: Mapping[str, int] | None = None,
    enforce_iam: bool = False,
    spot: Mapping[str, float] | None = None,
    blocks: int | None = None,
    concurrency: int | None = None,
) -> tuple[Cloud, subprocess.Popen[bytes]]:
    folder = folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)  # only this user may read its contents
    (folder / "tmp").mkdir()
    free = shutil.disk_usage(folder).free
    if free < MIN_FREE_BYTES:
        raise CloudError(f"{folder} has {free / 1e9:.1f} GB free, and a job needs {MIN_FREE_BYTES / 1e9:.0f} GB")
    command = [sys.executable, "-m", "local.server", "--folder", str(folder), "--root", str(root)]
    if images:
        command += ["--images", json.dumps(dict(images)), "--engine", os.environ.get("DOCKER_HOST", "")]
    if quotas:
        command += ["--quotas", json.dumps(dict(quotas))]
    if spot:
        command += ["--spot", json.dumps(dict(spot))]
    if blocks:
        command += ["--blocks", str(blocks)]
    if attached:
        command += ["--attached"]
    # the process gets sockets that already listen: of two clouds that start at once, both would find a port free
    with listeners(2, preferred_port) as sockets, (folder / "cloud.log").open("wb") as log:
        address = Address(*map(port_of, sockets))
        descriptors = [listener.fileno() for listener in sockets]
        process = subprocess.Popen(
            [*command, "--listeners", *map(str, descriptors)],
            pass_fds=descriptors,
            cwd=ROOT,
            env=server_environment(address, folder, enforce_iam, concurrency),
            stdin=subprocess.PIPE if attached else subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C goes to the process that started it, which then stops the cloud
        )
    return Cloud(address, process.pid, folder), process


def _wait_until_healthy(cloud: Cloud, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    for url in (f"{cloud.address.url}/_ministack/health", f"{cloud.address.sagemaker_url}/health"):
        while not _answers(url):
            if process.poll() is not None or time.monotonic() > deadline:
                raise CloudError(f"the local cloud did not start; {_end_of_log(cloud)}")
            time.sleep(0.05)


def _ended(process: subprocess.Popen[bytes]) -> bool:
    """Its connections close moments before it has ended."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(1.0)
    return process.returncode is not None


def _end_of_log(cloud: Cloud) -> str:
    return f"its log, {cloud.log}, ends with:\n{cloud.log.read_text(encoding='utf-8', errors='replace')[-2000:]}"


def _answers(url: str) -> bool:
    try:
        get(url, timeout=2.0)
    except OSError:
        return False
    return True


def _is_ending(pid: int) -> bool:
    """Whether the process has ended but some of its threads have not; until they do, its ports stay in use."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        return state == "Z" and len(list(Path(f"/proc/{pid}/task").iterdir())) > 1
    except OSError:
        return False


def _is_ours(cloud: Cloud) -> bool:
    """Whether the process is still the cloud: its process id may have been reused by another process."""
    try:
        command = Path(f"/proc/{cloud.pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"local.server" in command and str(cloud.folder.resolve()).encode() in command
