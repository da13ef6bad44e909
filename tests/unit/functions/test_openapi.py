"""The API's description: names, summaries, examples and webhooks for readers and for generators of clients."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest

from api import handler
from api.examples import EXAMPLES
from api.models import UploadRequest
from call_webhook.call import content_of
from domain.event_bridge import StatusMessage
from domain.job import JobOptions
from domain.job_item import JobItem
from tests.support.cloud import Cloud
from tests.support.events import sample_event
from tests.support.http_api import call

SCHEMA: dict[str, Any] = json.loads(json.dumps(handler.openapi()))
OPERATIONS = [
    (f"{method.upper()} {path}", operation)
    for path, methods in SCHEMA["paths"].items()
    for method, operation in methods.items()
]
OUTCOMES = ["job-started", "job-succeeded", "job-failed", "job-rejected", "job-stopped"]


def schema_named(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}", "components": SCHEMA["components"]}


@pytest.mark.parametrize(("route", "operation"), OPERATIONS, ids=[route for route, _ in OPERATIONS])
def test_every_operation_says_what_it_does(route: str, operation: dict[str, Any]) -> None:
    assert re.fullmatch(r"[a-z]+([A-Z][a-z]+)+", operation["operationId"]), route
    assert operation["summary"] != route
    assert operation["description"].startswith(operation["summary"])
    assert operation["description"].endswith(".")
    assert operation["tags"][0] in {tag["name"] for tag in SCHEMA["tags"]}


def test_names_of_operations_are_their_own() -> None:
    names = [operation["operationId"] for _, operation in OPERATIONS]
    assert len(set(names)) == len(names)
    assert {"startJob", "lookAtUpload", "tryWebhook"} <= set(names)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_what_its_schema_allows(name: str) -> None:
    jsonschema.validate(EXAMPLES[name], schema_named(name))
    assert SCHEMA["components"]["schemas"][name]["examples"] == [EXAMPLES[name]]


def test_every_body_of_a_request_or_answer_has_an_example() -> None:
    used = {
        media["schema"]["$ref"].rpartition("/")[2]
        for _, operation in OPERATIONS
        for said in [operation.get("requestBody", {}), *operation["responses"].values()]
        for media in said.get("content", {}).values()
        if "$ref" in media["schema"]
    }
    assert used - EXAMPLES.keys() == set()


@pytest.mark.parametrize("name", OUTCOMES)
def test_a_webhook_receives_what_is_described(name: str) -> None:
    event = StatusMessage.model_validate(sample_event(f"status/{name}")).status
    body = {**content_of(event, JobItem(job_id="a-0", name="a")), "links": {"page": "https://a/#job=a-0", "files": {}}}
    jsonschema.validate(body, schema_named("WebhookCall"))
    described = SCHEMA["webhooks"]["job"]["post"]
    assert described["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/WebhookCall"
    }


def test_options_are_given_the_same_way_to_both_that_start_a_job(cloud: Cloud) -> None:
    options = {"quality": "high", "trainingSteps": 500}
    nested = {"fileName": "a.zip", "bytes": 10, "options": options}
    flat = {"fileName": "a.zip", "bytes": 10, **options}
    parsed = [UploadRequest.model_validate(request) for request in (nested, flat)]
    assert [JobOptions(**request.model_dump(include=set(JobOptions.model_fields))) for request in parsed] == [
        JobOptions.model_validate(options)
    ] * 2
    assert call("POST", "/uploads", nested).status == 201
    answer = call("POST", "/uploads", {**nested, "options": {"colour": "red"}})
    assert (answer.status, answer.json["code"]) == (422, "INVALID_REQUEST")
    assert "colour: there is no such field" in answer.json["detail"]
