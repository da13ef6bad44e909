"""A stack creates and stops only SageMaker jobs with its own tag; dev and production share an account's names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.sam_template import Template

OWN = {"Fn::Sub": "spaceport-${Stage}"}


def statements(action: str) -> Iterator[dict[str, Any]]:
    for function in Template.load().functions:
        for policy in function.properties.get("Policies", []):
            yield from (each for each in policy.get("Statement", []) if action in each["Action"])


@pytest.mark.parametrize("kind", ["Processing", "Training"])
@pytest.mark.parametrize(("verb", "key"), [("Create", "aws:RequestTag"), ("Stop", "aws:ResourceTag")])
def test_a_job_is_created_and_stopped_as_this_stacks(kind: str, verb: str, key: str) -> None:
    found = list(statements(f"sagemaker:{verb}{kind}Job"))
    assert found
    assert all(each["Condition"] == {"StringEquals": {f"{key}/spaceport:stack": OWN}} for each in found)


def test_a_job_that_is_there_is_not_tagged_anew() -> None:
    """With this stack's tag, another stack's job could be stopped."""
    found = list(statements("sagemaker:AddTags"))
    creating = ["CreateProcessingJob", "CreateTrainingJob"]
    assert found
    assert all(each["Condition"] == {"StringEquals": {"sagemaker:TaggingAction": creating}} for each in found)


def test_the_tag_that_jobs_get_is_the_one_that_is_compared() -> None:
    assert Template.load().global_variables["STACK"] == OWN


def of_stages(action: str) -> list[dict[str, Any]]:
    (policy,) = Template.load().resources["SageMakerRole"]["Properties"]["Policies"]
    return [each for each in policy["PolicyDocument"]["Statement"] if action in each["Action"]]


def test_a_jobs_role_publishes_what_its_machine_does_and_no_metric_of_others() -> None:
    """Without this permission, SageMaker shows no graphs of a job's processor, GPU, memory and disk; alarms read other
    namespaces."""
    (statement,) = of_stages("cloudwatch:PutMetricData")
    namespaces = {"cloudwatch:namespace": ["/aws/sagemaker/ProcessingJobs", "/aws/sagemaker/TrainingJobs"]}
    assert statement["Condition"] == {"StringEquals": namespaces}


def test_a_jobs_role_may_encrypt_what_it_leaves_and_read_nothing_but_through_s3() -> None:
    (statement,) = of_stages("kms:Encrypt")
    assert statement["Resource"] == {"Fn::GetAtt": "DataKey.Arn"}
    assert set(statement["Action"]) == {"kms:Encrypt", "kms:GenerateDataKey"}
    assert of_stages("kms:Decrypt") == []
