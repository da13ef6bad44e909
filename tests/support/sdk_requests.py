"""The SageMaker SDK's requests for the parameters of our requests; runs in the build environment, which contains the
SDK.

Reads {"processing": request, "training": request} from standard input and writes the SDK's requests in the same form.
With an argument, the command line of `scripts.run_stage` as JSON, it writes what that sends if these are the earlier
runs.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any

import boto3
from sagemaker.session import Session

from scripts import run_stage


class Recorder:
    """Replaces boto3's SageMaker client: records the Create requests."""

    def __init__(self) -> None:
        self.requests: dict[str, Any] = {}
        self.described: dict[str, Any] = {}
        self.meta = boto3.client("sagemaker", region_name="eu-west-1").meta

    def create_processing_job(self, **request: Any) -> dict[str, str]:
        self.requests["processing"] = request
        return {}

    def create_training_job(self, **request: Any) -> dict[str, str]:
        self.requests["training"] = request
        return {}

    def describe_processing_job(self, ProcessingJobName: str) -> dict[str, Any]:
        assert ProcessingJobName == self.described["processing"]["ProcessingJobName"]
        described: dict[str, Any] = self.described["processing"]
        return described

    def describe_training_job(self, TrainingJobName: str) -> dict[str, Any]:
        assert TrainingJobName == self.described["training"]["TrainingJobName"]
        described: dict[str, Any] = self.described["training"]
        return described


def session_of(recorder: Recorder) -> Session:
    boto = boto3.Session("a", "b", region_name="eu-west-1")
    return Session(boto, sagemaker_client=recorder, default_bucket="unused")


def main() -> None:
    given, recorder = json.load(sys.stdin), Recorder()
    session = session_of(recorder)
    if len(sys.argv) > 1:
        recorder.described = given
        at = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
        run_stage.run(recorder, session, run_stage.parse(json.loads(sys.argv[1])), at)
    else:
        run_stage.process(given["processing"], session)
        run_stage.train(given["training"], session)
    print(json.dumps(recorder.requests, default=str))


if __name__ == "__main__":
    main()
