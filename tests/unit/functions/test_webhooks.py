"""Webhooks through the API and call_webhook, with a receiver on loopback: signed, retried, given up."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import boto3
import pytest
from botocore.exceptions import ClientError

from call_webhook.call import MAX_WAIT, wait_after
from domain.job import UploadedObject, job_of, parse_options
from domain.jobs_table import JobsTable
from domain.post import Undelivered
from domain.webhooks import MAX_DELIVERIES, Delivery, WebhookTable, signature
from tests.support.cloud import Cloud, invoke
from tests.support.events import sample_event
from tests.support.http_api import PILOT, call
from tests.support.mails import AT, JOB_ID
from tests.support.receiver import Receiver, receiver

OUTCOMES = ["job-started", "job-succeeded", "job-failed", "job-rejected", "job-stopped"]


def recorded(cloud: Cloud, owner: str = PILOT["sub"]) -> None:
    upload = UploadedObject(bucket="b", key="meadow.zip", etag="e")
    JobsTable(cloud.table("jobs")).record(job_of(upload, JOB_ID, parse_options({"name": "meadow"}), AT, owner))


def set_webhook(hook: Receiver, path: str = "/in?from=spaceport") -> str:
    """Sets the webhook; returns its secret."""
    answer = call("PUT", "/webhook", {"url": hook.url + path})
    assert answer.status == 200
    secret: str = answer.json["secret"]
    return secret


def deliver(name: str, attempts: int = 1, receipt: str = "r", outputs: Mapping[str, str] | None = None) -> Any:
    """Calls the function as SQS does with an event from EventBridge; `outputs` are added to the sample's."""
    event = sample_event("call_webhook/job-succeeded")
    (record,) = event["Records"]
    status = sample_event(f"status/{name}")
    if outputs:
        status["detail"]["outputs"] |= outputs
    record |= {"receiptHandle": receipt, "body": json.dumps(status)}
    record["attributes"]["ApproximateReceiveCount"] = str(attempts)
    return invoke("call_webhook", event)


def test_the_sample_holds_the_sample_status_event() -> None:
    (record,) = sample_event("call_webhook/job-succeeded")["Records"]
    assert json.loads(record["body"]) == sample_event("status/job-succeeded")


@pytest.mark.parametrize("name", OUTCOMES)
def test_the_receiver_reads_what_happened_and_verifies_who_says_so(cloud: Cloud, name: str) -> None:
    recorded(cloud)
    with receiver() as hook:
        secret = set_webhook(hook)
        assert deliver(name) == {"messageId": f"{JOB_ID}-{name}"}
    (taken,) = hook.calls
    assert taken.path == "/in?from=spaceport"
    assert taken.verified(secret)
    assert not taken.verified(secret.replace(secret[-6], "A" if secret[-6] != "A" else "B"))
    said = json.loads(taken.body)
    event = sample_event(f"status/{name}")
    assert (said["type"], said["timestamp"], said["data"]["jobId"]) == (
        event["detail-type"],
        event["detail"]["at"].replace(".000Z", "Z"),
        JOB_ID,
    )
    assert said["data"].get("error", {}).get("code") == event["detail"].get("error", {}).get("code")
    assert b"s3://" not in taken.body


