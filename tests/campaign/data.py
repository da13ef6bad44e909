"""What the states of the committed state machine do with its data: paths, templates, rules, matching of errors."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.campaign.machine import Execution

Json = dict[str, Any]


class StateError(Exception):
    """Failure of a state, under Step Functions' name for the error."""

    def __init__(self, error: str, cause: str = "") -> None:
        self.error, self.cause = error, cause
        super().__init__(error)


def matches(error: str, wanted: list[str]) -> bool:
    if error in wanted:
        return True
    if "States.ALL" in wanted:
        return True
    return error == "States.HeartbeatTimeout" and "States.Timeout" in wanted


def passed(execution: Execution, state: Json) -> Any:
    """The output of a Pass state."""
    if "Result" in state:
        return copy.deepcopy(state["Result"])
    if "Parameters" in state:
        return fill(state["Parameters"], execution, None)
    return read(execution.data, state["InputPath"])


def holds(data: Any, rule: Json) -> bool:
    """Raises StateError if the rule compares a value that does not exist, as Step Functions does."""
    if "IsPresent" in rule:
        try:
            read(data, rule["Variable"])
        except StateError:
            return not rule["IsPresent"]
        return bool(rule["IsPresent"])
    value = read(data, rule["Variable"])
    if "NumericGreaterThan" in rule:
        return bool(value > rule["NumericGreaterThan"])
    return bool(value == rule.get("StringEquals", rule.get("BooleanEquals")))


def fill(template: Any, execution: Execution, token: str | None, value: Any = None) -> Any:
    """`value`: the value of the Map's item."""
    if isinstance(template, list):
        return [fill(item, execution, token, value) for item in template]
    if not isinstance(template, dict):
        return template
    return dict(_filled(template, execution, token, value))


def _filled(template: Json, execution: Execution, token: str | None, item: Any) -> Iterator[tuple[str, Any]]:
    for name, value in template.items():
        if not name.endswith(".$"):
            yield name, fill(value, execution, token, item)
        elif value == "$$.Task.Token":
            yield name[:-2], token
        elif value == "$$.Map.Item.Value":
            yield name[:-2], item
        elif value.startswith("States.ArrayRange("):
            first, path, step = value.removeprefix("States.ArrayRange(").rstrip(")").split(", ")
            yield name[:-2], list(range(int(first), int(read(execution.data, path)) + 1, int(step)))
        elif value == "$$.State.EnteredTime":
            yield name[:-2], execution.entered_at.isoformat()
        elif value.startswith("States.Format("):
            text, _, path = value.removeprefix("States.Format('").rstrip(")").partition("', ")
            yield name[:-2], text.replace("{}", str(read(execution.data, path)))
        else:
            yield name[:-2], read(execution.data, value)


def read(data: Any, path: str) -> Any:
    """The value at a JSON path. Raises StateError if there is none, as Step Functions does."""
    for part in path.removeprefix("$").split(".")[1:]:
        if part not in data:
            raise StateError("States.ParameterPathFailure", path)
        data = data[part]
    return copy.deepcopy(data)


def write(execution: Execution, path: str | None, value: Any) -> None:
    if path is None:
        return
    if path == "$":
        execution.data = copy.deepcopy(value)
        return
    *parents, last = path.removeprefix("$.").split(".")
    place = execution.data
    for part in parents:
        place = place.setdefault(part, {})
    place[last] = copy.deepcopy(value)
