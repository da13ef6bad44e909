"""Deploy the template to the local cloud, as `sam build && sam deploy` would."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from local.address import ACCOUNT, REGION, Address
from local.bundle import build_bundle
from local.template import load_template

ARTIFACTS_BUCKET = "spaceport-local-artifacts"
STACK = "spaceport"
DEPLOY_SECONDS = 120.0
_CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]


class DeployError(Exception):
    """The stack was not created; the message names the resource that failed, and why."""


@dataclass(frozen=True)
class Packager:
    """Uploads the files that a template's local paths name and replaces the paths by S3 URIs, as `sam package` does."""

    put: Callable[[str, bytes], str]  # key, content → s3 URI
    bundle: Callable[[Path], bytes]

    def package(self, template: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        """A copy of `template` (from `folder`) that no longer refers to files."""
        packaged: dict[str, Any] = json.loads(json.dumps(template))  # a copy without YAML's shared parts
        shared = packaged.get("Globals", {}).get("Function", {}).pop("CodeUri", None)
        uris: dict[Path, str] = {}
        for resource in packaged["Resources"].values():
            properties = resource.get("Properties", {})
            if resource["Type"] == "AWS::Serverless::Function":
                code = (folder / properties.get("CodeUri", shared)).resolve()
                if code not in uris:
                    uris[code] = self._put(self.bundle(code), "zip")
                properties["CodeUri"] = uris[code]
            elif resource["Type"] == "AWS::Serverless::StateMachine" and "DefinitionUri" in properties:
                definition = (folder / properties["DefinitionUri"]).read_bytes()
                properties["DefinitionUri"] = self._put(definition, "asl.json")
        return packaged

    def _put(self, content: bytes, suffix: str) -> str:
        return self.put(f"{hashlib.sha256(content).hexdigest()}.{suffix}", content)


def deploy_pipeline(address: Address, root: Path, parameters: Mapping[str, str] | None = None) -> dict[str, str]:
    """Deploy the project in `root` and verify its sender in SES, as an operator does once by hand; the outputs.

    `parameters` override the template's defaults.
    """
    given, declared = dict(parameters or {}), load_template(root / "template.yaml")["Parameters"]
    sender, stage = (given.get(name, declared[name]["Default"]) for name in ("SenderEmail", "Stage"))
    address.client("sesv2").create_email_identity(EmailIdentity=sender)
    page = f"{address.url}/spaceport-{stage}-web-{ACCOUNT}/index.html"
    return deploy(address, root / "template.yaml", root / ".build", {"PageUrl": page, "WebhookTargets": "any"} | given)


def deploy(
    address: Address, template: Path, cache: Path, parameters: Mapping[str, str] | None = None, stack: str = STACK
) -> dict[str, str]:
    """Create the stack, with its own defaults for other parameters, and return its outputs.

    Raises DeployError, BundleError.
    """
    s3, cloudformation = address.client("s3"), address.client("cloudformation")
    with suppress(s3.exceptions.BucketAlreadyOwnedByYou):
        s3.create_bucket(Bucket=ARTIFACTS_BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})

    def put(key: str, content: bytes) -> str:
        s3.put_object(Bucket=ARTIFACTS_BUCKET, Key=key, Body=content)
        return f"s3://{ARTIFACTS_BUCKET}/{key}"

    packager = Packager(put, lambda code: build_bundle(code, cache))
    packaged = packager.package(load_template(template), template.resolve().parent)
    put("template.json", json.dumps(packaged).encode())
    try:
        cloudformation.create_stack(
            StackName=stack,
            TemplateURL=f"{address.url}/{ARTIFACTS_BUCKET}/template.json",
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in (parameters or {}).items()],
            Capabilities=_CAPABILITIES,
        )
    except ClientError as error:
        raise DeployError(f"stack {stack} is refused: {error.response['Error']['Message']}") from error
    return _wait(cloudformation, stack)


def stack_outputs(address: Address, stack: str = STACK) -> dict[str, str]:
    """The outputs of a stack that was deployed before. Raises DeployError where there is none."""
    try:
        described = address.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as error:
        raise DeployError(f"stack {stack} is not there: {error.response['Error']['Message']}") from error
    return _outputs(described)


def _outputs(described: Mapping[str, Any]) -> dict[str, str]:
    return {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}


def _wait(cloudformation: Any, stack: str) -> dict[str, str]:
    deadline = time.monotonic() + DEPLOY_SECONDS
    while True:
        described = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
        status = described["StackStatus"]
        if status == "CREATE_COMPLETE":
            return _outputs(described)
        if status != "CREATE_IN_PROGRESS" or time.monotonic() > deadline:
            raise DeployError(f"stack {stack} is {status}: {_reasons(cloudformation, stack)}")
        time.sleep(0.1)


def _reasons(cloudformation: Any, stack: str) -> str:
    events = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
    failed = [event for event in events if event["ResourceStatus"].endswith("FAILED")]
    return "; ".join(f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', '?')}" for event in failed)
