"""A subscriber of the status bus, made by the instructions for other teams in events/README.md: a team that keeps a
ledger of delivered scenes. It sees each outcome once even if events are delivered twice, and catches up from the
archive. The same jobs reach a customer's webhook."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from local.cloud import ROOT, attached_cloud
from local.customer import upload
from local.deploy import deploy_pipeline
from local.web import api_url, sign_in
from tests.support.archives import photos, zip_of
from tests.support.receiver import receiver

PLAYED = Path(__file__).parent / "fixtures" / "page"
SCHEMA = json.loads((ROOT / "events/schemas/status-event.schema.json").read_text(encoding="utf-8"))


@dataclass
class Site:
    address: Any
    outputs: dict[str, str]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with attached_cloud(tmp_path_factory.mktemp("cloud"), root=PLAYED) as cloud:
        yield Site(cloud.address, deploy_pipeline(cloud.address, ROOT))


# ── the example ──


@dataclass
class Ledger:
    """What happened to each job. `newest`: the largest sequence received, because events arrive in any order and
    twice."""

    newest: dict[str, int] = field(default_factory=dict)
    became: dict[str, str] = field(default_factory=dict)

    def take(self, event: dict[str, Any]) -> None:
        job, sequence = event["detail"]["jobId"], event["detail"]["sequence"]
        if sequence > self.newest.get(job, -1):
            self.newest[job], self.became[job] = sequence, event["detail-type"]


class Subscriber:
    """A rule on the bus and a queue behind it, made only from the stack's outputs."""

    def __init__(self, site: Site, name: str) -> None:
        self.events, self.sqs = site.address.client("events"), site.address.client("sqs")
        self.queue = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        self.bus = site.outputs["StatusBusName"]
        pattern = {"source": ["spaceport.pipeline"], "detail-type": ["Job Succeeded", "Job Rejected", "Job Failed"]}
        rule = self.events.put_rule(Name=name, EventBusName=self.bus, EventPattern=json.dumps(pattern))
        self.sqs.set_queue_attributes(QueueUrl=self.queue, Attributes={"Policy": _may_send(arn, rule["RuleArn"])})
        self.events.put_targets(Rule=name, EventBusName=self.bus, Targets=[{"Id": "queue", "Arn": arn}])
        self.ledger = Ledger()
        self.taken: list[dict[str, Any]] = []

    def work(self) -> None:
        answer = self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10)
        for message in answer.get("Messages", []):
            event = json.loads(message["Body"])
            jsonschema.validate(event, SCHEMA, format_checker=jsonschema.FormatChecker())
            self.taken.append(event)
            self.ledger.take(event)
            self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])


def _may_send(queue: str, rule: str) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


# ── what it does ──


def request(method: str, url: str, token: str, body: Any = None) -> Any:
    sent = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, sent, headers, method=method), timeout=60) as answer:
        content = answer.read()
        return json.loads(content) if content else None


def until(condition: Callable[[], bool], subscriber: Subscriber, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, subscriber.taken
        subscriber.work()
        time.sleep(0.1)


def test_a_subscriber_receives_every_final_event_and_catches_up_from_the_archive(site: Site, tmp_path: Path) -> None:
    began = datetime.now(UTC) - timedelta(seconds=5)
    first = Subscriber(site, "ledger")
    good, bad = tmp_path / "meadow.zip", tmp_path / "broken.zip"
    good.write_bytes(zip_of(photos(8)))
    bad.write_bytes(b"no archive at all")
    for path in (good, bad):
        upload(site.address, site.outputs["UploadsBucket"], path, {"quality": "preview"})
    until(lambda: len(first.ledger.became) == 2, first)
    assert sorted(first.ledger.became.values()) == ["Job Rejected", "Job Succeeded"]

    # a team that starts later replays the events that it missed, to its own rule only
    second = Subscriber(site, "later")
    replayed = first.events.start_replay(
        ReplayName="for-later",
        EventSourceArn=site.outputs["StatusArchiveArn"],
        EventStartTime=began,
        EventEndTime=datetime.now(UTC) + timedelta(seconds=5),
        Destination={
            "Arn": first.events.describe_event_bus(Name=first.bus)["Arn"],
            "FilterArns": [first.events.describe_rule(Name="later", EventBusName=first.bus)["Arn"]],
        },
    )
    assert replayed["State"] == "STARTING"
    until(lambda: second.ledger.became == first.ledger.became, second)

    # a repeated event changes nothing for a subscriber that has received it
    before = dict(first.ledger.became)
    for event in list(second.taken):
        first.ledger.take(event)
    assert first.ledger.became == before


def test_a_customers_webhook_is_called_signed_and_again_after_a_fault(site: Site, tmp_path: Path) -> None:
    token = sign_in(site.address, site.outputs)["id_token"]
    api = api_url(site.address, site.outputs)
    path = tmp_path / "hooked.zip"
    path.write_bytes(zip_of(photos(8)))
    key = upload(site.address, site.outputs["UploadsBucket"], path, {"email": "pilot@example.com"})
    assert key == "hooked.zip"
    with receiver(500) as hook:
        secret = request("PUT", f"{api}/webhook", token, {"url": hook.url})["secret"]
        deadline = time.monotonic() + 300
        while "job-succeeded" not in "".join(call.headers["webhook-id"] for call in hook.calls):
            assert time.monotonic() < deadline, [call.headers["webhook-id"] for call in hook.calls]
            time.sleep(0.1)
        refused = hook.calls[0].headers["webhook-id"]
        while [call.headers["webhook-id"] for call in hook.calls].count(refused) < 2:
            assert time.monotonic() < deadline, "not tried again"
            time.sleep(0.1)
        request("DELETE", f"{api}/webhook", token)
    assert all(call.verified(secret) for call in hook.calls)
    assert json.loads(hook.calls[-1].body)["data"]["jobId"].startswith("hooked-")
