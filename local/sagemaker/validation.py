"""Validate requests as SageMaker does, against the API model in botocore."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import botocore.session

_JSON_TYPES: dict[str, Any] = {
    "structure": dict,
    "map": dict,
    "list": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "long": int,
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float),
}


class RequestError(Exception):
    """An error response of the API: `code` is its __type (ValidationException, ResourceInUse …)."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@cache
def api_model() -> Any:
    """botocore's model of the SageMaker API (service-2.json)."""
    return botocore.session.get_session().get_service_model("sagemaker")


def validate(operation: str, request: Mapping[str, Any]) -> None:
    """Check types, required members, lengths, ranges, enums and patterns. Raises RequestError(ValidationException)."""
    faults = list(_faults(api_model().operation_model(operation).input_shape, request, ""))
    if faults:
        count = f"{len(faults)} validation error{'s' if len(faults) > 1 else ''} detected: "
        raise RequestError("ValidationException", count + "; ".join(faults))


def _faults(shape: Any, value: Any, path: str) -> Iterator[str]:
    expected = _JSON_TYPES.get(shape.type_name, object)
    if not isinstance(value, expected) or (isinstance(value, bool) and shape.type_name != "boolean"):
        yield f"Value at '{path or 'request'}' must be a {shape.type_name}"
        return
    yield from _own_faults(shape, value, path)
    if shape.type_name == "structure":
        for name in shape.required_members:
            if value.get(name) is None:
                yield f"Value null at '{_below(path, name)}' failed to satisfy constraint: Member must not be null"
        for name, member in value.items():
            if name not in shape.members:
                yield f"Unknown member '{_below(path, name)}'"
            elif member is not None:
                yield from _faults(shape.members[name], member, _below(path, name))
    elif shape.type_name == "list":
        for number, member in enumerate(value, start=1):
            yield from _faults(shape.member, member, f"{path}.{number}.member")
    elif shape.type_name == "map":
        for name, member in value.items():
            yield from _faults(shape.key, name, f"{path}.{name}.key")
            yield from _faults(shape.value, member, f"{path}.{name}.value")


def _own_faults(shape: Any, value: Any, path: str) -> Iterator[str]:
    limits = shape.metadata
    size = value if isinstance(value, (int, float)) else len(value)
    what = "value" if isinstance(value, (int, float)) else "length"
    constraints = []
    if "min" in limits and size < limits["min"]:
        constraints.append(f"Member must have {what} greater than or equal to {limits['min']}")
    if "max" in limits and size > limits["max"]:
        constraints.append(f"Member must have {what} less than or equal to {limits['max']}")
    if "enum" in limits and value not in limits["enum"]:
        constraints.append(f"Member must satisfy enum value set: {limits['enum']}")
    if "pattern" in limits and not _matches(limits["pattern"], value):
        constraints.append(f"Member must satisfy regular expression pattern: {limits['pattern']}")
    for constraint in constraints:
        yield f"Value '{value}' at '{path}' failed to satisfy constraint: {constraint}"


def _matches(pattern: str, value: str) -> bool:
    """Match `value`, after translating Java's Unicode classes; a pattern that Python cannot compile always matches."""
    for java, python in ((r"\p{L}", r"\w"), (r"\p{Z}", r"\s"), (r"\p{N}", r"\d"), (r"\p{Alnum}", "a-zA-Z0-9")):
        pattern = pattern.replace(java, python)
    try:
        return re.fullmatch(pattern, value) is not None
    except re.error:
        return True


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
