"""The replacements in tests/support/quick_moto.py answer as moto's own code does."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError
from hypothesis import example, given
from hypothesis import strategies as st
from moto import mock_aws
from moto.core.serialize import BaseJSONSerializer, JSONSerializer, XFormedAttributePicker
from moto.core.utils import get_service_model
from moto.dynamodb.parsing.validators import ActionCountValidator

from tests.support import quick_moto
from tests.support.cloud import Cloud

SCALARS = st.one_of(
    st.text(max_size=5).map(lambda text: {"S": text}),
    st.integers().map(lambda number: {"N": str(number)}),
    st.booleans().map(lambda value: {"BOOL": value}),
    st.just({"NULL": True}),
    st.binary(max_size=5).map(lambda body: {"B": body}),
    st.lists(st.text(min_size=1, max_size=3), min_size=1, max_size=3).map(lambda texts: {"SS": texts}),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda values: {"L": values}),
        st.dictionaries(st.sampled_from(["a", "S", "item", "M"]), inner, max_size=3).map(lambda values: {"M": values}),
    ),
    max_leaves=6,
)
ITEMS = st.dictionaries(st.sampled_from(["jobId", "sfm", "S"]), VALUES, min_size=1)


@cache
def serializer() -> JSONSerializer:
    operation = get_service_model("dynamodb").operation_model("GetItem")
    return JSONSerializer(operation_model=operation, value_picker=XFormedAttributePicker())


def written(item: dict[str, Any]) -> Any:
    return json.loads(serializer().serialize({"Item": item})["body"])


@given(ITEMS)
@example({"a": {"M": {}}, "b": {"L": []}, "c": {"S": ""}, "d": {"L": [{"M": {"e": {"B": b"x"}}}]}})
def test_a_dynamodb_item_is_written_as_moto_writes_it(item: dict[str, Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseJSONSerializer, "_serialize_type_structure", quick_moto.moto_writes)
        expected = written(item)
        patch.setattr(BaseJSONSerializer, "_serialize_type_structure", quick_moto.write)
        assert written(item) == expected


UPDATES = (
    "SET #a = :one, b.#c = if_not_exists(b.#c, :one) REMOVE d ADD e :one",
    "SET #a = if_not_exists(gone, :one) + :one, b.l = list_append(b.l, :list)",
    "REMOVE b.l[0], b.l[1], d",
    "ADD e :one DELETE s :set",
    "SET #a = :one, #a = :one",
    "SET d = :one SET e = :one",
    "ADD e :one SET d = :one REMOVE b.l[0] REMOVE b.l[1]",
    "SET gone.deeper = :one",
    "SET b = :one, b.l = :one",
    "SET size = :one",
)


@pytest.mark.parametrize("update", UPDATES)
def test_an_update_does_what_it_does_by_motos_own_code(cloud: Cloud, update: str) -> None:
    def outcome() -> Any:
        table = cloud.table("limits")
        table.put_item(Item={"counter": "x", "b": {"c": 1, "l": [1, 2, 3]}, "d": 1, "e": 2, "s": {"p", "q"}})
        names = {name: text for name, text in {"#a": "a", "#c": "c"}.items() if name in update}
        given = {":one": 1, ":list": [4], ":set": {"q"}}
        values = {":" + name[1:]: value for name, value in given.items() if name in update}
        more: dict[str, Any] = {"ExpressionAttributeNames": names} if names else {}
        more |= {"ExpressionAttributeValues": values} if values else {}
        try:
            table.update_item(Key={"counter": "x"}, UpdateExpression=update, **more)
        except ClientError as error:
            return error.response["Error"]
        return table.get_item(Key={"counter": "x"})["Item"]

    ours = outcome()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quick_moto.ast_nodes.DepthFirstTraverser, "traverse_node_recursively", quick_moto.moto_traverses)
        patch.setattr(ActionCountValidator, "verify_action_counts", quick_moto.moto_counts)
        assert outcome() == ours


def test_requests_beside_boto3_are_answered_by_each_mock_anew(cloud: Cloud) -> None:
    url = "https://spaceport-dev-results-123456789012.s3.amazonaws.com/a"
    for body in (b"one", b"two"):
        cloud.s3.put_object(Bucket="spaceport-dev-results-123456789012", Key="a", Body=body, ACL="public-read")
        assert requests.get(url, timeout=5).content == body


def test_a_mock_forgets_what_the_one_before_it_had() -> None:
    for _ in range(2):
        with mock_aws():
            assert requests.get("https://gone.s3.amazonaws.com/a", timeout=5).status_code == 404
