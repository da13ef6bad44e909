"""preflight.sh with an account that the test defines: it names what the account lacks, and nothing else."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.sam_template import Template

SCRIPT = Path(__file__).parents[3] / "scripts" / "deployment" / "preflight.sh"
PRICES = "ml.c6i.4xlarge=0.9,ml.g4dn.xlarge=0.8"

# answers in the format of the AWS CLI, a list of quotas in pages; an environment variable makes one thing missing
AWS = r"""#!/usr/bin/env bash
echo "$*" >>"$CALLS"
case "$*" in
  *'${'*) echo "an unfilled substitution" >&2; exit 2 ;;
  "stepfunctions validate-state-machine-definition"*'"StartAt"'*) echo "${DEFINITION:-OK}" ;;
  "configure get region") echo "${REGION:-us-east-1}" ;;
  "lambda get-account-settings"*) echo "${LAMBDA:-1000}" ;;
  *"ml.c6i.4xlarge for processing job usage"*) printf "\nNone\n%s\n\n" "L-1	${PROCESSING:-4.0}" ;;
  *"ml.g4dn.xlarge for spot training job usage"*) echo "L-2	${SPOT_QUOTA:-4.0}" ;;
  *"ml.g4dn.xlarge for training job usage"*) echo "L-3	${ON_DEMAND:-4.0}" ;;
  "service-quotas"*) echo None ;;
  "sesv2 get-email-identity --email-identity ${VERIFIED-spaceport@example.com} "*) echo True ;;
  "sesv2 get-email-identity"*) echo "NotFoundException" >&2; exit 254 ;;
  "sesv2 get-account"*) echo "${PRODUCTION:-True}" ;;
  "sts get-caller-identity"*) echo 123456789012 ;;
  "cloudformation describe-stacks"*) [ -n "${DEPLOYED:-}" ] || exit 254 ;;
  "s3api head-bucket --bucket ${TAKEN:-nothing}") ;;
  "s3api head-bucket"*) echo "An error occurred (${HEAD:-404}) when calling the HeadBucket operation" >&2; exit 254 ;;
  "ecr describe-images"*"/${NO_IMAGE:-nothing} "*) exit 254 ;;
  "ecr describe-images"*) ;;
  "logs describe-log-groups"*ProcessingJobs*) [ "${SFM_LOGS:-30}" = none ] || echo "${SFM_LOGS:-30}" ;;
  "logs describe-log-groups"*TrainingJobs*) echo "${TRAINING_LOGS:-7}" ;;
  "iam get-role"*) [ -z "${NO_ROLE:-}" ] || exit 254 ;;
  *) echo "unexpected: $*" >&2; exit 2 ;;
