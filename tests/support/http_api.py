"""API Gateway around the API's function: turns HTTP requests into events (payload 2.0), and answers into HTTP."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode

from tests.support.cloud import LambdaContext, invoke
from tests.support.sam_template import Template

PILOT = {"sub": "pilot-1", "email": "pilot@example.com", "email_verified": "true"}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def event_of(
    method: str,
    path: str,
    body: bytes = b"",
    query: str = "",
    headers: Mapping[str, str] | None = None,
    claims: Mapping[str, Any] | None = PILOT,
) -> dict[str, Any]:
    """The event that API Gateway makes of a request; `claims` None: the route has no authorizer."""
    context: dict[str, Any] = {
        "http": {"method": method, "path": path, "sourceIp": "192.0.2.1", "protocol": "HTTP/1.1", "userAgent": "test"},
        "stage": "$default",
        "requestId": "request",
        "accountId": "123456789012",
        "apiId": "api",
        "domainName": "api.example.com",
        "routeKey": route_key(method, path),
        "time": "04/May/2026:10:00:00 +0000",
        "timeEpoch": 1777888800000,
    }
    if claims is not None:
        context["authorizer"] = {"jwt": {"claims": dict(claims), "scopes": None}}
    sent = {"content-type": "application/json", **{name.lower(): text for name, text in (headers or {}).items()}}
    pairs: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        pairs.setdefault(name, []).append(value)
    return {
        "version": "2.0",
        "routeKey": context["routeKey"],
        "rawPath": path,
        "rawQueryString": query,
        "queryStringParameters": {name: ",".join(values) for name, values in pairs.items()},
        "headers": sent,
        "requestContext": context,
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }


def route_key(method: str, path: str) -> str:
    """The template's route that matches the request."""
    found = (key for key, pattern in _routes().items() if re.fullmatch(pattern, f"{method} {path}"))
    return next(found, "$default")


@cache
def _routes() -> dict[str, str]:
    events = [
        event for function in Template.load().functions for event in function.properties.get("Events", {}).values()
    ]
    routes = [event["Properties"] for event in events if event["Type"] == "HttpApi"]
    keys = [f"{route['Method']} {route['Path']}" for route in routes]
    return {key: re.sub(r"\\{\w+\\}", "[^/]+", re.escape(key)) for key in keys}


def call(
    method: str,
    path: str,
    body: Any = None,
    claims: Mapping[str, Any] | None = PILOT,
    query: Mapping[str, Any] | None = None,
    **headers: str,
) -> Answer:
    """A JSON request by the pilot, or by the user that `claims` identify."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    raw = b"" if body is None else json.dumps(body).encode()
    return answer_of(invoke("api", event_of(method, path, raw, urlencode(query or {}), named, claims)))


def answer_of(result: Mapping[str, Any]) -> Answer:
    body = result.get("body") or ""
    if result.get("isBase64Encoded"):
        body = base64.b64decode(body).decode()
    headers = {name: str(value) for name, value in (result.get("headers") or {}).items()}
    return Answer(result["statusCode"], headers, body)


def wsgi(handler: Callable[[dict[str, Any], Any], dict[str, Any]]) -> Callable[..., Iterable[bytes]]:
    """The API as a WSGI application; like the authorizer, it rejects requests without `Bearer pilot`."""

    def application(environ: Mapping[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = unquote(environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace"))
        if path != "/openapi.json" and environ.get("HTTP_AUTHORIZATION") != "Bearer pilot":
            start_response("401 Unauthorized", [("Content-Type", "application/json")])
            return [b'{"message": "Unauthorized"}']
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        headers = {name[5:].replace("_", "-"): text for name, text in environ.items() if name.startswith("HTTP_")}
        headers |= {"content-type": environ["CONTENT_TYPE"]} if environ.get("CONTENT_TYPE") else {}
        event = event_of(environ["REQUEST_METHOD"], path, body, environ["QUERY_STRING"], headers)
        answer = answer_of(handler(event, LambdaContext()))
        phrase = HTTPStatus(answer.status).phrase
        start_response(f"{answer.status} {phrase}", list(answer.headers.items()))
        return [answer.body.encode()]

    return application
