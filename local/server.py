"""The local cloud's process: MiniStack with its patches and the local SageMaker. Started by local/cloud.py.

    python -m local.server --listeners 5 6 --folder .local/cloud --root . [--attached]

`--listeners`: the inherited sockets that listen for MiniStack and for SageMaker.
`--attached` ends the process when its standard input closes, so that it never outlives the process that started it,
however that one ends.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import resource
import shutil
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contract.blocks import BLOCKS_VARIABLE
from local.address import ACCOUNT, REGION, Address
from local.environment import inherited
from local.guard import guarded, is_page
from local.ports import HOST, port_of
from local.sagemaker.container import Image, project_images
from local.sagemaker.engine import engine_images
from local.sagemaker.job import Job
from local.sagemaker.runner import Access, Runner, SpotMarket
from local.sagemaker.server import SageMakerServer
from local.sagemaker.service import SageMaker


def server_environment(
    address: Address, folder: Path, enforce_iam: bool = False, concurrency: int | None = None
) -> dict[str, str]:
    """The environment this process must start with; MiniStack reads it at import and the Lambdas inherit it."""
    temporary = _temporary(folder)
    return {
        **inherited(os.environ),
        **address.environment(),
        "BIND_HOST": HOST,
        "GATEWAY_PORT": str(address.port),
        "MINISTACK_HOST": HOST,
        "MINISTACK_REGION": REGION,
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "TMPDIR": str(temporary),
        # where MiniStack keeps the keys that tokens are signed with; its default is one folder in /tmp for everybody
        "STATE_DIR": str(temporary / "state"),
        # MiniStack removes containers that it takes for its own; here it starts none, and must not see any
        "DOCKER_HOST": f"unix://{folder}/no-docker",
        "LOG_LEVEL": "INFO",
        "AUTH": str(enforce_iam).lower(),  # local/iam.py
        **({} if concurrency is None else {"LAMBDA_ACCOUNT_CONCURRENCY": str(concurrency)}),
        # two listeners that are not needed here, one of them on every interface
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
    }


def _temporary(folder: Path) -> Path:
    return folder / "tmp"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--listeners", type=int, nargs=2, required=True, help="file descriptors of listening sockets")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--root", type=Path, required=True, help="the project whose containers/ the images run from")
    parser.add_argument("--images", type=json.loads, help="built images by repository, as JSON, instead of processes")
    parser.add_argument("--quotas", type=json.loads, default={}, help="SageMaker machines by instance type, as JSON")
    parser.add_argument("--spot", type=json.loads, default={}, help="what Spot machines do, as JSON (SpotMarket)")
    parser.add_argument("--blocks", help="how many blocks structure from motion is to plan, whatever the flight's size")
    parser.add_argument("--engine", default="", help="where the container engine is, as in DOCKER_HOST")
    parser.add_argument("--attached", action="store_true")
    arguments = parser.parse_args()
    os.umask(0o077)  # only this user may read photos, logs, credentials and signing keys
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gateway, sagemaker_listener = (socket.socket(fileno=descriptor) for descriptor in arguments.listeners)
    address = Address(port_of(gateway), port_of(sagemaker_listener))
    root: Path = arguments.root.resolve()
    images = engine_images(arguments.images, arguments.engine) if arguments.images else project_images(root)
    variables = {BLOCKS_VARIABLE: arguments.blocks} if arguments.blocks else {}
    spot = SpotMarket(**arguments.spot)
    jobs = _sagemaker(address, arguments.folder.resolve(), images, arguments.quotas, spot, variables)
    asyncio.run(_serve(gateway, sagemaker_listener, jobs, arguments.folder.resolve(), arguments.attached))


async def _serve(
    gateway: socket.socket, sagemaker_listener: socket.socket, jobs: SageMaker, folder: Path, attached: bool
) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config
    from ministack.app import app
    from ministack.core import lambda_runtime

    from local import iam, patches

    patches.apply()
    iam.apply()
    sagemaker = SageMakerServer(jobs, sagemaker_listener, iam.authorize_sagemaker)
    sagemaker.start()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if attached:
        loop.run_in_executor(None, _wait_for_end_of_input, loop, stop)
    config, port = Config(), port_of(gateway)
    config.bind = [f"fd://{gateway.detach()}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 1.0
    try:
        guard: Any = guarded(app, port, is_page)  # hypercorn types every message, ASGI's own document does not
        await serve(guard, config, shutdown_trigger=stop.wait)
    finally:
        sagemaker.close()
        lambda_runtime.reset()
        shutil.rmtree(_temporary(folder), ignore_errors=True)  # with the keys that tokens were signed with
        # executions that still wait for a callback are daemon threads, the default executor's are not: leave at once
        logging.shutdown()
        os._exit(0)


def _wait_for_end_of_input(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    with contextlib.suppress(OSError):
        while sys.stdin.buffer.read(1):
            pass
    loop.call_soon_threadsafe(stop.set)


def _sagemaker(
    address: Address,
    folder: Path,
    images: Mapping[str, Image],
    quotas: Mapping[str, int],
    spot: SpotMarket,
    variables: Mapping[str, str],
) -> SageMaker:
    """`variables`: of every container, besides its job's own."""

    def access(job: Job) -> Access:
        from local.iam import assume_role  # which imports MiniStack

        role = assume_role(job.request["RoleArn"], job.name)
        return Access(address.client("s3", role), {**address.environment(), **role.environment(), **variables})

    runner = Runner(access, folder=folder / "jobs", images=images, spot=spot)
    return SageMaker(runner, _announce, REGION, ACCOUNT, quotas)


def _announce(job: Job) -> None:
    """Put the job's state-change event on the default bus; only MiniStack's own process may publish events
    with the source `aws.sagemaker`.
    """
    from ministack.core.responses import request_scope
    from ministack.services import eventbridge

    entry: dict[str, Any] = {
        "Source": "aws.sagemaker",
        "DetailType": f"SageMaker {job.kind} Job State Change",
        "Resources": [job.arn],
        "Detail": json.dumps(job.event_detail()),
    }
    with request_scope(ACCOUNT, REGION):
        eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)


if __name__ == "__main__":
    main()