esac
"""


def run(folder: Path, **variables: str) -> tuple[int, str]:
    """The exit code, and all lines."""
    (folder / "aws").write_text(AWS, encoding="utf-8")
    (folder / "aws").chmod(0o755)
    environment = {"PATH": f"{folder}:{os.environ['PATH']}", "CALLS": str(folder / "calls"), **variables}
    done = subprocess.run([str(SCRIPT)], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    return done.returncode, done.stdout


def preflight(folder: Path, **variables: str) -> tuple[int, list[str]]:
    """The exit code, and what is missing."""
    code, lines = run(folder, **variables)
    return code, [line for line in lines.splitlines() if not line.startswith("ok ")]


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"IMAGE_TAG": "abc", "DEPLOY_ROLE": "spaceport-deploy"},
        {"SPOT": "false", "SPOT_QUOTA": "0.0"},
        {"ON_DEMAND": "0.0"},
        {"TRAINING_TYPES": "ml.g4dn.xlarge+ml.g6.xlarge,ml.g4dn.xlarge"},
        {"SENDER": "a@flights.example", "VERIFIED": "flights.example"},
        {"RESERVE": "true", "LAMBDA": "394"},
        {"LAMBDA": "101"},
        {"REGION": "eu-west-1", "PRICES": PRICES},
        {"AWS_REGION": "us-east-1", "REGION": "eu-west-1"},
        {"DEPLOYED": "1", "TAKEN": "spaceport-dev-uploads-123456789012", "LAMBDA": "100"},
    ],
    ids=str,
)
def test_an_account_that_has_what_is_needed_passes(tmp_path: Path, variables: dict[str, str]) -> None:
    assert preflight(tmp_path, **variables) == (0, [])


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"DEFINITION": "FAIL"}, "pipeline.asl.json is FAIL"),
        (
            {"REGION": "eu-west-1"},
            "ml.g4dn.xlarge.* in eu-west-1: not known, and budgets would count those of us-east-1",
        ),
        ({"AWS_REGION": "mars-1"}, "in mars-1: not known"),
        (
            {"REGION": "eu-west-1", "PRICES": PRICES.replace("ml.g4dn.", "ml.g5.")},
            "Prices: ml.g4dn.xlarge in eu-west-1",
        ),
        ({"LAMBDA": "10"}, "10 concurrent executions are free, 101 are needed"),
        ({"LAMBDA": "100"}, "100 concurrent"),
        ({"LAMBDA": "393", "RESERVE": "true"}, "394 are needed"),
        ({"SFM_LOGS": "none"}, "no group /aws/sagemaker/ProcessingJobs yet: aws logs create-log-group"),
        ({"TRAINING_LOGS": "None"}, "/aws/sagemaker/TrainingJobs keeps its lines for ever: aws logs put-retention"),
        ({"PROCESSING": "0.0"}, "ml.c6i.4xlarge for processing job usage is 0.0: .* --quota-code L-1 "),
        ({"SPOT_QUOTA": "0.0"}, "ml.g4dn.xlarge for spot training job usage is 0.0: .* --quota-code L-2 "),
        ({"SPOT": "false", "ON_DEMAND": "0.0"}, "for training job usage is 0.0: .* --quota-code L-3 "),
        ({"TRAINING_TYPES": "ml.g4dn.xlarge,ml.g6.xlarge"}, "no quota 'ml.g6.xlarge for spot training job usage'"),
        ({"VERIFIED": "somebody@example.com"}, "spaceport@example.com is not verified"),
        ({"TRAINING_TYPES": "ml.g6.xlarge+ml.g4dn.xlarge"}, "no quota 'ml.g6.xlarge for spot training job usage'"),
        ({"PRODUCTION": "False"}, "in its sandbox"),
        ({"TAKEN": "spaceport-dev-uploads-123456789012"}, "uploads-123456789012 exists already"),
        ({"TAKEN": "spaceport-prod-web-123456789012", "STAGE": "prod"}, "prod-web-123456789012 exists already"),
        ({"IMAGE_TAG": "abc", "NO_IMAGE": "3dgs"}, "spaceport-dev/3dgs:abc: .*deploy.sh 3dgs"),
        ({"DEPLOY_ROLE": "spaceport-deploy", "NO_ROLE": "1"}, "no role spaceport-deploy"),
    ],
    ids=str,
)
def test_what_is_missing_is_named_with_what_to_do(tmp_path: Path, variables: dict[str, str], named: str) -> None:
    code, (line,) = preflight(tmp_path, **variables)
    assert code == 1
    assert re.search(named, line), line


@pytest.mark.parametrize(("spot", "skipped"), [("true", ["g4dn", "g6"]), ("false", ["g6"])])
def test_a_fallback_without_a_quota_is_skipped(tmp_path: Path, spot: str, skipped: list[str]) -> None:
    """On demand, the first type is not a fallback, and its quota is queried once."""
    variables = {"SPOT": spot, "TRAINING_TYPES": "ml.g4dn.xlarge+ml.g6.xlarge,ml.g4dn.xlarge"}
    _, lines = run(tmp_path, **variables, ON_DEMAND="0.0")
    assert re.findall(r"ml\.(\w+)\.xlarge for training job usage is .*: skipped as a fallback", lines) == skipped
    assert (tmp_path / "calls").read_text(encoding="utf-8").count("ml.g4dn.xlarge for training job usage") == 1


def test_a_bucket_of_another_account_is_not_free(tmp_path: Path) -> None:
    code, lines = preflight(tmp_path, HEAD="403")
    assert code == 1
    assert len(lines) == 4


def test_it_asks_for_the_quotas_of_the_templates_instance_types(tmp_path: Path) -> None:
    assert preflight(tmp_path) == (0, [])
    asked = set(re.findall(r"QuotaName=='(ml\.\S+) for", (tmp_path / "calls").read_text(encoding="utf-8")))
    parameters = Template.load().parameters
    types = [str(each["Default"]) for name, each in parameters.items() if name.endswith("InstanceTypes")]
    assert asked == {type_ for line in types for type_ in re.split(r"[,+]", line)}


def test_its_defaults_are_the_templates() -> None:
    text = SCRIPT.read_text(encoding="utf-8")
    defaults = dict(re.findall(r"^([A-Z_]+)=\$\{\1:-(.*)\}$", text, re.M))
    of_template = {name: str(each.get("Default")) for name, each in Template.load().parameters.items()}
    assert defaults["SENDER"] == of_template["SenderEmail"]
    assert defaults["SPOT"] == of_template["SpotTraining"]
    assert defaults["RESERVE"] == of_template["ReserveConcurrency"]
    assert defaults["STAGE"] == of_template["Stage"]


def test_its_reserve_is_the_templates() -> None:
    reserves = [each.properties.get("ReservedConcurrentExecutions", 0) for each in Template.load().functions]
    always = sum(each for each in reserves if isinstance(each, int))
    asked_for = sum(int(each["Fn::If"][1]) for each in reserves if isinstance(each, dict))
    assert re.findall(r"reserve=(\d+)", SCRIPT.read_text(encoding="utf-8")) == [str(always), str(always + asked_for)]
