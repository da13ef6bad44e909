"""What a failed first deploy leaves behind, what outlives the stack, and what a young account has room for."""

from __future__ import annotations

from pathlib import Path

import pytest

from contract.stages import Stage
from tests.support.sam_template import Template

ROOT = Path(__file__).parents[3]
TEMPLATE = Template.load()
# customers' data and what is needed to read them; everything else can be created again
KEPT = {
    "AccessLogsBucket",
    "CustomerPool",
    "DataKey",
    "JobsTable",
    "MailboxTable",
    "ResultsBucket",
    "UploadsBucket",
    "WebhookTable",
}
# a concurrency of one: no two sweeps reconcile the same end
NEEDS_A_RESERVE = {"SweepJobsFunction"}


def test_what_customers_own_outlives_the_stack() -> None:
    kept = {name for name, resource in TEMPLATE.resources.items() if "DeletionPolicy" in resource}
    assert kept == KEPT


@pytest.mark.parametrize("name", sorted(KEPT))
def test_a_failed_first_deploy_leaves_nothing_that_blocks_the_second(name: str) -> None:
    """With Retain, resources would survive the rollback of a creation and block their fixed names."""
    assert TEMPLATE.resources[name]["DeletionPolicy"] == "RetainExceptOnCreate"
    assert TEMPLATE.resources[name]["UpdateReplacePolicy"] == "Retain"


def test_the_page_says_for_how_long_photos_are_kept() -> None:
    rules = {
        rule["Id"]: rule
        for bucket in ("UploadsBucket", "ResultsBucket")
        for rule in TEMPLATE.resources[bucket]["Properties"]["LifecycleConfiguration"]["Rules"]
    }
    expiring = {rule["ExpirationInDays"] for rule in rules.values() if "ExpirationInDays" in rule}
    versions = [
        rule["NoncurrentVersionExpiration"]["NoncurrentDays"] for rule in rules.values() if "Noncurrent" in str(rule)
    ]
    page = (ROOT / "web" / "index.html").read_text(encoding="utf-8")
    assert f"Photos and interim results {expiring.pop()} days. " in page
    assert expiring == set()
    assert f"Files that you delete are gone for good within {max(versions)} days; " in page
    archive = TEMPLATE.resources["StatusArchive"]["Properties"]["RetentionDays"]
    logs = [resource["Properties"]["RetentionInDays"] for resource in TEMPLATE.of_type("AWS::Logs::LogGroup").values()]
    assert max(archive, *logs) == 90
    assert "stay in the operator's records for up to 90 days." in page


@pytest.mark.parametrize(("bucket", "days"), [("UploadsBucket", 7), ("ResultsBucket", 14)])
def test_what_a_customer_deletes_is_gone_within_two_weeks_and_leaves_no_name(bucket: str, days: int) -> None:
    """In a versioned bucket, a deletion makes the object an older version behind a marker with its name."""
    properties = TEMPLATE.resources[bucket]["Properties"]
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    whole = [rule for rule in properties["LifecycleConfiguration"]["Rules"] if "Prefix" not in rule]
    assert {rule["Status"] for rule in whole} == {"Enabled"}
    (versions,) = [rule for rule in whole if "NoncurrentVersionExpiration" in rule]
    assert versions["NoncurrentVersionExpiration"] == {"NoncurrentDays": days}
    # S3 refuses it in a rule that also expires objects
    (markers,) = [rule for rule in whole if rule.get("ExpiredObjectDeleteMarker")]
    assert "ExpirationInDays" not in markers


def test_a_repository_with_images_does_not_stop_the_deletion_of_the_stack() -> None:
    repositories = TEMPLATE.of_type("AWS::ECR::Repository").values()
    assert [each["Properties"].get("EmptyOnDelete") for each in repositories] == [True] * len(Stage)


def test_an_account_with_few_concurrent_executions_can_take_the_stack() -> None:
    """New accounts may have as few as 10; reserved concurrency takes its number away from all other functions."""
    assert TEMPLATE.parameters["ReserveConcurrency"]["Default"] == "false"
    always = {
        function.name: reserve
        for function in TEMPLATE.functions
        if isinstance(reserve := function.properties.get("ReservedConcurrentExecutions"), int)
    }
    assert always == dict.fromkeys(NEEDS_A_RESERVE, 1)


def test_the_reserves_of_a_grown_account_are_what_the_parameter_says() -> None:
    reserves = [
        reserve["Fn::If"][1]
        for function in TEMPLATE.functions
        if isinstance(reserve := function.properties.get("ReservedConcurrentExecutions"), dict)
    ]
    total = sum(map(int, reserves))
    assert f"Reserve {total} concurrent" in TEMPLATE.parameters["ReserveConcurrency"]["Description"]
