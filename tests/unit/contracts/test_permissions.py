"""Each function may do what its code does, and no more.

The calls are read from the code that a handler reaches; each is mapped to the IAM action that AWS checks for it
(https://docs.aws.amazon.com/service-authorization/latest/reference/).
"""

from __future__ import annotations

import re
from functools import cache

import botocore.loaders
import pytest
from botocore import xform_name

from tests.support.reach import Reached, reached_from
from tests.support.sam_template import Function, Template

TEMPLATE = Template.load()
FUNCTIONS = {function.name: function for function in TEMPLATE.functions}
# setting → logical name of the table
TABLES = {
    setting: value["Ref"]
    for variables in (TEMPLATE.global_variables, *(function.variables for function in FUNCTIONS.values()))
    for setting, value in variables.items()
    if setting.endswith("_TABLE")
}

# boto3 service → prefix of its IAM actions
PREFIX = {
    "s3": "s3",
    "dynamodb": "dynamodb",
    "events": "events",
    "sagemaker": "sagemaker",
    "sesv2": "ses",
    "sqs": "sqs",
    "stepfunctions": "states",
}
# actions whose name differs from the call's
NAMED_OTHERWISE = {
    "s3:HeadObject": "s3:GetObject",
    "s3:DeleteObjects": "s3:DeleteObject",
    "s3:DeleteObject": "s3:DeleteObjectVersion",  # because our code passes VersionId
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:CreateMultipartUpload": "s3:PutObject",
    "s3:UploadPart": "s3:PutObject",
    "s3:CompleteMultipartUpload": "s3:PutObject",
    "s3:ListParts": "s3:ListMultipartUploadParts",
}
# further actions that AWS checks when a call is made as our code makes it
ALSO_CHECKED = {
    "sagemaker:CreateProcessingJob": {"sagemaker:AddTags", "iam:PassRole"},  # because of Tags and RoleArn
    "sagemaker:CreateTrainingJob": {"sagemaker:AddTags", "iam:PassRole"},
    "s3:GetObject": {"s3:ListBucket"},  # without it, a missing object is reported as forbidden
    "ses:SendEmail": {"ses:SendRawEmail"},  # because of Content.Raw
}
# what Powertools calls on our behalf
IDEMPOTENCY = {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"}
# names of other functions that are also operations of a service in use: re.Pattern.search, socket.create_connection
NOT_CALLS = {"search", "create_connection"}
# calls of methods that are not reached, but have the name of one that is: JobsTable.find, a file's write, the record of
# a delivery
NAMESAKES = {
    "SweepJobsFunction": {("dynamodb:GetItem", "StageRunsTable")},
    "NotifyFunction": {("dynamodb:PutItem", "PaceTable")},
    "ApiFunction": {("dynamodb:PutItem", "PaceTable")},
    "CallWebhookFunction": {("dynamodb:UpdateItem", "JobsTable")},
}
# boto3's managed copy: not an operation of S3, but several
MANAGED_COPY = {"s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"}
SAGEMAKER_KINDS = ("processing", "training")

each_function = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)


@cache
def operations(service: str) -> dict[str, str]:
    """boto3's method names of a service, and the API operations that they call."""
    model = botocore.loaders.Loader().load_service_model(service, "service-2")
    return {xform_name(operation): operation for operation in model["operations"]}


def services(reached: Reached) -> set[str]:
    used = {service for service in PREFIX if service in reached.strings and "client" in reached.names}
    return used | ({"dynamodb"} if "table" in reached.names else set())


def methods(reached: Reached) -> set[str]:
    """Every word that could be a client's method, including those composed of a job's kind."""
    spelled = {
        "".join(part if part is not None else kind for part in template)
        for template in reached.templates
        for kind in SAGEMAKER_KINDS
    }
    return (set(reached.names) | set(reached.strings) | spelled) - NOT_CALLS


def needed(function: Function) -> set[str]:
    reached = reached_from(function.handler_module)
    called = {
        f"{PREFIX[service]}:{operations(service)[method]}"
        for service in services(reached)
        for method in methods(reached) & operations(service).keys()
    }
    called |= MANAGED_COPY if "managed_copy" in reached.names else set()
    actions = {NAMED_OTHERWISE.get(action, action) for action in called}
    actions |= {extra for action in actions for extra in ALSO_CHECKED.get(action, ())}
    if "VersionId" in reached.strings:
        actions.add("s3:GetObjectVersion")
    return actions | (IDEMPOTENCY if "DynamoDBPersistenceLayer" in reached.names else set())


@each_function
def test_a_function_may_do_all_that_its_code_does(function: Function) -> None:
    assert needed(function) - function.actions() == set()


@each_function
def test_a_function_may_do_nothing_more(function: Function) -> None:
    assert function.actions() - needed(function) == set()


@each_function
def test_a_function_may_do_with_each_table_what_its_code_does(function: Function) -> None:
    """What it may do with one table must not stand for what it has to do with another."""
    reached = reached_from(function.handler_module)
    read = {setting for setting in reached.names if setting.upper() in TABLES}
    assert read - {setting for _, setting in reached.tables} <= {"idempotency_table"}
    wanted = {
        (f"dynamodb:{operations('dynamodb')[method]}", TABLES[setting.upper()])
        for owner, setting in reached.tables
        for method in reached.by_class[owner] & operations("dynamodb").keys()
    }
    if "DynamoDBPersistenceLayer" in reached.names:
        wanted |= {(action, TABLES["IDEMPOTENCY_TABLE"]) for action in IDEMPOTENCY}
    assert function.permissions("dynamodb") == wanted - NAMESAKES.get(function.name, set())


@each_function
def test_a_function_may_see_that_an_object_which_it_may_read_is_not_there(function: Function) -> None:
    """Without s3:ListBucket, S3 answers 403 instead of 404."""
    allowed = function.permissions("s3")
    read = {bucket for action, bucket in allowed if action == "s3:GetObject"}
    assert read <= {bucket for action, bucket in allowed if action == "s3:ListBucket"}


@each_function
def test_no_action_is_a_wildcard(function: Function) -> None:
    assert all(re.fullmatch(r"[a-z0-9]+:[A-Za-z]+", action) for action in function.actions())


def test_every_service_that_is_called_is_known() -> None:
    """Calls of a service that is missing above would not be checked."""
    for function in FUNCTIONS.values():
        reached = reached_from(function.handler_module)
        known = {service for service in reached.strings if service in ALL_SERVICES and "client" in reached.names}
        assert known <= PREFIX.keys() | WORDS_THAT_ARE_ALSO_SERVICES


ALL_SERVICES = frozenset(botocore.loaders.Loader().list_available_services("service-2"))
WORDS_THAT_ARE_ALSO_SERVICES = {"ses", "schemas"}
