"""API Gateway as template.yaml configures it, and the API's function agree: routes, tokens, CORS, throttling."""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from types import SimpleNamespace
from typing import Any

from samtranslator.open_api.open_api import OpenApiEditor  # type: ignore[import-untyped]
from samtranslator.translator.transform import transform  # type: ignore[import-untyped]

from api.handler import openapi
from tests.support.sam_template import Template

TEMPLATE = Template.load()
API = TEMPLATE.resources["Api"]["Properties"]
OPEN = {
    ("GET", "/shared/{token}"),
    ("GET", "/shared/{token}/lod-meta.json"),
    ("GET", "/openapi.json"),
    ("POST", "/unsubscribe/{mailbox}"),
    ("DELETE", "/unsubscribe/{mailbox}"),
}


def routes() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Function, `METHOD /path` with unnamed parameters, and the event's properties."""
    for function in TEMPLATE.functions:
        for event in function.properties.get("Events", {}).values():
            if event["Type"] == "HttpApi":
                properties = event["Properties"]
                yield function.name, f"{properties['Method']} {_nameless(properties['Path'])}", properties


def _nameless(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", path)


def described() -> set[str]:
    paths = openapi()["paths"]
    return {f"{method.upper()} {_nameless(path)}" for path, methods in paths.items() for method in methods}


def test_the_gateway_has_the_routes_that_the_api_describes_and_no_others() -> None:
    given = {route for function, route, _ in routes() if function == "ApiFunction"}
    assert given == described() | {"GET /openapi.json", "GET /shared/{}", "GET /shared/{}/lod-meta.json"}


def test_every_route_wants_a_token_but_those_that_are_meant_for_all() -> None:
    assert API["Auth"]["DefaultAuthorizer"] in API["Auth"]["Authorizers"]
    without = {
        (properties["Method"], properties["Path"])
        for _, _, properties in routes()
        if properties.get("Auth", {}).get("Authorizer") == "NONE"
    }
    assert without == OPEN


def test_a_page_of_a_permitted_origin_may_call_every_route() -> None:
    for cors in cors_by_condition():
        assert {route.partition(" ")[0] for _, route, _ in routes()} <= set(cors["AllowMethods"])
        assert {"Authorization", "Content-Type", "Idempotency-Key"} <= set(cors["AllowHeaders"])
        assert "*" not in str(cors["AllowOrigins"])


def cors_by_condition() -> tuple[dict[str, Any], dict[str, Any]]:
    """The configuration with WebOrigins and without. SAM mistakes a function for AllowOrigins for the whole
    configuration, so the !If encloses it."""
    condition, given, own = API["CorsConfiguration"]["Fn::If"]
    assert condition == "HasWebOrigins"
    return given, own


def test_sam_writes_all_of_cors_into_the_api() -> None:
    editor = OpenApiEditor({"openapi": "3.0.1", "paths": {}})
    editor.add_cors(API["CorsConfiguration"])
    _, *branches = editor.openapi["x-amazon-apigateway-cors"]["Fn::If"]
    names = {"allowOrigins", "allowMethods", "allowHeaders", "maxAge"}
    assert [set(branch) for branch in branches] == [names, names]


def test_the_api_permits_the_origins_of_the_buckets_and_the_pages_of_streamed_scenes() -> None:
    given, own = cors_by_condition()
    (separator, joined) = given["AllowOrigins"]["Fn::Split"]
    text, values = joined["Fn::Sub"]
    first, *results = text.split(separator)
    assert first == "${Pages}"
    for bucket in ("UploadsBucket", "ResultsBucket"):
        (rule,) = TEMPLATE.resources[bucket]["Properties"]["CorsConfiguration"]["CorsRules"]
        condition, pages, (page,) = rule["AllowedOrigins"]["Fn::If"]
        assert condition == "HasWebOrigins"
        assert values["Pages"] == {"Fn::Join": [separator, pages]}
        assert own["AllowOrigins"] == [page, *({"Fn::Sub": origin} for origin in results)]
    name = TEMPLATE.resources["ResultsBucket"]["Properties"]["BucketName"]["Fn::Sub"]
    hosts = ("s3.${AWS::Region}.${AWS::URLSuffix}", "s3.${AWS::URLSuffix}")  # as boto3 signs, by region
    assert results == [f"https://{name}.{host}" for host in hosts]


def test_requests_are_throttled() -> None:
    settings = API["DefaultRouteSettings"]
    assert settings["ThrottlingRateLimit"] == {"Ref": "ApiRequestsPerSecond"}
    assert settings["ThrottlingBurstLimit"] == {"Ref": "ApiBurst"}
    assert TEMPLATE.parameters["ApiBurst"]["Default"] >= TEMPLATE.parameters["ApiRequestsPerSecond"]["Default"]


def test_routes_without_a_token_have_limits_of_their_own_that_leave_the_customers_half() -> None:
    settings = API["RouteSettings"]
    assert settings.keys() == {f"{method} {path}" for method, path in OPEN}
    limits = {"ThrottlingRateLimit": {"Ref": "OpenRequestsPerSecond"}, "ThrottlingBurstLimit": {"Ref": "OpenBurst"}}
    assert all(each == limits for each in settings.values())
    for each, whole in (("OpenRequestsPerSecond", "ApiRequestsPerSecond"), ("OpenBurst", "ApiBurst")):
        defaults = TEMPLATE.parameters
        assert len(OPEN) * defaults[each]["Default"] <= defaults[whole]["Default"] / 2


def test_sam_writes_the_limits_of_routes_into_the_stage() -> None:
    """And the routes into the API: API Gateway refuses settings for a route that does not exist yet."""
    written = by_sam()["Resources"]
    (stage,) = [each["Properties"] for each in written.values() if each["Type"] == "AWS::ApiGatewayV2::Stage"]
    (api,) = [each["Properties"] for each in written.values() if each["Type"] == "AWS::ApiGatewayV2::Api"]
    routes = {f"{verb.upper()} {path}" for path, verbs in api["Body"]["paths"].items() for verb in verbs}
    assert stage["RouteSettings"].keys() == {f"{method} {path}" for method, path in OPEN} <= routes


def by_sam() -> dict[str, Any]:
    """The template as SAM passes it to CloudFormation, with its code uploaded."""
    content = deepcopy(Template.load().content)  # SAM modifies its input, and the template is shared
    content["Globals"]["Function"]["CodeUri"] = "s3://artifacts/bundle"
    content["Resources"]["Pipeline"]["Properties"]["DefinitionUri"] = "s3://artifacts/definition"
    written: dict[str, Any] = transform(content, {}, SimpleNamespace(load=dict))
    return written
