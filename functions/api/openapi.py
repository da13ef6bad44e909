"""The API's description in OpenAPI 3.1, generated from the routes and models."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from aws_lambda_powertools.event_handler.openapi.models import Tag
from pydantic import BaseModel
from pydantic.alias_generators import to_camel

from api.examples import EXAMPLES, WEBHOOK_CALL, WEBHOOKS
from api.models import GatewayMessage, Problem
from api.problem import CONTENT_TYPE

VERSION = "1.0.0"
DESCRIPTION = """\
Drone photos in, a compressed 3D Gaussian splat out.

1. `POST /uploads` announces a ZIP (or a trained splat, `.ply`) and returns links. `PUT` each part to its link;
   `POST /uploads/{uploadId}/complete` starts the job. For a file that is already in S3, call `POST /start-job`.
2. `GET /jobs/{jobId}` returns the job's progress. Poll it until `status` is `SUCCEEDED`, `FAILED`, `REJECTED` or
   `STOPPED`, or let a webhook or the EventBridge bus notify you.
3. The job's `links` lead to the results. They expire; the same call makes new ones.

Every call needs a token (JWT) from the operator's issuer, except this one, shared scenes and unsubscribing. Errors are
problem details (RFC 9457) with a `code` from a closed list and a `hint`. A 401, and a 429 from API Gateway itself, have
only a `message`.
"""
TAGS: list[Tag | str] = [
    Tag(name="uploads", description="Send a file in parts that survive a broken connection."),
    Tag(name="jobs", description="Start, follow, stop and rerun jobs."),
    Tag(name="shares", description="Links that open a scene for anyone who has them."),
    Tag(name="webhook", description="Receive a call when a job starts or ends."),
]
_ALWAYS = (422, 500)
_BY_GATEWAY = (401, 429)  # API Gateway answers these itself, in words of its own
_MEANING = {
    401: "No token, or an invalid one",
    403: "Not permitted",
    404: "It does not exist, or belongs to somebody else",
    409: "It conflicts with the current state",
    415: "The body is not JSON",
    422: "The request or the file cannot be processed; code and hint say why",
    429: "Too many requests",
    500: "An error on our side",
}


def problems(status: int, model: type[BaseModel] | None, *more: int) -> dict[int, Any]:
    """A route's answers: `model` on success, problem details for `more` and for what every route may answer."""
    success: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if model is not None:
        success["content"] = {"application/json": {"model": model}}
    refusals = {
        code: {"description": _MEANING[code], "content": {CONTENT_TYPE: {"model": Problem}}}
        for code in sorted({*_ALWAYS, *more})
    }
    by_gateway: dict[int, dict[str, Any]] = {
        code: {"description": _MEANING[code], "content": {"application/json": {"model": GatewayMessage}}}
        for code in _BY_GATEWAY
    }
    by_gateway[429]["content"][CONTENT_TYPE] = {"model": Problem}  # a caller's own limit (domain/limits.py) is ours
    return {status: success, **refusals, **by_gateway}


def schema_of(app: APIGatewayHttpResolver, functions: Iterable[Callable[..., Any]]) -> dict[str, Any]:
    """`functions`: those of the routes, whose names and docstrings name and describe the operations."""
    schema: dict[str, Any] = app.get_openapi_schema(
        title="Spaceport", version=VERSION, description=DESCRIPTION, tags=TAGS
    ).model_dump(by_alias=True, exclude_none=True, mode="json")
    schema["servers"] = [{"url": ".", "description": "Where this description was read"}]
    named = {function.__name__: function for function in functions}
    for operation in (operation for path in schema["paths"].values() for operation in path.values()):
        operation["responses"].get("204", {}).pop("content", None)  # Powertools gives every answer one
        # Powertools' own id is the function's name and the path: as a client's method it reads badly
        name = max((name for name in named if operation["operationId"].startswith(f"{name}_")), key=len)
        text = " ".join((named[name].__doc__ or "").split())
        operation |= {"operationId": to_camel(name), "summary": text.split(". ")[0].rstrip("."), "description": text}
    schemas = schema["components"]["schemas"]
    for name, example in EXAMPLES.items():
        schemas[name]["examples"] = [example]
    schemas["WebhookCall"] = WEBHOOK_CALL
    schema["webhooks"] = WEBHOOKS
    schema["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
    schema["security"] = [{"token": []}]
    return schema
