"""Settings are read from the environment by name and type, and from nowhere else."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from contract.stages import Stage
from domain.clients import client, table
from domain.cost import Prices
from domain.layout import split_uri
from domain.settings import Settings
from domain.stage_settings import StageSettings
from tests.support.cloud import ENVIRONMENT, Cloud


class Some(Settings):
    jobs_table: str
    link_hours: int


def test_a_field_reads_the_variable_of_its_name() -> None:
    assert Some.read({"JOBS_TABLE": "jobs", "LINK_HOURS": "6", "OTHER": "x"}) == Some(jobs_table="jobs", link_hours=6)


def test_a_missing_variable_is_an_error_that_names_it() -> None:
    with pytest.raises(ValidationError, match="link_hours"):
        Some.read({"JOBS_TABLE": "jobs"})


def test_a_variable_of_the_wrong_type_is_an_error() -> None:
    with pytest.raises(ValidationError, match="link_hours"):
        Some.read({"JOBS_TABLE": "jobs", "LINK_HOURS": "a while"})


@pytest.mark.parametrize(("value", "spot"), [("true", True), ("false", False)])
def test_the_templates_word_for_spot_is_understood(value: str, spot: bool) -> None:
    assert StageSettings.read({**ENVIRONMENT, "SPOT_TRAINING": value}).platform.spot_training is spot


def test_every_stage_has_its_image_and_machine() -> None:
    platform = StageSettings.read(ENVIRONMENT).platform
    assert set(platform.images) == set(platform.instance_types) == set(Stage)


def test_a_stage_without_its_image_is_an_error_that_names_it() -> None:
    variables = {name: value for name, value in ENVIRONMENT.items() if name != "TRAINING_IMAGE"}
    with pytest.raises(ValidationError, match="no value for 3dgs"):
        StageSettings.read(variables)


def test_the_variables_of_settings_are_those_that_they_read() -> None:
    assert {"SFM_IMAGE", "TRAINING_INSTANCE_TYPES", "STACK"} <= {*StageSettings.variables()} <= {*ENVIRONMENT}


def test_a_warm_function_keeps_its_clients(cloud: Cloud) -> None:
    assert client("s3") is client("s3")
    assert table("jobs") is table("jobs")


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("s3://bucket/some/key.json", ("bucket", "some/key.json")),
        ("s3://bucket/a #1?.zip", ("bucket", "a #1?.zip")),
        ("s3://bucket/", ("bucket", "")),
    ],
)
def test_an_s3_uri_splits_at_its_first_slash(uri: str, parts: tuple[str, str]) -> None:
    assert split_uri(uri) == parts


def test_a_price_is_per_hour() -> None:
    assert Prices().dollars("ml.g5.xlarge", 1800) == 0.704


def test_an_unknown_machine_has_no_price() -> None:
    assert Prices().dollars("ml.unknown", 1800) is None
