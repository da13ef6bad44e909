"""DynamoDB in memory, as far as the functions use it: their conditions, and an eventually consistent index."""

from __future__ import annotations

import copy
import operator as operator_
import re
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from tests.campaign.world import World
from tests.support.fakes import aws_error

Item = dict[str, Any]
STALE_SECONDS = 60.0  # DynamoDB's indexes follow within a fraction of a second
COMPARE: dict[str, Callable[[Any, Any], bool]] = {"=": operator_.eq, "<": operator_.lt, "<=": operator_.le}


class Table:
    """A table and its `indexes`: name → (partition key, sort key). `watch` receives an item before and after a write.

    An index may be one write behind for STALE_SECONDS, and so may a read that does not ask for consistency.
    """

    def __init__(
        self, world: World, keys: tuple[str, ...], indexes: Mapping[str, tuple[str, str]] | None = None
    ) -> None:
        self._world, self._keys, self._indexes = world, keys, indexes or {}
        self.items: dict[tuple[str, ...], Item] = {}
        self._before: tuple[tuple[str, ...], Item, float] | None = None  # what the last write replaced, and when
        self.watch: Callable[[Item, Item], None] = lambda before, after: None

    def get_item(self, Key: Item, ConsistentRead: bool = False) -> dict[str, Any]:
        key = self._key(Key)
        found = next((item for item in self._seen(ConsistentRead) if self._key(item) == key), None)
        return {} if found is None else {"Item": copy.deepcopy(found)}

    def put_item(
        self,
        Item: Item,
        ConditionExpression: str = "",
        ExpressionAttributeNames: dict[str, str] | None = None,
        ExpressionAttributeValues: Item | None = None,
    ) -> None:
        before = self.items.get(self._key(Item), {})
        if ConditionExpression and not _met(
            ConditionExpression, before, ExpressionAttributeNames or {}, ExpressionAttributeValues or {}
        ):
            raise aws_error("ConditionalCheckFailedException", "PutItem")
        self._write(self._key(Item), before, copy.deepcopy(Item))

    def update_item(
        self,
        Key: Item,
        UpdateExpression: str,
        ConditionExpression: str = "",
        ExpressionAttributeNames: dict[str, str] | None = None,
        ExpressionAttributeValues: Item | None = None,
        ReturnValues: str = "NONE",
    ) -> dict[str, Any]:
        names, values = ExpressionAttributeNames or {}, ExpressionAttributeValues or {}
        before = self.items.get(self._key(Key), {})
        if ConditionExpression and not _met(ConditionExpression, before, names, values):
            raise aws_error("ConditionalCheckFailedException", "UpdateItem")
        after = {**copy.deepcopy(before), **Key}
        verb, _, changes = UpdateExpression.partition(" ")
        if verb == "ADD" and " SET " in changes:  # a counter, and when it expires
            added, _, changes = changes.partition(" SET ")
            verb, (name, value) = "SET", added.split()
            after[name] = after.get(name, 0) + values[value]
        for change in re.split(r",\s*(?![^(]*\))", changes):
            name, _, value = (part.strip() for part in change.partition("="))
            name = names.get(name, name)
            if verb == "ADD":
                name, _, value = name.partition(" ")
                after[name] = after.get(name, set()) | values[value]
            elif verb == "REMOVE":
                after.pop(name, None)
            elif value.startswith("if_not_exists"):
                after.setdefault(name, copy.deepcopy(values[value.rstrip(")").rpartition(", ")[2]]))
            else:
                after[name] = copy.deepcopy(values[value])
        self._write(self._key(Key), before, after)
        return {"Attributes": copy.deepcopy(after)} if ReturnValues == "ALL_NEW" else {}

    def query(
        self,
        KeyConditionExpression: str,
        ExpressionAttributeValues: Item,
        IndexName: str = "",
        ConsistentRead: bool = False,
        Limit: int = 0,
        ExclusiveStartKey: Item | None = None,
        ExpressionAttributeNames: dict[str, str] | None = None,
        ScanIndexForward: bool = True,
    ) -> dict[str, Any]:
        names = ExpressionAttributeNames or {}
        items = self._seen(consistent=ConsistentRead)
        found = [item for item in items if _all_met(KeyConditionExpression, item, names, ExpressionAttributeValues)]
        if IndexName:
            partition, sort = self._indexes[IndexName]
            found = sorted((item for item in found if partition in item), key=lambda item: item[sort])
            found = found if ScanIndexForward else found[::-1]
        start = (ExclusiveStartKey or {}).get("after", 0)
        page = found[start : start + Limit] if Limit else found
        more = {"LastEvaluatedKey": {"after": start + Limit}} if Limit and start + Limit < len(found) else {}
        return {"Items": copy.deepcopy(page), **more}

    # what boto3's Table resource has; the client of this one has no other table

    name = "table"

    @property
    def meta(self) -> Any:
        return SimpleNamespace(client=self)

    def batch_get_item(self, RequestItems: dict[str, Any]) -> dict[str, Any]:
        found = [self.get_item(key) for key in RequestItems[self.name]["Keys"]]
        return {"Responses": {self.name: [one["Item"] for one in found if "Item" in one]}}

    def _seen(self, consistent: bool) -> list[Item]:
        """The items that a read returns, sorted by key."""
        items = dict(self.items)
        if not consistent and self._before is not None and self._world.happens(self._world.faults.stale):
            key, before, written = self._before
            if self._world.now - written < STALE_SECONDS:
                items.pop(key, None)
                if before:
                    items[key] = before
        return [item for _, item in sorted(items.items())]

    def _write(self, key: tuple[str, ...], before: Item, after: Item) -> None:
        self._before = key, copy.deepcopy(before), self._world.now
        self.items[key] = after
        self.watch(before, after)

    def _key(self, item: Item) -> tuple[str, ...]:
        return tuple(item[key] for key in self._keys)


def _all_met(condition: str, item: Item, names: dict[str, str], values: Item) -> bool:
    """A key condition: = and comparisons, joined by AND."""
    return all(_met(part, item, names, values) for part in condition.split(" AND "))


def _met(condition: str, item: Item, names: dict[str, str], values: Item) -> bool:
    """Evaluates a condition expression: attribute_exists, attribute_not_exists and comparisons, joined by OR, and such
    groups joined by AND, each in parentheses if it has alternatives."""
    if " AND " in condition:
        return all(
            _met(part[1:-1] if part[0] == "(" else part, item, names, values) for part in condition.split(" AND ")
        )
    if condition.startswith("("):
        condition = condition[1:-1]
    for part in condition.split(" OR "):
        if found := re.fullmatch(r"attribute_(not_)?exists\((\S+)\)", part):
            met = (names.get(found[2], found[2]) in item) is (found[1] is None)
        else:
            name, operator, value = part.split()
            has = item.get(names.get(name, name))
            met = has is not None and COMPARE[operator](has, values[value])
        if met:
            return True
    return False
