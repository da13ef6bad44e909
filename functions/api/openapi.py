"""The API's own description, OpenAPI 3.1, as the routes and models say it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from pydantic import BaseModel

from api.models import GatewayMessage, Problem
from api.problem import CONTENT_TYPE

VERSION = "1.0.0"
_ALWAYS = (422, 500)
_BY_GATEWAY = (401, 429)  # API Gateway answers these itself, in words of its own
_MEANING = {
    401: "No token, or not a valid one",
    403: "Not yours to use",
    404: "There is none, or it is somebody else's",
    409: "Not as things stand now",
    415: "The body is not JSON",
    422: "The request or the file cannot work; code and hint say why",
    429: "Too many requests",
    500: "A fault of ours",
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
    by_gateway = {
        code: {"description": _MEANING[code], "content": {"application/json": {"model": GatewayMessage}}}
        for code in _BY_GATEWAY
    }
    return {status: success, **refusals, **by_gateway}


def schema_of(app: APIGatewayHttpResolver) -> dict[str, Any]:
    schema: dict[str, Any] = app.get_openapi_schema(
        title="Spaceport",
        version=VERSION,
        description="Drone photos in, a 3D Gaussian splat out. Every call but this one needs a token (JWT).",
    ).model_dump(by_alias=True, exclude_none=True, mode="json")
    for operation in (operation for path in schema["paths"].values() for operation in path.values()):
        operation["responses"].get("204", {}).pop("content", None)  # Powertools gives every answer one
    schema.setdefault("components", {})["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    }
    schema["security"] = [{"token": []}]
    return schema
