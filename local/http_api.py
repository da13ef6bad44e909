"""Add the Body of an HTTP API, which MiniStack's CloudFormation ignores.

SAM writes an API's routes, integrations, authorizers and CORS as one OpenAPI definition with Amazon's extensions, and
API Gateway imports it; MiniStack creates the API but ignores the definition.
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ministack.services import apigateway
from ministack.services.cloudformation import provisioners

KIND = "AWS::ApiGatewayV2::Api"
_Properties = dict[str, Any]

_original_create = provisioners._RESOURCE_HANDLERS[KIND]["create"]


def apply() -> None:
    """Import the Body of every API that a stack creates from now on."""
    provisioners._RESOURCE_HANDLERS[KIND] = {**provisioners._RESOURCE_HANDLERS[KIND], "create": _create}


def _create(logical_id: str, properties: _Properties, stack: str) -> tuple[str, _Properties]:
    api_id, attributes = _original_create(logical_id, properties, stack)
    body = properties.get("Body")
    if body:
        authorizers = {name: _authorizer(api_id, scheme) for name, scheme in _schemes(body)}
        integrations: dict[str, str] = {}
        for route_key, operation in _operations(body):
            integration = operation["x-amazon-apigateway-integration"]
            uri = integration["uri"]
            if uri not in integrations:
                integrations[uri] = _integration(api_id, integration)
            wanted = [name for requirement in operation.get("security", []) for name in requirement]
            secured = next((authorizers[name] for name in wanted if name in authorizers), None)
            route = {"routeKey": route_key, "target": f"integrations/{integrations[uri]}"}
            if secured is not None:
                route |= {"authorizationType": "JWT", "authorizerId": secured}
            apigateway._create_route(api_id, route)
        if cors := body.get("x-amazon-apigateway-cors"):
            apigateway._apis[api_id]["corsConfiguration"] = cors
    return api_id, attributes


def _schemes(body: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, scheme in body.get("components", {}).get("securitySchemes", {}).items():
        if "x-amazon-apigateway-authorizer" in scheme:
            yield name, scheme["x-amazon-apigateway-authorizer"]


def _operations(body: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """`GET /jobs/{jobId}` → the operation."""
    for path, methods in body["paths"].items():
        for method, operation in methods.items():
            if "x-amazon-apigateway-integration" in operation:
                verb = "ANY" if method == "x-amazon-apigateway-any-method" else method.upper()
                yield f"{verb} {path}", operation


def _authorizer(api_id: str, scheme: Mapping[str, Any]) -> str:
    created = apigateway._create_authorizer(
        api_id,
        {
            "authorizerType": scheme["type"].upper(),
            "identitySource": [scheme["identitySource"]],
            "jwtConfiguration": scheme["jwtConfiguration"],
        },
    )
    return str(json.loads(created[2])["authorizerId"])


def _integration(api_id: str, integration: Mapping[str, Any]) -> str:
    created = apigateway._create_integration(
        api_id,
        {
            "integrationType": integration["type"].upper(),
            "integrationUri": integration["uri"],
            "integrationMethod": integration["httpMethod"],
            "payloadFormatVersion": integration["payloadFormatVersion"],
        },
    )
    return str(json.loads(created[2])["integrationId"])
