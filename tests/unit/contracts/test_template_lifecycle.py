"""What a failed first deploy leaves behind, what outlives the stack, and what a young account can give it."""

from __future__ import annotations

import pytest

from contract.stages import Stage
from tests.support.sam_template import Template

TEMPLATE = Template.load()
# customers' data and what reads it; everything else can be made anew
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
# one at a time: no two sweeps reconcile the same end
NEEDS_A_RESERVE = {"SweepJobsFunction"}


def test_what_customers_own_outlives_the_stack() -> None:
    kept = {name for name, resource in TEMPLATE.resources.items() if "DeletionPolicy" in resource}
    assert kept == KEPT


@pytest.mark.parametrize("name", sorted(KEPT))
def test_a_failed_first_deploy_leaves_nothing_that_blocks_the_second(name: str) -> None:
    """Retain would survive the rollback of a creation, and fixed names could not be taken again."""
    assert TEMPLATE.resources[name]["DeletionPolicy"] == "RetainExceptOnCreate"
    assert TEMPLATE.resources[name]["UpdateReplacePolicy"] == "Retain"


def test_a_repository_with_images_does_not_stop_the_deletion_of_the_stack() -> None:
    repositories = TEMPLATE.of_type("AWS::ECR::Repository").values()
    assert [each["Properties"].get("EmptyOnDelete") for each in repositories] == [True] * len(Stage)


def test_an_account_with_few_concurrent_executions_can_take_the_stack() -> None:
    """Accounts begin with as few as 10; a reserve takes its number away from all other functions."""
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
