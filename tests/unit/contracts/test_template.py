"""template.yaml and the code agree: handlers, settings, parameters, substitutions, build targets."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from domain.stage_settings import StageSettings
from tests.support.asl import PIPELINE
from tests.support.events import samples_for
from tests.support.sam_template import Function, Template

ROOT = Path(__file__).parents[3]
TEMPLATE = Template.load()
FUNCTIONS = {function.name: function for function in TEMPLATE.functions}
# read by Powertools itself (https://docs.powertools.aws.dev/lambda/python/latest/environment_variables/)
POWERTOOLS_VARIABLES = {
    "POWERTOOLS_SERVICE_NAME",
    "POWERTOOLS_METRICS_NAMESPACE",
    "POWERTOOLS_LOG_LEVEL",
    "POWERTOOLS_TRACER_CAPTURE_RESPONSE",
    "POWERTOOLS_TRACER_CAPTURE_ERROR",
}

each_function = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)


@each_function
def test_the_handler_can_be_called(function: Function) -> None:
    assert callable(getattr(function.load(), function.properties["Handler"].rpartition(".")[2]))


def test_every_function_folder_has_a_function_and_the_other_way_round() -> None:
    folders = {path.parent.name for path in (ROOT / "functions").glob("*/handler.py")}
    assert folders == {function.package for function in FUNCTIONS.values()}


@each_function
def test_every_function_has_a_sample_of_its_event(function: Function) -> None:
    assert samples_for(function.package)


@each_function
def test_a_handler_reads_its_settings_in_one_class(function: Function) -> None:
    assert len(function.settings()) == 1


@each_function
def test_every_setting_has_a_variable(function: Function) -> None:
    assert function.settings_variables() <= function.variables | TEMPLATE.global_variables.keys()


@each_function
def test_no_variable_of_its_own_is_unread(function: Function) -> None:
    assert function.variables.keys() <= function.settings_variables()


def test_no_global_variable_is_unread() -> None:
    read = {name for function in FUNCTIONS.values() for name in function.settings_variables()}
    assert TEMPLATE.global_variables.keys() - POWERTOOLS_VARIABLES <= read


@pytest.mark.parametrize("captured", ["RESPONSE", "ERROR"])
def test_no_answer_and_no_exception_of_a_function_is_kept_in_its_trace(captured: str) -> None:
    """They contain tokens of shares, secrets of webhooks and signed links (tests/unit/functions/test_traces.py)."""
    variable = f"POWERTOOLS_TRACER_CAPTURE_{captured}"
    assert TEMPLATE.global_variables[variable] == "false"
    assert not any(variable in function.variables for function in TEMPLATE.functions)


def test_a_variable_of_one_function_is_not_given_to_all() -> None:
    for function in FUNCTIONS.values():
        assert not function.variables.keys() & TEMPLATE.global_variables.keys()


def test_settings_are_read_nowhere_but_in_handlers() -> None:
    """Logic never reads the environment (os.environ occurs only in settings.py)."""
    readers = [
        path.relative_to(ROOT / "functions").as_posix()
        for path in (ROOT / "functions").rglob("*.py")
        if re.search(r"os\.environ|getenv", path.read_text(encoding="utf-8"))
    ]
    assert readers == ["domain/settings.py"]


@each_function
def test_a_missing_variable_is_named(function: Function) -> None:
    for settings in function.settings():
        with pytest.raises(ValueError, match=next(iter(settings.model_fields))):
            settings.read({})


def test_settings_take_the_words_of_the_template() -> None:
    """`SpotTraining` is a string with two allowed values, the setting is a boolean."""
    spot = [_stage_settings({"SPOT_TRAINING": word}) for word in TEMPLATE.parameters["SpotTraining"]["AllowedValues"]]
    assert [settings.spot_training for settings in spot] == [True, False]


def _stage_settings(variables: dict[str, str]) -> StageSettings:
    others = dict.fromkeys(StageSettings.variables(), "x,x,x")
    return StageSettings.read({**others, **variables})


def test_every_parameter_is_used() -> None:
    assert TEMPLATE.parameters.keys() <= TEMPLATE.references()


def test_every_reference_leads_somewhere() -> None:
    pseudo = {name for name in TEMPLATE.references() if name.startswith("AWS::")}
    by_sam = {f"{function.name}Role" for function in TEMPLATE.functions}  # SAM creates a role for each function
    assert TEMPLATE.references() - pseudo - by_sam <= TEMPLATE.parameters.keys() | TEMPLATE.resources.keys()


def test_every_substitution_is_in_the_state_machine_and_the_other_way_round() -> None:
    (machine,) = TEMPLATE.of_type("AWS::Serverless::StateMachine").values()
    named = set(re.findall(r"\$\{(\w+)\}", PIPELINE.read_text(encoding="utf-8")))
    assert machine["Properties"]["DefinitionSubstitutions"].keys() == named


def test_the_template_deploys_the_definition_that_the_tests_read() -> None:
    (machine,) = TEMPLATE.of_type("AWS::Serverless::StateMachine").values()
    assert ROOT / machine["Properties"]["DefinitionUri"] == PIPELINE


def test_the_state_machine_may_call_the_functions_it_calls() -> None:
    (machine,) = TEMPLATE.of_type("AWS::Serverless::StateMachine").values()
    substitutions = machine["Properties"]["DefinitionSubstitutions"]
    called = {value["Fn::GetAtt"].partition(".")[0] for value in substitutions.values() if "Fn::GetAtt" in value}
    policies = [policy.get("LambdaInvokePolicy") for policy in machine["Properties"]["Policies"]]
    assert {policy["FunctionName"]["Ref"] for policy in policies if policy} == called


@each_function
def test_makefile_builds_the_function(function: Function, tmp_path: Path) -> None:
    assert function.build_method == "makefile"
    planned = subprocess.run(
        ["make", "--dry-run", f"build-{function.name}", f"ARTIFACTS_DIR={tmp_path}"],
        cwd=ROOT / "functions",
        capture_output=True,
        text=True,
        check=False,
    )
    assert planned.returncode == 0, planned.stderr
    copied = re.search(rf"cp -rL (.*) {re.escape(str(tmp_path))}", planned.stdout)
    assert copied is not None
    assert {"contract", "domain", function.package} <= set(copied[1].split())


def test_a_bundle_copies_every_package_of_functions() -> None:
    makefile = (ROOT / "functions" / "Makefile").read_text(encoding="utf-8")
    sources = re.search(r"^SOURCES := (.*)$", makefile, re.M)
    assert sources is not None
    packages = {path.parent.name for path in (ROOT / "functions").glob("*/__init__.py")}
    assert set(sources[1].split()) == packages


@each_function
def test_an_event_that_no_retry_helps_is_kept(function: Function) -> None:
    """What EventBridge invokes has a dead letter queue at rule and function; Step Functions retries by itself."""
    events = {
        name: event
        for name, event in function.properties.get("Events", {}).items()
        if event["Type"] not in ("HttpApi", "SQS")  # callers of the API see a failure themselves
    }
    assert all("DeadLetterConfig" in event["Properties"] for event in events.values())
    assert ("DeadLetterQueue" in function.properties) == bool(events)


@each_function
def test_a_queue_that_feeds_a_function_has_dead_letters_of_its_own(function: Function) -> None:
    for event in function.properties.get("Events", {}).values():
        if event["Type"] == "SQS":
            queue = event["Properties"]["Queue"]["Fn::GetAtt"].partition(".")[0]
            assert "RedrivePolicy" in TEMPLATE.resources[queue]["Properties"]
