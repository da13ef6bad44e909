"""Every command of docs/runbook.md exists: in AWS's own models, the Makefile, the template."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

from tests.support.sam_template import Template

ROOT = Path(__file__).parents[3]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
BLOCKS = "\n".join(line[4:] for line in RUNBOOK.splitlines() if line.startswith("    "))
PROOFS = [row.split(" | ")[1].strip("`") for row in RUNBOOK.splitlines() if re.match(r"\| \d+ \| `", row)]
CODE = "\n".join([BLOCKS, *PROOFS])
OF_THE_CLI_ITSELF = {"query", "output"}
# where the CLI's name differs from the API's
SERVICES = {"s3api": "s3"}
OPTIONS = {"notification-endpoint": "endpoint"}


@dataclass(frozen=True)
class Command:
    service: str
    operation: str
    options: frozenset[str]

    def __str__(self) -> str:
        return f"{self.service}-{self.operation}"


def commands() -> list[Command]:
    """The calls of the AWS CLI, including those inside $(…); `s3` is a command of the CLI, not an API."""
    found = []
    for service, operation, rest in re.findall(r"\baws ([a-z0-9-]+) (wait [a-z-]+|[a-z0-9-]+)([^\n|;]*)", CODE):
        own = re.sub(r'"[^"]*"', "", rest)
        options = {OPTIONS.get(name, name) for name in re.findall(r"--([a-z0-9-]+)", own)} - OF_THE_CLI_ITSELF
        if service != "s3":
            found.append(Command(SERVICES.get(service, service), operation, frozenset(options)))
    return found


@cache
def model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


def test_there_are_commands() -> None:
    assert len(commands()) > 20


def test_an_account_is_proved_by_ten_commands() -> None:
    assert len(PROOFS) == 10
    assert sum(proof.startswith("aws ") for proof in PROOFS) == 9


def test_production_is_deployed_with_what_it_must_have() -> None:
    """`--parameter-overrides` replaces samconfig.toml's. A restored production stack has another Stage, and no rule of
    the template requires these parameters."""
    deployments = [line for line in BLOCKS.splitlines() if re.search(r"sam deploy --config-env prod .*Stage=", line)]
    assert len(deployments) >= 3
    for line in deployments:
        assert "AlarmEmail=" in line
        assert "PrivateNetwork=true" in line
        assert "AuditTrail=true" in line


def test_the_first_deploy_sends_from_the_address_that_preflight_checked() -> None:
    """SES refuses mail from any other address, and a first deploy without SenderEmail gets the template's default."""
    preflights = [line for line in CODE.splitlines() if line.endswith("scripts/deployment/preflight.sh")]
    assert len(preflights) >= 2
    assert all(line.startswith("STAGE=$STAGE SENDER=$SENDER ") for line in preflights)
    section = RUNBOOK.partition("## Deploy\n")[2].partition("\n## ")[0]
    first, *_ = deploys = re.findall(r"^    .*\bsam deploy (.*)$", section, re.M)
    assert '"SenderEmail=$SENDER"' in first
    assert '"AlarmEmail=$OPERATOR"' in first
    assert all('"SenderEmail=$SENDER"' in deploy for deploy in deploys if "--config-env prod" in deploy)


@pytest.mark.parametrize("command", commands(), ids=str)
def test_a_command_is_known_to_aws(command: Command) -> None:
    operation = command.operation
    if operation.startswith("wait "):
        waiters = botocore.session.get_session().get_waiter_model(command.service)
        operation = waiters.get_waiter(
            next(name for name in waiters.waiter_names if xform_name(name, "-") == operation.removeprefix("wait "))
        ).operation
    names = {xform_name(name, "-"): name for name in model(command.service).operation_names}
    known = names.get(xform_name(operation, "-"))
    assert known, f"{command.service} has no {operation}"
    shape = model(command.service).operation_model(known).input_shape
    members = {xform_name(member, "-") for member in shape.members} if shape else set()
    required = {xform_name(member, "-") for member in shape.required_members} if shape else set()
    assert command.options <= members
    assert required <= command.options


def test_what_it_runs_of_the_project_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", RUNBOOK)) <= targets
    for path in re.findall(r"\b(?:scripts|tests)/[\w./-]*\w", RUNBOOK):
        assert (ROOT / path).exists(), path


def test_what_it_names_of_the_stack_is_there() -> None:
    template = Template.load()
    assert set(re.findall(r"\$\(output (\w+)\)", RUNBOOK)) <= template.content["Outputs"].keys()
    assert set(re.findall(r"\$\(physical (\w+)\)", RUNBOOK)) <= template.resources.keys()
    given = {name for line in re.findall(r"--parameter-overrides(.*)", CODE) for name in re.findall(r"(\w+)=", line)}
    assert given <= template.parameters.keys()


def test_the_alarms_send_to_it() -> None:
    """An alarm's description names an existing file."""
    text = (ROOT / "template.yaml").read_text(encoding="utf-8")
    named = set(re.findall(r"docs/\w+\.md", text))
    assert "docs/runbook.md" in named
    assert all((ROOT / name).is_file() for name in named)
