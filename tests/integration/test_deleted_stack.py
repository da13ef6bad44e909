"""A deleted stack: what outlives it, and a new stack that takes over its results (docs/runbook.md, Restore)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from botocore.exceptions import ClientError

from local.address import ACCOUNT, Address
from local.cloud import ROOT, attached_cloud
from local.deploy import STACK, deploy, deploy_pipeline

DELETE_SECONDS = 60.0
SCENE = "jobs/meadow/scene.sog"


def exists(address: Address, stack: str) -> bool:
    with suppress(ClientError):
        address.client("cloudformation").describe_stacks(StackName=stack)
        return True
    return False


@pytest.fixture(scope="module")
def after_deletion(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """A cloud in which the stack delivered a scene and was then deleted."""
    with attached_cloud(tmp_path_factory.mktemp("cloud")) as cloud:
        outputs = deploy_pipeline(cloud.address, ROOT)
        cloud.address.client("s3").put_object(Bucket=outputs["ResultsBucket"], Key=SCENE, Body=b"splat")
        cloud.address.client("cloudformation").delete_stack(StackName=STACK)
        deadline = time.monotonic() + DELETE_SECONDS
        while exists(cloud.address, STACK):
            assert time.monotonic() < deadline, "the stack is still there"
            time.sleep(0.2)
        yield cloud.address


def test_what_customers_own_is_kept_and_nothing_else(after_deletion: Address) -> None:
    buckets = {each["Name"] for each in after_deletion.client("s3").list_buckets()["Buckets"]}
    own = {name for name in buckets if name.startswith("spaceport-dev-")}
    assert own == {f"spaceport-dev-{kept}-{ACCOUNT}" for kept in ("uploads", "results", "access-logs")}
    tables = after_deletion.client("dynamodb").list_tables()["TableNames"]
    assert sorted(name.split("-")[1] for name in tables) == ["JobsTable", "MailboxTable", "WebhookTable"]
    pools = after_deletion.client("cognito-idp").list_user_pools(MaxResults=10)["UserPools"]
    assert [pool["Name"] for pool in pools] == ["spaceport-dev"]
    assert len(after_deletion.client("kms").list_keys()["Keys"]) == 1
    assert after_deletion.client("stepfunctions").list_state_machines()["stateMachines"] == []


def test_a_stack_of_another_stage_takes_the_results_over(after_deletion: Address) -> None:
    parameters = {"Stage": "dev2", "WebhookTargets": "any"}
    outputs = deploy(after_deletion, ROOT / "template.yaml", ROOT / ".build", parameters, stack="spaceport-dev2")
    s3, bucket = after_deletion.client("s3"), outputs["ResultsBucket"]
    s3.copy_object(Bucket=bucket, Key=SCENE, CopySource=f"spaceport-dev-results-{ACCOUNT}/{SCENE}")
    assert bucket == f"spaceport-dev2-results-{ACCOUNT}"
    assert s3.get_object(Bucket=bucket, Key=SCENE)["Body"].read() == b"splat"
