"""notify through its handler: one mail per job and outcome, with what the customer can do next."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer
from aws_lambda_powertools.utilities.idempotency.exceptions import IdempotencyPersistenceLayerError
from botocore.exceptions import ClientError

from contract.codes import ErrorCode
from domain.errors import JobError
from domain.job import JobOptions, UploadedObject, job_id_of, job_of
from domain.jobs_table import JobsTable
from tests.support.cloud import SENDER, STACK, Cloud, invoke
from tests.support.fakes import aws_error
from tests.support.mails import (
    AT,
    JOB_ID,
    MAILED,
    outcome,
    recorded,
)

# neither a crash nor a mail that was sent before leaves metrics to publish, and Powertools warns about that
pytestmark = pytest.mark.filterwarnings("ignore:No application metrics")


@pytest.mark.parametrize("name", MAILED)
def test_the_start_and_every_outcome_is_one_mail_to_the_address_of_the_upload(cloud: Cloud, name: str) -> None:
    recorded(cloud)
    answer = invoke("notify", outcome(name))
    (mail,) = cloud.mails()
    assert answer["messageId"]
    assert mail["To"] == "pilot@example.com"
    assert mail["From"] == f"Spaceport <{SENDER}>"
    assert mail["Reply-To"] == "help@example.com"


@pytest.mark.parametrize("name", MAILED)
def test_however_often_the_event_comes_the_mail_goes_once(cloud: Cloud, name: str) -> None:
    recorded(cloud)
    event = outcome(name)
    answers = [invoke("notify", {**event, "id": f"delivery-{number}"}) for number in range(3)]
    assert len(cloud.mails()) == 1
    assert answers == [answers[0]] * 3


def test_different_words_for_the_same_outcome_are_one_mail(cloud: Cloud) -> None:
    recorded(cloud)
    event = outcome("job-failed")
    invoke("notify", event)
    later = {**event["detail"], "at": "2026-05-04T11:00:00.000Z", "message": "said otherwise"}
    invoke("notify", {**event, "detail": later})
    assert len(cloud.mails()) == 1


@pytest.mark.parametrize("names", list(itertools.permutations(["job-failed", "job-stopped"])), ids=" ".join)
def test_of_two_words_about_one_end_the_first_is_mailed_and_stands(cloud: Cloud, names: tuple[str, str]) -> None:
    """The state machine was stopped while it published that the job failed, and stop_job publishes the end, too."""
    recorded(cloud)
    for name in names:
        invoke("notify", outcome(name))
    assert len(cloud.mails()) == 1
    assert (cloud.item(JOB_ID) or {})["status"] == names[0].removeprefix("job-").upper()


def test_a_failure_that_a_redrive_turns_into_a_success_is_two_mails(cloud: Cloud) -> None:
    recorded(cloud)
    for name in ("job-failed", "job-succeeded", "job-failed", "job-stopped"):
        invoke("notify", outcome(name))
    assert len(cloud.mails()) == 2
    assert (cloud.item(JOB_ID) or {})["status"] == "SUCCEEDED"


def test_nothing_is_mailed_after_a_success(cloud: Cloud) -> None:
    recorded(cloud)
    for name in ("job-succeeded", "job-failed", "job-stopped"):
        invoke("notify", outcome(name))
    assert len(cloud.mails()) == 1


def test_different_jobs_are_different_mails(cloud: Cloud) -> None:
    recorded(cloud)
    other = JobsTable(cloud.table("jobs"))
    upload = UploadedObject(bucket="b", key="other.zip", etag="e")
    job = job_of(upload, job_id_of(upload, STACK), JobOptions(email="other@example.com"), AT)
    other.record(job)
    event = outcome("job-failed")
    invoke("notify", event)
    invoke("notify", {**event, "detail": {**event["detail"], "jobId": job.job_id}})
    assert [mail["To"] for mail in cloud.mails()] == ["pilot@example.com", "other@example.com"]


@pytest.mark.parametrize("name", MAILED)
def test_without_an_address_no_mail_goes(cloud: Cloud, name: str) -> None:
    recorded(cloud, email=None)
    assert invoke("notify", outcome(name)) == {"messageId": None}
    assert cloud.mails() == []


def test_for_a_job_that_nobody_recorded_no_mail_goes(cloud: Cloud) -> None:
    assert invoke("notify", outcome("job-succeeded")) == {"messageId": None}


def test_a_mail_that_ses_would_not_take_goes_with_the_next_delivery(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_mail: Any) -> None:
        raise aws_error("TooManyRequestsException", "SendEmail")

    recorded(cloud)
    with monkeypatch.context() as busy:
        busy.setattr(cloud.ses, "send_email", refuse)
        with pytest.raises(ClientError, match="TooManyRequests"):
            invoke("notify", outcome("job-failed"))
    invoke("notify", outcome("job-failed"))
    assert len(cloud.mails()) == 1


@pytest.mark.parametrize("fault", ["TooManyRequestsException", "SendingPausedException"])
def test_a_mail_that_was_not_sent_takes_nothing_from_the_days_mails(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    def refuse(**_mail: Any) -> None:
        raise aws_error(fault, "SendEmail")

    recorded(cloud)
    with monkeypatch.context() as busy:
        busy.setattr(cloud.ses, "send_email", refuse)
        for number in range(3):
            with pytest.raises(ClientError):
                invoke("notify", {**outcome("job-failed"), "id": f"delivery-{number}"})
    monkeypatch.setattr("notify.notify.MAX_MAILS_A_DAY", 1)
    invoke("notify", outcome("job-failed"))
    assert len(cloud.mails()) == 1
    assert {int(item["calls"]) for item in cloud.table("limits").scan()["Items"]} == {1}


def test_mails_are_counted(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    recorded(cloud)
    invoke("notify", outcome("job-failed"))
    assert '"MailsSent":[1.0]' in capsys.readouterr().out


def test_a_start_that_arrives_after_the_end_is_not_mailed(cloud: Cloud) -> None:
    recorded(cloud)
    invoke("notify", outcome("job-failed"))
    invoke("notify", outcome("job-started"))
    assert len(cloud.mails()) == 1


@pytest.mark.parametrize("record", ["_update_record", "_put_record"])
def test_a_record_that_cannot_be_written_sends_no_second_mail(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, record: str
) -> None:
    """SES has accepted the mail, but recording it fails: Lambda delivers the event again."""
    recorded(cloud)
    if record == "_put_record":
        invoke("notify", outcome("job-failed"))
        for item in cloud.table("idempotency").scan()["Items"]:
            cloud.table("idempotency").delete_item(Key={"id": item["id"]})
    else:
        with monkeypatch.context() as patch:
            patch.setattr(DynamoDBPersistenceLayer, record, _throttled)
            with pytest.raises(IdempotencyPersistenceLayerError):
                invoke("notify", outcome("job-failed"))
        for item in cloud.table("idempotency").scan()["Items"]:  # its minute in progress has passed
            cloud.table("idempotency").delete_item(Key={"id": item["id"]})
    invoke("notify", outcome("job-failed"))
    assert len(cloud.mails()) == 1


def _throttled(*_: Any) -> None:
    raise aws_error("ThrottlingException", "UpdateItem")


def test_a_mail_whose_second_record_fails_is_sent_once_by_the_first(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded(cloud)
    with monkeypatch.context() as patch:
        patch.setattr(JobsTable, "note_mail", _throttled)
        invoke("notify", outcome("job-failed"))
    invoke("notify", outcome("job-failed"))
    assert len(cloud.mails()) == 1


def test_an_address_that_ses_refuses_for_good_is_closed(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(cloud)

    def refuse(**_: Any) -> None:
        raise aws_error("BadRequestException", "SendEmail", "Illegal address")

    with monkeypatch.context() as patch:
        patch.setattr(cloud.ses, "send_email", refuse)
        assert invoke("notify", outcome("job-started")) == {"messageId": None}
    invoke("notify", outcome("job-failed"))
    assert cloud.mails() == []


@pytest.mark.parametrize("code", ["MessageRejected", "SendingPausedException", "LimitExceededException"])
def test_a_fault_of_our_own_account_closes_nothing(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    recorded(cloud)

    def refuse(**_: Any) -> None:
        raise aws_error(code, "SendEmail", "Email address is not verified")

    with monkeypatch.context() as patch:
        patch.setattr(cloud.ses, "send_email", refuse)
        with pytest.raises(ClientError):
            invoke("notify", outcome("job-failed"))
    invoke("notify", outcome("job-failed"))
    assert len(cloud.mails()) == 1


def test_an_event_of_a_job_that_nobody_recorded_makes_no_item(cloud: Cloud) -> None:
    invoke("notify", outcome("job-failed"))
    assert cloud.item(JOB_ID) is None


@pytest.mark.parametrize(
    ("code", "ours"), [(ErrorCode.INTERNAL, 1), (ErrorCode.RESULT_DAMAGED, 1), (ErrorCode.NO_OVERLAP, 0)]
)
def test_a_failure_is_counted_once_as_ours_or_as_the_photos(
    cloud: Cloud, capsys: pytest.CaptureFixture[str], code: ErrorCode, ours: int
) -> None:
    recorded(cloud, email=None)
    event = outcome("job-failed")
    event["detail"]["error"] = JobError.of(code).model_dump(mode="json")
    for _ in range(2):
        invoke("notify", event)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    counted = {name: [value for line in lines for value in line.get(name, [])] for name in FAILURE_COUNTS}
    assert counted == {"JobsFailedByUs": [ours], "JobsFailedByPhotos": [1 - ours]}


FAILURE_COUNTS = ("JobsFailedByUs", "JobsFailedByPhotos")
