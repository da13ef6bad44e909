"""A container as a process: its entry point, its own /opt/ml, stopped as SageMaker stops it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

GRACE_SECONDS = 120.0  # between SIGTERM and SIGKILL, as in SageMaker


@dataclass(frozen=True)
class Image:
    """What stands in for a container image: the command of its entry point and the folders Python imports from."""

    command: tuple[str, ...]
    python_path: tuple[Path, ...] = ()


def project_images(root: Path) -> dict[str, Image]:
    """The project's three images by repository name, run from its sources with this Python."""
    containers = root / "containers"
    modules = {"sfm": "sfm", "3dgs": "trainer", "compressor": "compressor"}
    return {
        repository: Image((sys.executable, "-m", module), (containers, containers / repository))
        for repository, module in modules.items()
    }


def repository_of(image_uri: str) -> str:
    """`sfm` of `123456789012.dkr.ecr.eu-west-1.amazonaws.com/spaceport/sfm:latest`."""
    return image_uri.rsplit("/", 1)[-1].partition("@")[0].partition(":")[0]


class Container:
    """A running container. Its output, both streams, goes to `log`."""

    def __init__(
        self, image: Image, arguments: tuple[str, ...], environment: Mapping[str, str], folder: Path, log: Path
    ) -> None:
        """Start it in `folder`. Raises OSError when the command is not there."""
        path = {"PYTHONPATH": os.pathsep.join(map(str, image.python_path))} if image.python_path else {}
        with log.open("ab") as stream:
            self._process = subprocess.Popen(
                [*_dying_with_parent(), *image.command, *arguments],
                cwd=folder,
                env={**environment, **path, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait(self, seconds: float) -> int | None:
        """The exit code, as a shell counts it (128 + signal), or None when it still runs after `seconds`."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        self._kill_group()  # what the entry point started goes with it, as in a container
        return code if code >= 0 else 128 - code

    def terminate(self) -> None:
        """SIGTERM to the entry point."""
        with suppress(ProcessLookupError):
            self._process.terminate()

    def kill(self) -> None:
        """SIGKILL to everything in the container."""
        self._kill_group()

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)


def _dying_with_parent() -> list[str]:
    """A prefix that makes Linux end the process when this one is killed; nothing where setpriv is missing."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL"] if setpriv else []
