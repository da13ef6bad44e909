"""Use the pipeline as a customer and a subscriber do, with boto3: upload, subscribe, download, read mail."""

from __future__ import annotations

import json
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from contract.blocks import BlockName
from contract.events import JOB_STATUS, SOURCE
from local.address import ACCOUNT, Address, get
from local.folders import move
from local.sagemaker.transfer import split_uri

MAIL_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class StatusEvent:
    """One event of the status bus. `type` is the detail type: Job Started, Stage Progressed …"""

    type: str
    job_id: str
    sequence: int
    at: datetime
    progress: float
    message: str
    stage: str | None = None
    attempt: int | None = None
    block: BlockName | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    error: dict[str, Any] | None = None
    outputs: dict[str, str] = field(default_factory=dict)

    @property
    def ends_job(self) -> bool:
        return self.type in JOB_STATUS

    @classmethod
    def parse(cls, event: Mapping[str, Any]) -> StatusEvent:
        """From the EventBridge envelope. Raises KeyError when a member of the contract is missing."""
        detail = event["detail"]
        return cls(
            type=event["detail-type"],
            job_id=detail["jobId"],
            sequence=detail["sequence"],
            at=datetime.fromisoformat(detail["at"]),
            progress=detail["progress"],
            message=detail["message"],
            stage=detail.get("stage"),
            attempt=detail.get("attempt"),
            block=detail.get("block"),
            metrics=detail.get("metrics", {}),
            error=detail.get("error"),
            outputs=detail.get("outputs", {}),
        )


@dataclass(frozen=True)
class Mail:
    """A mail in the SES inbox."""

    to: tuple[str, ...]
    subject: str
    text: str
    html: str

    @property
    def tells_outcome(self) -> bool:
        """Whether the mail announces the end of a job; otherwise it announces its start."""
        return not self.subject.startswith("We are making ")

    def page(self, address: Address, outputs: Mapping[str, str]) -> str:
        """The HTML as a file in the delivered folder: its picture and its links are the files beside it."""
        html = re.sub(r'src="cid:[^"]*"', 'src="preview.png"', self.html)
        for name, uri in outputs.items():
            bucket, key = split_uri(uri)
            presigned = re.escape(f"{address.url}/{bucket}/{quote(key)}") + r'\?[^"]*'
            html = re.sub(f'href="{presigned}"', f'href="{name}"', html)
        return html


class Subscription:
    """A queue that receives the status events of a bus."""

    def __init__(self, sqs: Any, queue_url: str) -> None:
        self._sqs, self._queue_url = sqs, queue_url

    def receive(self, wait_seconds: int = 1) -> list[StatusEvent]:
        """The events that have come, after waiting for the first one at most `wait_seconds` (0..20)."""
        answer = self._sqs.receive_message(
            QueueUrl=self._queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=wait_seconds
        )
        events = []
        for message in answer.get("Messages", []):
            events.append(StatusEvent.parse(json.loads(message["Body"])))
            self._sqs.delete_message(QueueUrl=self._queue_url, ReceiptHandle=message["ReceiptHandle"])
        return events

    def follow(self, timeout: float, check: Callable[[], None] = lambda: None) -> Iterator[StatusEvent]:
        """Yield events up to and including the one that ends the job.

        Calls `check` every few seconds and passes on what it raises. Raises TimeoutError if the job has not ended after
        `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            check()
            events = self.receive()
            if any(event.ends_job for event in events):
                events += self.receive(wait_seconds=0)  # events that the final event has overtaken
                yield from sorted(events, key=lambda event: event.ends_job)
                return
            yield from events
        raise TimeoutError(f"no end of the job after {timeout:.0f} s")


@contextmanager
def subscribed(address: Address, bus: str, job_id: str | None = None) -> Iterator[Subscription]:
    """A queue on the status bus for the length of the block, for one job or for all."""
    sqs, events = address.client("sqs"), address.client("events")
    name = f"status-{uuid.uuid4().hex[:12]}"
    queue_url = sqs.create_queue(QueueName=name)["QueueUrl"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern: dict[str, Any] = {"source": [SOURCE]}
    if job_id is not None:
        pattern["detail"] = {"jobId": [job_id]}
    rule_arn = events.put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps(pattern))["RuleArn"]
    sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"Policy": _queue_policy(queue_arn, rule_arn)})
    events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "queue", "Arn": queue_arn}])
    try:
        yield Subscription(sqs, queue_url)
    finally:
        events.remove_targets(Rule=name, EventBusName=bus, Ids=["queue"])
        events.delete_rule(Name=name, EventBusName=bus)
        sqs.delete_queue(QueueUrl=queue_url)


def _queue_policy(queue_arn: str, rule_arn: str) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule_arn}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def upload(address: Address, bucket: str, path: Path, options: Mapping[str, str], key: str | None = None) -> str:
    """Put a file in the uploads bucket with the job's options as metadata; returns its key."""
    key = key or path.name
    address.client("s3").upload_file(str(path), bucket, key, ExtraArgs={"Metadata": dict(options)})
    return key


def fetch(address: Address, outputs: Mapping[str, str], folder: Path) -> list[Path]:
    """Copy a job's outputs (name → s3 URI) to `folder`, either completely or not at all.

    Raises OSError if the disk is full, or if `folder` is not empty.
    """
    s3 = address.client("s3")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        for name, uri in outputs.items():
            path = (partial / name).resolve()
            if not path.is_relative_to(partial.resolve()):
                raise ValueError(f"output {name!r} lies outside the delivered folder")
            path.parent.mkdir(parents=True, exist_ok=True)
            bucket, key = split_uri(uri)
            s3.download_file(bucket, key, str(path))
        move(partial, folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return [folder / name for name in outputs]


def inbox(address: Address, to: str) -> list[Mail]:
    """Every mail sent to an address, oldest first."""
    answer = json.loads(get(f"{address.url}/_ministack/ses/messages?account={ACCOUNT}"))
    messages = answer["messages"].get(ACCOUNT, [])
    mails = [
        Mail(tuple(message["To"]), message["Subject"], message["BodyText"] or "", message["BodyHtml"] or "")
        for message in messages
    ]
    return [mail for mail in mails if to in mail.to]


def wait_for_mail(address: Address, to: str, timeout: float) -> Mail | None:
    """The latest mail to an address about a job's outcome; waits up to `timeout` seconds for the first one."""
    deadline = time.monotonic() + timeout
    while not (mails := [mail for mail in inbox(address, to) if mail.tells_outcome]):
        if time.monotonic() > deadline:
            return None
        time.sleep(MAIL_POLL_SECONDS)
    return mails[-1]
