"""The parts of template.yaml and its companions that the tests of its tables read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.support.asl import PIPELINE
from tests.support.sam_template import Template

ROOT = Path(__file__).parents[2]
CONTRACTS = (ROOT / "docs" / "contracts.md").read_text(encoding="utf-8")
STATES: dict[str, Any] = json.loads(PIPELINE.read_text(encoding="utf-8"))
TEMPLATE = Template.load()
FUNCTIONS = {function.name: function for function in TEMPLATE.functions}


def properties(name: str) -> dict[str, Any]:
    found: dict[str, Any] = TEMPLATE.resources[name]["Properties"]
    return found


def of_kind(kind: str, *path: str) -> dict[str, Any]:
    """Resource of this type → a value from its properties; None if it has none."""
    values = {}
    for name, resource in TEMPLATE.of_type(kind).items():
        value: Any = resource["Properties"]
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        values[name] = value
    return values


def schedules() -> dict[str, dict[str, str]]:
    return {
        function.name: {
            name: event["Properties"]["Schedule"]
            for name, event in function.properties.get("Events", {}).items()
            if event["Type"] == "Schedule"
        }
        for function in TEMPLATE.functions
    }


def match(pattern: str, text: str) -> re.Match[str]:
    found = re.search(pattern, text)
    assert found is not None, f"no {pattern} in {text}"
    return found


def seconds(rate: str) -> int:
    count, unit = match(r"^rate\((\d+) (minute|hour)s?\)$", rate).groups()
    return int(count) * {"minute": 60, "hour": 3600}[unit]


def rule(function: str, event: str) -> dict[str, Any]:
    pattern: dict[str, Any] = FUNCTIONS[function].properties["Events"][event]["Properties"]["Pattern"]
    return pattern
