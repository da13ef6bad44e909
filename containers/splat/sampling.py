"""Select some of many items, evenly spaced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

_Item = TypeVar("_Item")


def evenly(items: Sequence[_Item], limit: int) -> list[_Item]:
    """At most `limit` of the items, evenly spaced, in their order."""
    return [items[i * len(items) // limit] for i in range(limit)] if len(items) > limit else list(items)
