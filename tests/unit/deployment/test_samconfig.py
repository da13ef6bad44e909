"""samconfig.toml: one environment per stage, with parameters that the template has."""

from __future__ import annotations

import re

import pytest

from tests.support.sam_template import Template
from tests.support.samconfig import CONFIG, deployed_with

STAGES = ("dev", "prod")


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_a_stack_of_its_own(stage: str) -> None:
    assert CONFIG[stage]["global"]["parameters"]["stack_name"] == f"spaceport-{stage}"
    assert deployed_with(stage)["Stage"] == stage


@pytest.mark.parametrize("stage", STAGES)
def test_its_parameters_are_ones_that_the_template_takes(stage: str) -> None:
    parameters = Template.load().parameters
    for name, value in deployed_with(stage).items():
        assert value in parameters[name].get("AllowedValues", [value])
        assert re.fullmatch(parameters[name].get("AllowedPattern", ".*"), value)


def test_production_is_audited_runs_in_its_own_network_and_changes_nothing_unseen() -> None:
    given = deployed_with("prod")
    assert (given["AuditTrail"], given["PrivateNetwork"]) == ("true", "true")
    assert CONFIG["prod"]["deploy"]["parameters"]["confirm_changeset"] is True
