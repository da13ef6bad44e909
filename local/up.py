"""`make up`: keep the local cloud running, with the pipeline deployed, for the page, the AWS CLI and any SDK."""

from __future__ import annotations

import fcntl
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.bundle import BundleError
from local.cloud import ROOT, Cloud, CloudError, find_detached, start_detached, stop_detached
from local.deploy import DeployError, deploy_pipeline, stack_outputs
from local.ports import DEFAULT_PORT
from local.web import api_url, publish, sign_in

FOLDER = ROOT / ".local" / "cloud"
# as many SageMaker jobs of a kind at once as one machine's memory allows; other runs wait in the pipeline's own queue
QUOTAS = {"ml.c6i.4xlarge": 1, "ml.g4dn.xlarge": 1}


@dataclass(frozen=True)
class Running:
    """The local cloud with the pipeline in it: the stack's outputs, and a token of the page's customer."""

    cloud: Cloud
    outputs: Mapping[str, str]
    token: str


def main() -> int:
    try:
        with alone(FOLDER):
            cloud = find_detached(FOLDER)
            if cloud is not None:
                print(f"# the local cloud runs already (process {cloud.pid}); `make down` stops it")
                outputs = stack_outputs(cloud.address)
            else:
                cloud, outputs = start()
    except (CloudError, DeployError, BundleError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    token = sign_in(cloud.address, outputs)["id_token"]
    print("\n".join(instructions(Running(cloud, outputs, token))))
    return 0


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """A lock: a second `make up` waits until the first has started the cloud, and then finds it running."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def start() -> tuple[Cloud, dict[str, str]]:
    """Raises CloudError, DeployError, BundleError; nothing runs then."""
    cloud = start_detached(FOLDER, DEFAULT_PORT, QUOTAS)
    try:
        outputs = deploy_pipeline(cloud.address, ROOT)
        publish(cloud.address, outputs, ROOT / "web" / ".build")
    except BaseException:
        stop_detached(FOLDER)
        raise
    return cloud, outputs


def instructions(running: Running) -> list[str]:
    """What to do next, the page first. All lines can be pasted into a shell; explanations are comments."""
    cloud, outputs = running.cloud, running.outputs
    url = cloud.address.url
    names = {
        **cloud.address.environment(),
        "API": api_url(cloud.address, outputs),
        "TOKEN": running.token,
        "UPLOADS_BUCKET": outputs["UploadsBucket"],
        "RESULTS_BUCKET": outputs["ResultsBucket"],
        "BUS": outputs["StatusBusName"],
    }
    lines = [f"# the customer's page: {outputs['WebUrl']}"]
    if cloud.address.port != DEFAULT_PORT:
        lines.append(f"# port {DEFAULT_PORT} is taken, so this cloud listens on {cloud.address.port}")
    lines += [f"export {name}={shlex.quote(value)}" for name, value in names.items()]
    lines += [
        "# the API (the token is good for an hour; `make up` prints a new one):",
        '#   curl -H "Authorization: Bearer $TOKEN" "$API/jobs"',
        "# a job by the AWS CLI, its results, its mails:",
        "#   aws s3 cp photos.zip s3://$UPLOADS_BUCKET/ --metadata email=you@example.com,quality=standard",
        "#   aws s3 ls --recursive s3://$RESULTS_BUCKET/",
        f"#   curl -s {url}/_ministack/ses/messages",
        "# the AWS CLI v1 ignores AWS_ENDPOINT_URL for SQS: give it --endpoint-url $AWS_ENDPOINT_URL",
        f"# log: {cloud.log}",
        "# `make down` stops it; what it holds stays below .local/cloud until the next `make up`, which starts empty",
    ]
    return lines


if __name__ == "__main__":
    sys.exit(main())
