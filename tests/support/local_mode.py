"""Run one stage's image in the SageMaker SDK's local mode, AWS's own code for what a container finds and must leave.

Runs in the build environment, which contains the SDK. Reads {"kind": "processing" or "training", "request", "scratch"}
from standard input: a Create request whose S3 addresses are folders of this machine (`file://`). At the end, prints
what the container printed, with exit code 1 if the job failed.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import boto3
from sagemaker.local import LocalSession

# the SDK reports each use of local mode to AWS unless this is set
QUIET = {"SchemaVersion": "1.0", "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}}


def main() -> int:
    asked: dict[str, Any] = json.load(sys.stdin)
    session = LocalSession(boto3.Session("a", "b", region_name="eu-west-1"), "unused", sagemaker_config=QUIET)
    session.config = {"local": {"container_root": asked["scratch"]}}
    try:
        getattr(session.sagemaker_client, f"create_{asked['kind']}_job")(**asked["request"])
    except RuntimeError as failure:  # the container's exit code
        print(failure)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