def test_the_signature_is_that_of_the_standards_own_example() -> None:
    """From the specification's test vectors."""
    body = b'{"test": 2432232314}'
    signed = signature("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_every_attempt_has_the_same_id(cloud: Cloud) -> None:
    recorded(cloud)
    with receiver() as hook:
        set_webhook(hook)
        for _ in range(3):
            deliver("job-succeeded")
    assert {taken.headers["webhook-id"] for taken in hook.calls} == {f"{JOB_ID}-job-succeeded"}


def test_a_job_of_somebody_else_calls_nobody(cloud: Cloud) -> None:
    recorded(cloud, owner="somebody")
    with receiver() as hook:
        set_webhook(hook)
        assert deliver("job-succeeded") == {"messageId": None}
    assert hook.calls == []


def test_a_job_that_came_by_mail_address_calls_him_whose_address_it_is(cloud: Cloud) -> None:
    recorded(cloud, owner="mailto:pilot@example.com")
    with receiver() as hook:
        set_webhook(hook)
        deliver("job-succeeded")
    assert len(hook.calls) == 1


def test_what_is_taken_away_is_called_no_more(cloud: Cloud) -> None:
    recorded(cloud)
    with receiver() as hook:
        set_webhook(hook)
        assert call("GET", "/webhook").json == {"url": f"{hook.url}/in?from=spaceport"}
        assert call("DELETE", "/webhook").status == 204
        assert call("GET", "/webhook").json == {"url": None}
        deliver("job-succeeded")
    assert hook.calls == []


def test_for_a_day_after_a_change_both_secrets_sign(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(cloud)
    with receiver() as hook:
        first = set_webhook(hook)
        answer = call("PUT", "/webhook", {"url": hook.url + "/in?from=spaceport"}).json
        until = datetime.fromisoformat(answer["previousSecretUntil"])
        assert timedelta(hours=23) < until - datetime.now(UTC) <= timedelta(hours=24)
        deliver("job-succeeded")
        webhook = WebhookTable(cloud.table("webhooks")).find(PILOT["sub"])
        assert webhook is not None
        assert webhook.secrets_at(until.timestamp() + 1) == (answer["secret"],)
    assert first != answer["secret"]
    assert hook.calls[0].verified(answer["secret"])
    assert hook.calls[0].verified(first)


def test_a_secret_before_the_last_two_signs_no_more(cloud: Cloud) -> None:
    recorded(cloud)
    with receiver() as hook:
        first, second, third = set_webhook(hook), set_webhook(hook), set_webhook(hook)
        deliver("job-succeeded")
    assert [hook.calls[0].verified(secret) for secret in (first, second, third)] == [False, True, True]


def test_another_url_gets_no_signature_of_the_one_before(cloud: Cloud) -> None:
    recorded(cloud)
    with receiver() as hook:
        first, second = set_webhook(hook), set_webhook(hook, "/other")
        deliver("job-succeeded")
    assert (hook.calls[0].verified(first), hook.calls[0].verified(second)) == (False, True)


def test_a_test_event_is_signed_and_its_answer_is_told(cloud: Cloud) -> None:
    with receiver(204, 500) as hook:
        secret = set_webhook(hook)
        assert call("POST", "/webhook/test").json["delivered"] is True
        refused = call("POST", "/webhook/test").json
    assert (refused["delivered"], refused["detail"]) == (False, "answered 500")
    assert hook.calls[0].verified(secret)
    assert json.loads(hook.calls[0].body)["type"] == "Webhook Test"


def test_a_test_needs_a_webhook_and_has_a_limit_of_its_own(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call("POST", "/webhook/test").json["code"] == "INVALID_REQUEST"
    with receiver() as hook:
        set_webhook(hook)
        assert call("POST", "/webhook/test").status == 200
        monkeypatch.setattr("api.handler.MAX_WEBHOOK_TESTS", 0)  # exceeded in any minute
        refused = call("POST", "/webhook/test")
        assert (refused.status, refused.json["code"]) == (429, "TOO_MANY_CALLS")
        assert call("GET", "/webhook").status == 200
    assert len(hook.calls) == 1


@pytest.fixture
def waits(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The changes of visibility timeout requested for messages that are to be repeated."""
    asked: list[dict[str, Any]] = []
    sqs = type("Sqs", (), {"change_message_visibility": lambda self, **named: asked.append(named)})()
    monkeypatch.setattr("call_webhook.handler.client", lambda name: sqs if name == "sqs" else boto3.client(name))
    return asked


@pytest.mark.usefixtures("waits")
def test_every_attempt_is_in_the_log_with_its_reason(cloud: Cloud) -> None:
    recorded(cloud)
    with receiver(500) as hook:
        set_webhook(hook)
        with pytest.raises(Undelivered, match="answered 500"):
            deliver("job-succeeded", attempts=1)
        deliver("job-succeeded", attempts=2)
    newest, oldest = call("GET", "/webhook/deliveries").json["deliveries"]
    assert (oldest["delivered"], oldest["attempt"], oldest["detail"]) == (False, 1, "answered 500")
    assert (newest["delivered"], newest["attempt"]) == (True, 2)
    assert newest["messageId"] == oldest["messageId"] == f"{JOB_ID}-job-succeeded"
    assert call("GET", "/webhook/deliveries", claims={"sub": "stranger"}).json == {"deliveries": []}
    call("DELETE", "/webhook")
    assert call("GET", "/webhook/deliveries").json == {"deliveries": []}


def test_the_log_keeps_the_newest(cloud: Cloud) -> None:
    table = WebhookTable(cloud.table("webhooks"))
    for number in range(2 * MAX_DELIVERIES + 5):
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
        table.log("a", Delivery(at=at, message_id=str(number), type="t", job_id="j", attempt=1, delivered=True))
    assert [kept.message_id for kept in table.deliveries(["a"])] == [
        str(number) for number in range(2 * MAX_DELIVERIES + 4, MAX_DELIVERIES + 4, -1)
    ]
    stored = cloud.table("webhooks").get_item(Key={"owner": "log a"})["Item"]["deliveries"]
    assert len(stored) < 2 * MAX_DELIVERIES


def test_a_log_that_cannot_be_written_costs_no_call(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(cloud)

    def broken(*_: Any) -> None:
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow"}}, "UpdateItem")

    monkeypatch.setattr(WebhookTable, "log", broken)
    with receiver() as hook:
        set_webhook(hook)
        assert deliver("job-succeeded") == {"messageId": f"{JOB_ID}-job-succeeded"}
    assert len(hook.calls) == 1


def test_a_call_leads_to_the_page_that_streams_a_large_scene(cloud: Cloud) -> None:
    recorded(cloud)
    folder = sample_event("status/job-succeeded")["detail"]["outputs"]["scene.sog"].rpartition("/")[0]
    names = ("viewer/stream.html.gz", "lod/lod-meta.json")
    with receiver() as hook:
        set_webhook(hook)
        deliver("job-succeeded", outputs={name: f"{folder}/{name}" for name in names})
    (taken,) = hook.calls
    files = json.loads(taken.body)["links"]["files"]
    page, manifest = (files[name] for name in names)
    assert manifest.startswith(f"https://api.example.com/shared/{JOB_ID}.")
    assert page.endswith(f"#scene={quote(manifest, safe='')}")


def test_a_call_leads_to_the_page_and_to_the_files(cloud: Cloud) -> None:
    recorded(cloud)
    with receiver() as hook:
        set_webhook(hook)
        deliver("job-succeeded")
        deliver("job-failed")
    done, failed = (json.loads(taken.body)["links"] for taken in hook.calls)
    assert done["page"].endswith(f"#job={JOB_ID}")
    outputs = sample_event("status/job-succeeded")["detail"]["outputs"]
    assert done["files"].keys() == outputs.keys() | {"viewer.html"}
    assert all("Signature" in url for url in done["files"].values())
    assert datetime.fromisoformat(done["expireAt"]) > datetime.now(UTC)
    assert failed == {"page": done["page"], "files": {}}


def test_one_customer_does_not_see_anothers(cloud: Cloud) -> None:
    with receiver() as hook:
        set_webhook(hook)
    assert call("GET", "/webhook", claims={"sub": "stranger"}).json == {"url": None}


class Queue:
    """The template's queue with its dead letters; with short waits, so that a test sees them pass."""

    def __init__(self, most: int) -> None:
        self.sqs = boto3.client("sqs")
        self.dead = self.sqs.create_queue(QueueName="dead")["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=self.dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": most})
        self.url = self.sqs.create_queue(QueueName="calls", Attributes={"RedrivePolicy": policy})["QueueUrl"]

    def work(self) -> bool:
        """Handles one message as Lambda does; False if there is none."""
        answer = self.sqs.receive_message(QueueUrl=self.url, AttributeNames=["ApproximateReceiveCount"])
        for message in answer.get("Messages", []):
            record = {
                "body": message["Body"],
                "receiptHandle": message["ReceiptHandle"],
                "attributes": message["Attributes"],
            }
            try:
                invoke("call_webhook", {"Records": [record]})
            except Undelivered:
                return True
            self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
            return True
        return False


@pytest.fixture
def queue(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Queue:
    monkeypatch.setattr("call_webhook.handler.wait_after", lambda attempts: 0)
    made = Queue(most=4)
    monkeypatch.setenv("WEBHOOK_QUEUE", made.url)
    return made


def test_after_faults_of_the_receiver_the_call_comes_again(cloud: Cloud, queue: Queue) -> None:
    recorded(cloud)
    queue.sqs.send_message(QueueUrl=queue.url, MessageBody=json.dumps(sample_event("status/job-succeeded")))
    with receiver(500, 503) as hook:
        secret = set_webhook(hook)
        while queue.work():
            pass
    assert len(hook.calls) == 3
    assert all(taken.verified(secret) for taken in hook.calls)
    assert "Messages" not in queue.sqs.receive_message(QueueUrl=queue.dead)


def test_a_receiver_that_never_answers_well_is_given_up(cloud: Cloud, queue: Queue) -> None:
    recorded(cloud)
    sent = sample_event("status/job-succeeded")
    queue.sqs.send_message(QueueUrl=queue.url, MessageBody=json.dumps(sent))
    with receiver(always=500) as hook:
        set_webhook(hook)
        while queue.work():
            pass
    assert len(hook.calls) == 4
    (kept,) = queue.sqs.receive_message(QueueUrl=queue.dead)["Messages"]
    assert json.loads(kept["Body"]) == sent


def test_the_waits_grow_to_half_a_day() -> None:
    assert [wait_after(attempts) for attempts in range(1, 9)] == [5, 20, 80, 320, 1280, 5120, 20480, MAX_WAIT]


def test_the_next_attempt_waits_as_long_as_the_attempts_so_far_say(cloud: Cloud, waits: list[dict[str, Any]]) -> None:
    recorded(cloud)
    with receiver(always=500) as hook:
        set_webhook(hook)
        with pytest.raises(Undelivered, match="answered 500"):
            deliver("job-succeeded", attempts=3, receipt="r3")
    assert [(named["ReceiptHandle"], named["VisibilityTimeout"]) for named in waits] == [("r3", 80)]


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_who_changed_his_address_hears_no_more_of_jobs_that_come_with_the_old_one(cloud: Cloud, method: str) -> None:
    recorded(cloud, owner=f"mailto:{PILOT['email']}")
    with receiver() as hook:
        set_webhook(hook)
        moved = {**PILOT, "email": "moved@example.com"}
        call(method, "/webhook", {"url": hook.url} if method == "PUT" else None, claims=moved)
        assert deliver("job-succeeded") == {"messageId": None}
    assert hook.calls == []


def test_a_webhook_that_the_addresss_next_owner_has_set_stays(cloud: Cloud) -> None:
    recorded(cloud, owner=f"mailto:{PILOT['email']}")
    with receiver() as hook:
        set_webhook(hook)
        call("PUT", "/webhook", {"url": hook.url}, claims={**PILOT, "sub": "next-owner"})
        call("DELETE", "/webhook", claims={**PILOT, "email": "moved@example.com"})
        deliver("job-succeeded")
    assert len(hook.calls) == 1
