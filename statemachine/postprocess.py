"""Add what the Data Science SDK (2.3.0) cannot express to the definition that it writes. Pure, on plain JSON."""

from __future__ import annotations

from typing import Any

MAX_DELAY_SECONDS = 900


def postprocess(definition: dict[str, Any]) -> dict[str, Any]:
    """The definition with these additions:

    - jitter and a maximum delay on every Retry, so that jobs that met the same fault are not all retried at once;
    - the Fail state's error and cause, taken from the data (ErrorPath, CausePath), so that an execution's own error
      is a code of the closed list;
    - a Map's Iterator and Parameters under their current names, ItemProcessor (inline) and ItemSelector, with its
      states treated like all others.
    """
    states = {name: _finished(state) for name, state in definition["States"].items()}
    return {**definition, "States": states}


def _finished(state: dict[str, Any]) -> dict[str, Any]:
    if "Retry" in state:
        spread = {"MaxDelaySeconds": MAX_DELAY_SECONDS, "JitterStrategy": "FULL"}
        state = {**state, "Retry": [{**retry, **spread} for retry in state["Retry"]]}
    if state["Type"] == "Fail":
        state = {**state, "ErrorPath": "$.settlement.error.code", "CausePath": "$.settlement.error.message"}
    if state["Type"] == "Map":
        others = {name: value for name, value in state.items() if name not in ("Iterator", "Parameters")}
        processor = {"ProcessorConfig": {"Mode": "INLINE"}, **postprocess(state["Iterator"])}
        state = {**others, "ItemSelector": state["Parameters"], "ItemProcessor": processor}
    return state
