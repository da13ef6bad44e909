"""Requests are validated as the API validates them."""

import copy
from typing import Any

import pytest

from local.sagemaker.validation import RequestError, validate

REQUEST: dict[str, Any] = {
    "ProcessingJobName": "job-1",
    "RoleArn": "arn:aws:iam::123456789012:role/sagemaker",
    "AppSpecification": {"ImageUri": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/spaceport/sfm:1"},
    "ProcessingResources": {"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 1}},
    "Tags": [{"Key": "spaceport:job", "Value": "strandhäuser 1"}],
}


def changed(path: str, value: object) -> dict[str, Any]:
    request: dict[str, Any] = copy.deepcopy(REQUEST)
    *parents, last = path.split(".")
    inner = request
    for name in parents:
        inner = inner[name]
    inner[last] = value
    return request


def test_a_right_request_passes() -> None:
    validate("CreateProcessingJob", REQUEST)


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("ProcessingJobName", "a" * 64, "less than or equal to 63"),
        ("ProcessingJobName", "no_underscores", "regular expression"),
        ("ProcessingJobName", 5, "must be a string"),
        ("RoleArn", None, "RoleArn"),
        ("Environment", {"SCENE_NAME": "x" * 257}, "Environment.SCENE_NAME.value"),
        ("ProcessingResources.ClusterConfig.InstanceType", "ml.fast", "enum"),
        ("ProcessingResources.ClusterConfig.InstanceCount", 0, "greater than or equal to 1"),
        ("ProcessingResources.ClusterConfig.InstanceCount", True, "must be a integer"),
        ("Tags", [{"Key": "a", "Value": "<b>"}], "Tags.1.member.Value"),
        ("Surprise", 1, "Unknown member 'Surprise'"),
    ],
)
def test_a_wrong_request_is_refused_by_name(path: str, value: object, named: str) -> None:
    with pytest.raises(RequestError, match="validation error") as refusal:
        validate("CreateProcessingJob", changed(path, value))
    assert refusal.value.code == "ValidationException"
    assert named in refusal.value.message
