"""DynamoDB in memory, as far as the functions use it: conditions as they write them, and an index that is behind."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

from tests.campaign.world import World
from tests.support.fakes import aws_error

Item = dict[str, Any]


class Table:
    """`watch` sees every item before and after it is written. An index is (partition key, sort key)."""

    def __init__(self, world: World, keys: tuple[str, ...], index: tuple[str, str] | None = None) -> None:
        self._world, self._keys, self._index = world, keys, index
        self.items: dict[tuple[str, ...], Item] = {}
        self._indexed_before: list[Item] = []
        self.watch: Callable[[Item, Item], None] = lambda before, after: None

    def get_item(self, Key: Item, ConsistentRead: bool = False) -> dict[str, Any]:
        found = self.items.get(self._key(Key))
        return {} if found is None else {"Item": copy.deepcopy(found)}

    def put_item(
        self, Item: Item, ConditionExpression: str = "", ExpressionAttributeValues: Item | None = None
    ) -> None:
        before = self.items.get(self._key(Item), {})
        if ConditionExpression and not _met(ConditionExpression, before, {}, ExpressionAttributeValues or {}):
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
        if verb == "ADD":
            added, _, changes = changes.partition(" SET ")
            name, value = added.split()
            after[name] = after.get(name, 0) + values[value]
        for change in re.split(r",\s*(?![^(]*\))", changes):
            name, _, value = (part.strip() for part in change.partition("="))
            name = names.get(name, name)
            if verb == "REMOVE":
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
        ExpressionAttributeNames: dict[str, str] | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        names = ExpressionAttributeNames or {}
        stale = IndexName and self._world.happens(self._world.faults.stale)
        items = [item for _, item in sorted(self.items.items())]
        if IndexName:
            items = self._indexed_before if stale else self._indexed()
        found = [item for item in items if _met(KeyConditionExpression, item, names, ExpressionAttributeValues)]
        return {"Items": copy.deepcopy(found)}

    def _indexed(self) -> list[Item]:
        assert self._index is not None
        partition, sort = self._index
        return sorted((item for item in self.items.values() if partition in item), key=lambda item: item[sort])

    def _write(self, key: tuple[str, ...], before: Item, after: Item) -> None:
        if self._index is not None:
            self._indexed_before = copy.deepcopy(self._indexed())
        self.items[key] = after
        self.watch(before, after)

    def _key(self, item: Item) -> tuple[str, ...]:
        return tuple(item[key] for key in self._keys)


def _met(condition: str, item: Item, names: dict[str, str], values: Item) -> bool:
    """A condition written out: alternatives of attribute_(not_)exists, = and <."""
    for part in condition.split(" OR "):
        if found := re.fullmatch(r"attribute_(not_)?exists\((\S+)\)", part):
            met = (names.get(found[2], found[2]) in item) is (found[1] is None)
        else:
            name, operator, value = part.split()
            has = item.get(names.get(name, name))
            met = has is not None and (has == values[value] if operator == "=" else has < values[value])
        if met:
            return True
    return False
