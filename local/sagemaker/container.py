"""Containers and images as processes: each has its own /opt/ml and is stopped in the way that SageMaker stops it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from contract.stages import Stage
from local.environment import inherited

GRACE_SECONDS = 120.0  # between SIGTERM and SIGKILL, as in SageMaker


@dataclass(frozen=True)
class RunFolders:
    """A run's folders on this machine: its /opt/ml, its working directory, and its scratch folder."""

    ml: Path
    work: Path
    scratch: Path


class Image(Protocol):
    """An image, from which containers are started."""

    def start(
        self, arguments: tuple[str, ...], environment: Mapping[str, str], folders: RunFolders, log: Path
    ) -> Container:
        """Start a container with the job's `environment`; both of its output streams are appended to `log`.

        Raises OSError if it cannot be started.
        """
        ...


@dataclass(frozen=True)
class ProcessImage:
    """A stand-in for an image: the command of its entry point, and the folders from which Python imports.

    `machine`: the variables of this machine without which no process runs, such as PATH.
    """

    command: tuple[str, ...]
    python_path: tuple[Path, ...] = ()
    machine: Mapping[str, str] = field(default_factory=lambda: inherited(os.environ))

    def start(
        self, arguments: tuple[str, ...], environment: Mapping[str, str], folders: RunFolders, log: Path
    ) -> Container:
        """See Image.start."""
        path = {"PYTHONPATH": os.pathsep.join(map(str, self.python_path))} if self.python_path else {}
        own = {"ML_ROOT": str(folders.ml), "TMPDIR": str(folders.scratch), "PYTHONUNBUFFERED": "1"}
        command = [*dying_with_parent(), *self.command, *arguments]
        return Container(open_process(command, {**self.machine, **environment, **path, **own}, folders.work, log))


def project_images(root: Path) -> dict[str, Image]:
    """The project's images by repository name, run from the sources with this Python."""
    containers = root / "containers"
    return {
        stage.value: ProcessImage((sys.executable, "-m", stage.spec.module), (containers, containers / stage))
        for stage in Stage
    }


def repository_of(image_uri: str) -> str:
    """`sfm` of `123456789012.dkr.ecr.eu-west-1.amazonaws.com/spaceport/sfm:latest`."""
    return image_uri.rsplit("/", 1)[-1].partition("@")[0].partition(":")[0]


class Container:
    """A running container, by the process that holds it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait(self, seconds: float) -> int | None:
        """The exit code in the form of a shell (128 + signal), or None if the container still runs after `seconds`."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        self._kill_group()  # processes that the entry point started end with it, as in a container
        return code if code >= 0 else 128 - code

    def terminate(self) -> None:
        """Send SIGTERM to the entry point."""
        with suppress(ProcessLookupError):
            self._process.terminate()

    def kill(self) -> None:
        """Send SIGKILL to everything in the container."""
        self._kill_group()

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)


def open_process(
    command: list[str], environment: Mapping[str, str], folder: Path, log: Path
) -> subprocess.Popen[bytes]:
    """Start `command` in a separate session, with both output streams appended to `log`. Raises OSError."""
    with log.open("ab") as stream:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def dying_with_parent() -> list[str]:
    """A command prefix that makes Linux end the process when this one is killed; empty if setpriv is missing."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL"] if setpriv else []
