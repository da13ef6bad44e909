"""A stack creates and stops SageMaker jobs that carry its own tag; dev and production share an account's names."""

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
    """Another stack's job could be stopped once it carried this stack's tag."""
    found = list(statements("sagemaker:AddTags"))
    creating = ["CreateProcessingJob", "CreateTrainingJob"]
    assert found
    assert all(each["Condition"] == {"StringEquals": {"sagemaker:TaggingAction": creating}} for each in found)


def test_the_tag_that_jobs_get_is_the_one_that_is_compared() -> None:
    assert Template.load().global_variables["STACK"] == OWN
