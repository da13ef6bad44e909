"""Parts that JSON Schemas are made of: simple types, and objects that are closed or may grow."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
BOOLEAN: Schema = {"type": "boolean"}
NUMBER: Schema = {"type": "number"}
COUNT: Schema = {"type": "integer", "minimum": 0}
AMOUNT: Schema = {"type": "number", "minimum": 0}
JOB_ID: Schema = {"type": "string", "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$", "maxLength": 40}


def nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def listed(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def strict(properties: Schema, optional: tuple[str, ...] = ()) -> Schema:
    """An object of just these properties, all of them required but the `optional`."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


def growing(properties: Schema, others: Schema | None = None) -> Schema:
    """An object with these properties at least."""
    schema: Schema = {"type": "object", "required": list(properties), "properties": properties}
    return schema if others is None else {**schema, "additionalProperties": others}
