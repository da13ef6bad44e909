"""One local cloud with the real template for the whole module, and a customer to use it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from contract.events import JOB_STATUS
from local.address import Address
from local.cloud import ROOT, attached_cloud
from local.customer import Mail, StatusEvent, inbox, subscribed, upload, wait_for_mail
from local.deploy import deploy_pipeline
from local.sample_photos import BUILD, make_sample
from tests.support.waiting import wait_until

JOB_SECONDS = 600.0
MAIL_SECONDS = 60.0


@dataclass(frozen=True)
class Customer:
    """Uploads and waits, as a customer does, and receives events as a subscriber does."""

    address: Address
    stack: dict[str, str]

    def send(self, photos: Path, email: str, **options: str) -> list[StatusEvent]:
        """Uploads, and follows the job to its end; returns its status events in the order of arrival."""
        with subscribed(self.address, self.stack["StatusBusName"]) as subscription:
            upload(self.address, self.stack["UploadsBucket"], photos, {"email": email, **options})
            return list(subscription.follow(JOB_SECONDS))

    def only_mail(self, email: str) -> Mail:
        """The only mail about the job's outcome; at most one other mail, that the job was started, came before it."""
        assert wait_for_mail(self.address, email, MAIL_SECONDS) is not None, f"no mail to {email}"
        mails = inbox(self.address, email)
        outcomes = [mail for mail in mails if mail.tells_outcome]
        assert len(outcomes) == 1, [mail.subject for mail in mails]
        assert len(mails) <= 2, [mail.subject for mail in mails]
        return outcomes[0]

    def ended_item(self, job_id: str) -> dict[str, Any]:
        """The jobs table's item, once it records that the job has ended: the table gets that event when subscribers
        do."""
        table, found = self.address.client("dynamodb"), dict[str, Any]()

        def ended() -> bool:
            key = {"jobId": {"S": job_id}}
            found.update(table.get_item(TableName=self.stack["JobsTableName"], Key=key)["Item"])
            return found.get("status", {}).get("S") in JOB_STATUS.values()

        wait_until(ended, what=f"{job_id} did not end in the jobs table")
        return found

    def ended_execution(self, job_id: str) -> dict[str, Any]:
        """The execution, once it has ended: its final event is published one state before."""
        stepfunctions, found = self.address.client("stepfunctions"), dict[str, Any]()
        arn = self.stack["PipelineArn"].replace(":stateMachine:", ":execution:") + f":{job_id}"

        def ended() -> bool:
            found.update(stepfunctions.describe_execution(executionArn=arn))
            return bool(found["status"] != "RUNNING")

        wait_until(ended, what=f"the execution of {job_id} did not end")
        return found

    def sagemaker_jobs(self, job_id: str) -> list[tuple[str, str]]:
        """(name, status) of every SageMaker job of one of our jobs."""
        sagemaker = self.address.client("sagemaker")
        processing = sagemaker.list_processing_jobs()["ProcessingJobSummaries"]
        training = sagemaker.list_training_jobs()["TrainingJobSummaries"]
        named = [(job["ProcessingJobName"], job["ProcessingJobStatus"]) for job in processing]
        named += [(job["TrainingJobName"], job["TrainingJobStatus"]) for job in training]
        return sorted(job for job in named if job[0].startswith(job_id))

    def report(self, end: StatusEvent) -> dict[str, Any]:
        """report.json of a job that succeeded."""
        _, key = end.outputs["report.json"].removeprefix("s3://").split("/", 1)
        report: dict[str, Any] = json.loads(self.result(key))
        return report

    def result(self, key: str) -> bytes:
        """An object of the results bucket."""
        bucket = self.stack["ResultsBucket"]
        body: bytes = self.address.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        return body


@pytest.fixture(scope="session")
def customer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Customer]:
    with attached_cloud(tmp_path_factory.mktemp("cloud")) as cloud:
        yield Customer(cloud.address, deploy_pipeline(cloud.address, ROOT))


@pytest.fixture(scope="session")
def sample() -> Path:
    """The sample's ZIP; poses.json with the truth lies beside it."""
    return make_sample(BUILD)
