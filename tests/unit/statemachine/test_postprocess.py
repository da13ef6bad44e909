"""postprocess: adds what the Data Science SDK cannot express, and changes nothing else."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from postprocess import MAX_DELAY_SECONDS, postprocess

retriers = st.fixed_dictionaries(
    {
        "ErrorEquals": st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=3),
        "IntervalSeconds": st.integers(1, MAX_DELAY_SECONDS - 1),
        "MaxAttempts": st.integers(0, 20),
        "BackoffRate": st.integers(1, 4),
    }
)
tasks = st.fixed_dictionaries(
    {"Type": st.just("Task"), "Resource": st.text(max_size=12), "Next": st.text(max_size=8)},
    optional={"Retry": st.lists(retriers, max_size=3)},
)
states = st.one_of(
    tasks,
    st.fixed_dictionaries({"Type": st.sampled_from(["Pass", "Choice", "Succeed"]), "Comment": st.text(max_size=8)}),
    st.just({"Type": "Fail"}),
)
steps = st.fixed_dictionaries(
    {"StartAt": st.text(max_size=8), "States": st.dictionaries(st.text(min_size=1, max_size=8), states, max_size=4)}
)
definitions = st.fixed_dictionaries(
    {
        "Comment": st.text(max_size=20),
        "StartAt": st.text(max_size=8),
        "TimeoutSeconds": st.integers(1, 10**6),
        "States": st.dictionaries(st.text(min_size=1, max_size=8), states, max_size=6),
    }
)


@given(definitions)
def test_every_retry_gets_full_jitter_and_a_longest_delay(definition: dict[str, Any]) -> None:
    for name, state in postprocess(definition)["States"].items():
        for before, after in zip(definition["States"][name].get("Retry", []), state.get("Retry", []), strict=True):
            assert after == {**before, "MaxDelaySeconds": 900, "JitterStrategy": "FULL"}


@given(steps, st.dictionaries(st.text(max_size=4), st.text(max_size=4)), st.integers(0, 40))
def test_what_a_map_repeats_is_treated_like_the_states_around_it(
    steps: dict[str, Any], selected: dict[str, str], at_once: int
) -> None:
    written = {"Type": "Map", "Iterator": steps, "Parameters": selected, "MaxConcurrency": at_once, "Next": "Weigh"}
    finished = postprocess({"StartAt": "Each", "States": {"Each": written}})["States"]["Each"]
    assert finished == {
        "Type": "Map",
        "MaxConcurrency": at_once,
        "Next": "Weigh",
        "ItemSelector": selected,
        "ItemProcessor": {"ProcessorConfig": {"Mode": "INLINE"}, **postprocess(steps)},
    }


@given(definitions)
def test_a_fail_state_takes_error_and_cause_from_the_data(definition: dict[str, Any]) -> None:
    fails = [state for state in postprocess(definition)["States"].values() if state["Type"] == "Fail"]
    expected = {
        "Type": "Fail",
        "ErrorPath": "$.settlement.error.code",
        "CausePath": "$.settlement.error.message",
    }
    assert all(state == expected for state in fails)


@given(definitions)
def test_all_else_stays_as_it_was(definition: dict[str, Any]) -> None:
    finished = postprocess(definition)
    assert {**finished, "States": None} == {**definition, "States": None}
    assert list(finished["States"]) == list(definition["States"])
    for name, state in definition["States"].items():
        if state["Type"] != "Fail":
            assert {**finished["States"][name], "Retry": None} == {**state, "Retry": None}


@given(definitions)
def test_the_definition_handed_in_is_not_changed(definition: dict[str, Any]) -> None:
    before = copy.deepcopy(definition)
    postprocess(definition)
    assert definition == before


@given(definitions)
def test_doing_it_twice_changes_nothing_more(definition: dict[str, Any]) -> None:
    once = postprocess(definition)
    assert postprocess(once) == once
