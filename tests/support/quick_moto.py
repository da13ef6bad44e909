"""moto with the same answers in about two thirds of the CPU time: most of what the unit tests take is its own.

Held to moto's own code by tests/unit/functions/test_quick_moto.py.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from moto.core import models
from moto.core.serialize import BaseJSONSerializer

_KEPT = {"S": str, "N": str, "BOOL": bool, "NULL": bool}
moto_writes = BaseJSONSerializer._serialize_type_structure


def quicken() -> None:
    """Replace what moto does anew for each cloud and each value."""
    # a mock registers 1,288 URLs, the same each time
    models.CallbackResponse = cache(models.CallbackResponse)  # type: ignore[attr-defined, assignment]
    BaseJSONSerializer._serialize_type_structure = write  # type: ignore[method-assign]


def write(self: BaseJSONSerializer, serialized: Any, value: Any, shape: Any, key: str) -> None:
    """Write a DynamoDB value as it is kept; moto looks for each of ten types under up to eight spellings."""
    kept = _kept(value) if shape.name == "AttributeValue" else None
    if kept is None:
        moto_writes(self, serialized, value, shape, key)
    else:
        self._default_serialize(serialized, kept, shape, key)


def _kept(value: Any) -> dict[str, Any] | None:
    """A copy of a DynamoDB value; None where it holds what moto writes otherwise (bytes, sets)."""
    if type(value) is not dict or len(value) != 1:
        return None
    ((kind, held),) = value.items()
    parts: Any
    if kind == "M" and type(held) is dict:
        parts = {name: _kept(part) for name, part in held.items()}
        return None if None in parts.values() else {kind: parts}
    if kind == "L" and type(held) is list:
        parts = [_kept(part) for part in held]
        return None if None in parts else {kind: parts}
    return {kind: held} if type(held) is _KEPT.get(kind) else None
