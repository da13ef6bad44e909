"""The template as used by the SAM CLI: checked, built, deployed locally, each function invoked in Lambda's image."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from local.cloud import ROOT, attached_cloud
from local.customer import subscribed, upload
from tests.support.events import samples_for
from tests.support.sam_template import Template

SAM = ROOT / ".venv-sam" / "bin" / "sam"
FUNCTIONS = {function.name: function for function in Template.load().functions}
LAMBDA_IMAGE = "public.ecr.aws/lambda/python:3.11-rapid-x86_64"
REJECTION_SECONDS = 60.0


def sam(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "AWS_DEFAULT_REGION": "eu-west-1", "SAM_CLI_TELEMETRY": "0", **variables}
    return subprocess.run([str(SAM), *arguments], cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built template."""
    folder = tmp_path_factory.mktemp("sam") / "build"
    done = sam("build", "--build-dir", str(folder), "--cache-dir", str(folder.parent / "cache"))
    assert done.returncode == 0, done.stderr
    return folder / "template.yaml"


def test_the_template_is_valid() -> None:
    done = sam("validate", "--lint")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_function_is_built_with_its_handler(built: Path) -> None:
    for name, function in FUNCTIONS.items():
        handler = built.parent / name / function.handler_module.replace(".", "/")
        assert handler.with_suffix(".py").is_file(), name


def test_the_built_stack_deploys_and_takes_an_upload(built: Path, tmp_path: Path) -> None:
    with attached_cloud(tmp_path / "cloud") as cloud:
        done = sam(
            *("deploy", "--template-file", str(built), "--stack-name", "spaceport-dev", "--resolve-s3"),
            *("--capabilities", "CAPABILITY_IAM", "--parameter-overrides", "Stage=dev", "--no-confirm-changeset"),
            **cloud.address.environment(),
        )
        assert done.returncode == 0, done.stderr[-3000:]
        stacks = cloud.address.client("cloudformation").describe_stacks(StackName="spaceport-dev")["Stacks"]
        outputs = {output["OutputKey"]: output["OutputValue"] for output in stacks[0]["Outputs"]}
        (tmp_path / "photos.zip").write_bytes(b"not an archive")
        with subscribed(cloud.address, outputs["StatusBusName"]) as subscription:
            upload(cloud.address, outputs["UploadsBucket"], tmp_path / "photos.zip", {"email": "a@example.com"})
            events = list(subscription.follow(REJECTION_SECONDS))
        assert [(event.type, event.error and event.error["code"]) for event in events] == [
            ("Job Rejected", "NOT_A_ZIP")
        ]


def lambda_image_is_here() -> bool:
    docker = shutil.which("docker")
    if docker is None:
        return False
    try:
        found = subprocess.run([docker, "image", "inspect", LAMBDA_IMAGE], capture_output=True, timeout=20)
    except subprocess.TimeoutExpired:
        return False
    return found.returncode == 0


@pytest.mark.engine
@pytest.mark.skipif(not lambda_image_is_here(), reason="no container engine with Lambda's image here")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_starts_from_its_bundle_and_gets_through_its_event(built: Path, tmp_path: Path, name: str) -> None:
    """AWS's endpoints do not answer here: the function's first call fails, and nothing before it."""
    nowhere = "http://127.0.0.1:9"
    template = tmp_path / "template.yaml"
    variables = f"AWS_ENDPOINT_URL: {nowhere}\n        AWS_MAX_ATTEMPTS: '1'\n        POWERTOOLS_TRACE_DISABLED: 'true'"
    text = built.read_text(encoding="utf-8")
    text = text.replace("      Variables:\n", f"      Variables:\n        {variables}\n", 1)
    template.write_text(text.replace("CodeUri: ", f"CodeUri: {built.parent}/"), encoding="utf-8")
    done = sam(
        *(
            "local",
            "invoke",
            name,
            "--template",
            str(template),
            "--event",
            str(samples_for(FUNCTIONS[name].package)[0]),
        ),
        "--skip-pull-image",
        AWS_ACCESS_KEY_ID="none",
        AWS_SECRET_ACCESS_KEY="none",
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    if "statusCode" in answer:  # the API tells its caller only that the fault is internal
        assert (answer["statusCode"], nowhere in done.stderr) == (500, True), done.stderr
    else:
        assert nowhere in answer["errorMessage"], answer
