"""`make up`: keep the local cloud running, with the pipeline deployed, for the AWS CLI and any SDK."""

from __future__ import annotations

import sys

from local.address import DEFAULT_PORT
from local.bundle import BundleError
from local.cloud import ROOT, Cloud, CloudError, start_detached, stop_detached
from local.deploy import DeployError, deploy_pipeline
from local.web import publish

FOLDER = ROOT / ".local" / "cloud"
# as many stages of a kind at once as one machine has memory for; further uploads wait in the pipeline's own queue
QUOTAS = {"ml.c6i.4xlarge": 1, "ml.g4dn.xlarge": 1}


def main() -> int:
    try:
        cloud = start_detached(FOLDER, DEFAULT_PORT, QUOTAS)
        try:
            outputs = deploy_pipeline(cloud.address, ROOT)
            page = publish(cloud.address, outputs, ROOT / "web" / ".build")
        except BaseException:
            stop_detached(FOLDER)
            raise
    except (CloudError, DeployError, BundleError) as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(instructions(cloud, outputs)))
    print(f"# the customer's page: {page}")
    return 0


def instructions(cloud: Cloud, outputs: dict[str, str]) -> list[str]:
    """What to type next; the exports can be pasted as they are."""
    lines = [f"export {name}={value}" for name, value in cloud.address.environment().items()]
    lines += [f"# {name}: {value}" for name, value in outputs.items()]
    lines += [
        f"aws s3 cp photos.zip s3://{outputs['UploadsBucket']}/ --metadata email=you@example.com,quality=standard",
        f"aws s3 ls --recursive s3://{outputs['ResultsBucket']}/",
        f"curl -s {cloud.address.url}/_ministack/ses/messages",
        f"# log: {cloud.log}",
        "# make down stops it; what it holds stays below .local/cloud until the next make up, which starts empty",
    ]
    return lines


if __name__ == "__main__":
    sys.exit(main())
