"""DynamoDB's limits on keys, which moto does not enforce.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.support.fakes import aws_error

MAX_BYTES = {"HASH": 2048, "RANGE": 1024}

Keys = Sequence[tuple[str, str]]  # attribute, HASH or RANGE


def enforce(client: Any, tables: Mapping[str, Keys], indexes: Mapping[str, Mapping[str, Keys]]) -> None:
    """Make a boto3 client refuse requests with keys that are empty or too long, as DynamoDB does."""

    def check(params: Mapping[str, Any], model: Any, **_: Any) -> None:
        for table, item, of_index in _items(json.loads(params["body"])):
            keys = [*tables.get(table, ()), *(key for index in indexes.get(table, {}).values() for key in index)]
            for name, kind in keys if of_index else tables.get(table, ()):
                if name in item and not 0 < len(item[name]["S"].encode()) <= MAX_BYTES[kind]:
                    raise aws_error("ValidationException", model.name, f"size of {kind} key {name}")

    client.meta.events.register("before-call.dynamodb", check)


def _items(body: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    """Table, key or item, and whether it may contain keys of the table's indexes."""
    if "Key" in body:
        yield body["TableName"], body["Key"], False
    if "Item" in body:
        yield body["TableName"], body["Item"], True
    for table, wanted in body.get("RequestItems", {}).items():
        yield from ((table, key, False) for key in wanted.get("Keys", ()))
