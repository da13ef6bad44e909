"""The template's alarms on the local cloud: each fires on its metric, and its topic receives the message."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from local.address import Address
from local.cloud import ROOT, attached_cloud
from local.deploy import deploy
from tests.support.sam_template import Template
from tests.support.waiting import wait_until

ALARMS = Template.load().of_type("AWS::CloudWatch::Alarm")
OURS = {"HeldBySpending": (0.0, 1.0), "OldestJobHours": (23.0, 25.0)}
"""Metrics of our own: a value that is no trouble yet, and one that, added or alone, is."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Address, dict[str, str]]]:
    folder = tmp_path_factory.mktemp("cloud")
    with attached_cloud(folder / "state") as cloud:
        yield cloud.address, deploy(cloud.address, ROOT / "template.yaml", folder / "cache")


@pytest.fixture(scope="module")
def queue(stack: tuple[Address, dict[str, str]]) -> str:
    """Receives the messages of the alarms' topic."""
    address, outputs = stack
    sqs = address.client("sqs")
    url: str = sqs.create_queue(QueueName="listener")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    address.client("sns").subscribe(TopicArn=outputs["AlarmsTopicArn"], Protocol="sqs", Endpoint=arn)
    return url


def raised(address: Address, queue: str) -> set[str]:
    """Names of the alarms that notified the topic since the last call."""
    names = set()
    while found := address.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        for message in found:
            address.client("sqs").delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            body = json.loads(json.loads(message["Body"])["Message"])
            names |= {body["AlarmName"]} if body["NewStateValue"] == "ALARM" else set()
    return names


def all_raised(address: Address, queue: str, expected: set[str]) -> set[str]:
    """Names of the alarms that have notified the topic, once these have."""
    names: set[str] = set()

    def complete() -> bool:
        names.update(raised(address, queue))
        return names >= expected

    wait_until(complete, what=f"{len(expected)} alarms were not raised")
    return names


def test_alarms_are_raised_past_their_thresholds_and_not_before(
    stack: tuple[Address, dict[str, str]], queue: str
) -> None:
    cloudwatch = stack[0].client("cloudwatch")
    alarms = cloudwatch.describe_alarms()["MetricAlarms"]
    assert len(alarms) == len(ALARMS)

    def measure(which: int) -> None:
        for alarm in alarms:
            value = OURS.get(alarm["MetricName"], (0.0, alarm["Threshold"] + 1))[which]
            datum = {"MetricName": alarm["MetricName"], "Dimensions": alarm["Dimensions"], "Value": value}
            cloudwatch.put_metric_data(Namespace=alarm["Namespace"], MetricData=[datum])

    measure(0)
    assert raised(stack[0], queue) == set()
    measure(1)
    expected = {alarm["AlarmName"] for alarm in alarms}
    assert all_raised(stack[0], queue, expected) == expected


def test_what_the_functions_measure_is_what_the_alarms_look_at() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "functions").rglob("*.py"))
    measured = set(re.findall(r'add_metric\(name="(\w+)"', code))
    own = [alarm["Properties"] for alarm in ALARMS.values() if not _is_of_aws(alarm["Properties"]["Namespace"])]
    assert OURS.keys() <= {alarm["MetricName"] for alarm in own} <= measured
    namespaces = [alarm["Namespace"] for alarm in own]
    assert namespaces == [Template.load().global_variables["POWERTOOLS_METRICS_NAMESPACE"]] * len(own)


def test_every_alarm_notifies_the_topic() -> None:
    assert all(alarm["Properties"]["AlarmActions"] == [{"Ref": "Alarms"}] for alarm in ALARMS.values())


def _is_of_aws(namespace: Any) -> bool:
    return isinstance(namespace, str) and namespace.startswith("AWS/")
