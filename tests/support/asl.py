"""Read a state machine's definition (Amazon States Language), as far as our tests need."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PIPELINE = Path(__file__).parents[2] / "statemachine" / "pipeline.asl.json"
CALLBACK = "arn:aws:states:::lambda:invoke.waitForTaskToken"
PUT_EVENTS = "arn:aws:states:::events:putEvents"

Definition = dict[str, Any]
Transition = tuple[str, str]


def load_pipeline() -> Definition:
    definition: Definition = json.loads(PIPELINE.read_text(encoding="utf-8"))
    return definition


def targets(state: dict[str, Any]) -> list[str]:
    """The states that may come after `state`, by Next, Choices, Default or Catch."""
    branches = [*state.get("Choices", []), *state.get("Catch", []), state]
    names = [branch["Next"] for branch in branches if "Next" in branch]
    return [*names, *([state["Default"]] if "Default" in state else [])]


def transitions(definition: Definition) -> set[Transition]:
    """Every (state, next state) that the definition allows."""
    return {(name, target) for name, state in definition["States"].items() for target in targets(state)}


def reachable(definition: Definition, start: str) -> set[str]:
    """`start` and every state that can come after it."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += targets(definition["States"][name])
    return found


def states_of(definition: Definition, resource: str) -> dict[str, dict[str, Any]]:
    """The Task states that call `resource`, by name."""
    return {name: state for name, state in definition["States"].items() if state.get("Resource") == resource}
