"""Build images from the project's Dockerfiles and run them with a container engine (Docker, or Podman's socket)."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from contract.stages import Stage
from local.sagemaker.container import Container, Image, RunFolders, dying_with_parent, open_process

ENGINE = "docker"


class EngineError(Exception):
    """There is no engine, or it could not build an image."""


def build_images(root: Path, tag: str = "local") -> dict[str, str]:
    """Build the images from `root`; returns their references by repository name. Raises EngineError."""
    references = {repository.value: f"spaceport/{repository}:{tag}" for repository in Stage}
    for repository, reference in references.items():
        dockerfile = root / "containers" / repository / "Dockerfile"
        command = [ENGINE, "build", "--tag", reference, "--file", str(dockerfile), str(root)]
        print(f"building {reference}", flush=True)
        try:
            subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        except FileNotFoundError as error:
            raise EngineError(f"running images needs a container engine; `{ENGINE}` is not installed") from error
        except subprocess.CalledProcessError as error:
            raise EngineError(f"{reference} was not built:\n{error.output[-3000:]}") from error
    return references


def engine_images(references: Mapping[str, str], host: str) -> dict[str, Image]:
    """The built images by repository name, for the engine at `host` (the value of DOCKER_HOST)."""
    machine = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    machine |= {"DOCKER_HOST": host} if host else {}
    return {repository: EngineImage(reference, machine) for repository, reference in references.items()}


@dataclass(frozen=True)
class EngineImage:
    """An image of the engine. `machine`: the variables that the engine's client needs to find the engine."""

    reference: str
    machine: Mapping[str, str]

    def start(
        self, arguments: tuple[str, ...], environment: Mapping[str, str], folders: RunFolders, log: Path
    ) -> Container:
        """See Image.start. The container has the run's /opt/ml, and this machine's loopback interface for its events.
        It runs as the image's own user, as in SageMaker.
        """
        name = f"spaceport-{uuid.uuid4().hex[:12]}"
        command = [ENGINE, "run", "--name", name, "--network", "host"]
        command += ["--volume", f"{folders.ml}:/opt/ml"]
        for variable, value in environment.items():
            command += ["--env", f"{variable}={value}"]
        process = open_process(
            [*dying_with_parent(), *command, self.reference, *arguments], self.machine, folders.work, log
        )
        return EngineContainer(process, name, self.machine)


class EngineContainer(Container):
    """A container of the engine, whose client passes SIGTERM on; SIGKILL needs a request to the engine."""

    def __init__(self, process: subprocess.Popen[bytes], name: str, machine: Mapping[str, str]) -> None:
        super().__init__(process)
        self._name = name
        self._machine = machine

    def kill(self) -> None:
        """Kill everything in the container, and remove it. (With --rm, its exit code could be lost.)"""
        subprocess.run([ENGINE, "rm", "--force", self._name], env=dict(self._machine), check=False, capture_output=True)
        super().kill()
