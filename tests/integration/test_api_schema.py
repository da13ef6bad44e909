"""The API matches its description: schemathesis sends requests that /openapi.json allows and some that it does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from api.handler import handler
from tests.support.cloud import Cloud, cloud_of
from tests.support.http_api import wsgi

AUTHORIZED = {"Authorization": "Bearer pilot"}
NOT_OURS = [
    # API Gateway decides which methods a path has: it answers 404 for a missing route, never 405
    schemathesis.checks.unsupported_method,
    # 422 also covers what no schema can express, such as an address that is not in S3 or an option out of range
    schemathesis.checks.positive_data_acceptance,
    # numbers are accepted as text, too, because object metadata are text
    schemathesis.checks.negative_data_rejection,
]
with pytest.MonkeyPatch.context() as _patch, cloud_of(_patch):  # readers of the description are counted
    schema = schemathesis.openapi.from_wsgi("/openapi.json", wsgi(handler))


@pytest.fixture(scope="module", autouse=True)
def cloud() -> Iterator[Cloud]:
    with pytest.MonkeyPatch.context() as patch, cloud_of(patch) as fresh:
        patch.setattr("api.handler.MAX_CALLS_A_MINUTE", 10**6)  # all calls come from one caller
        yield fresh


@schema.parametrize()
@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_answers_are_those_that_the_description_promises(case: schemathesis.Case[Any]) -> None:
    case.call_and_validate(base_url="http://localhost", headers=AUTHORIZED, excluded_checks=NOT_OURS)


PLACES = {"job_id": "meadow-0123456789ab", "upload_id": "AAAA", "share_id": "000000000001"}


def test_every_route_of_the_description_wants_a_token() -> None:
    described = schema.raw_schema
    assert described["security"] == [{"token": []}]
    for path, methods in described["paths"].items():
        for method in methods:
            answer = schema[path][method.upper()].Case(path_parameters=PLACES).call()
            assert answer.status_code == 401, f"{method} {path}"
