"""The roles of the template, enforced: they allow the calls that the pipeline makes and deny all others.

MiniStack enforces the policies in the local cloud, with each function's own credentials (local/iam.py); the stages are
stand-ins. tests/unit/contracts/test_permissions.py compares the allowed actions with the code: none is missing and
none is unused.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local.address import ACCOUNT, REGION, Address
from local.cloud import ROOT, attached_cloud
from local.customer import StatusEvent, subscribed, upload, wait_for_mail
from local.deploy import STACK, deploy_pipeline
from tests.support.events import sample_event
from tests.support.waiting import quiet_logs, wait_until

FIXTURES = Path(__file__).parent / "fixtures" / "stages"
JOB_SECONDS = 300.0
OWNER = f"arn:aws:iam::{ACCOUNT}:root"


@dataclass(frozen=True)
class Stack:
    """The deployed template. `physical`: the physical names of its resources by logical name."""

    address: Address
    outputs: dict[str, str]
    physical: dict[str, str]

    def send(self, folder: Path, email: str, *extra: str) -> list[StatusEvent]:
        """Uploads 24 photos, and files called `extra`; returns the job's status events."""
        archive = folder / "photos.zip"
        with zipfile.ZipFile(archive, "w") as photos:
            for name in (*(f"images/{number:06d}.jpg" for number in range(24)), *extra):
                photos.writestr(name, b"\xff\xd8\xff" + bytes(100))
        with subscribed(self.address, self.outputs["StatusBusName"]) as subscription:
            upload(self.address, self.outputs["UploadsBucket"], archive, {"email": email})
            return list(subscription.follow(JOB_SECONDS))

    def invoke(self, function: str, event: dict[str, Any]) -> dict[str, Any]:
        """The function's answer; fails if the function does."""
        answer = self.address.client("lambda").invoke(
            FunctionName=self.physical[function], Payload=json.dumps(event).encode()
        )
        document: dict[str, Any] = json.load(answer["Payload"])
        assert "FunctionError" not in answer, document
        return document

    def request(self, method: str, path: str, email: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """What the API answers to a signed-in customer."""
        event = sample_event("api/get-jobs") | {"routeKey": f"{method} {path}", "rawPath": path}
        event["body"] = json.dumps(body) if body is not None else None
        event["headers"] = event["headers"] | {"content-type": "application/json"}
        event["requestContext"]["http"] |= {"method": method, "path": path}
        event["requestContext"]["authorizer"]["jwt"]["claims"] |= {"email": email, "email_verified": "true"}
        answer = self.invoke("ApiFunction", event)
        document: dict[str, Any] = json.loads(answer["body"])
        assert answer["statusCode"] < 300, document
        return document

    def role(self, name: str) -> boto3.Session:
        """A session with the role's permissions. Its trust policy is replaced so that the account may assume it; its
        permissions stay."""
        role = self.physical[name]
        statement = {"Effect": "Allow", "Principal": {"AWS": OWNER}, "Action": "sts:AssumeRole"}
        trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.address.client("iam").update_assume_role_policy(RoleName=role, PolicyDocument=trust)
        arn = f"arn:aws:iam::{ACCOUNT}:role/{role}"
        given = self.address.client("sts").assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
        return boto3.Session(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], region_name=REGION)

    def denials(self) -> list[str]:
        """The denied calls that functions logged, once all logs are complete."""
        return [line for line in quiet_logs(self.address) if "AccessDenied" in line or "Forbidden" in line]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with attached_cloud(tmp_path_factory.mktemp("cloud"), root=FIXTURES, enforce_iam=True) as cloud:
        outputs = deploy_pipeline(cloud.address, ROOT)
        resources = cloud.address.client("cloudformation").describe_stack_resources(StackName=STACK)["StackResources"]
        yield Stack(
            cloud.address, outputs, {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in resources}
        )


def test_a_job_gets_from_upload_to_mail_with_the_roles_permissions(stack: Stack, tmp_path: Path) -> None:
    events = stack.send(tmp_path, "good@example.com")
    assert events[-1].type == "Job Succeeded", events[-1].error
    assert wait_for_mail(stack.address, "good@example.com", 30) is not None
    assert stack.denials() == []


def test_a_stage_runs_with_the_role_of_its_job(stack: Stack, tmp_path: Path) -> None:
    succeeded = stack.send(tmp_path, "caller@example.com")[-1]
    results = stack.address.client("s3")
    found = results.list_objects_v2(Bucket=stack.outputs["ResultsBucket"])["Contents"]
    callers = [
        json.load(results.get_object(Bucket=stack.outputs["ResultsBucket"], Key=entry["Key"])["Body"])
        for entry in found
        if entry["Key"].endswith("/caller.json") and succeeded.job_id in entry["Key"]
    ]
    assert len(callers) == 3
    assert all(f"assumed-role/{stack.physical['SageMakerRole']}/" in caller for caller in callers)


def test_a_job_is_run_again_from_the_api_with_the_roles_permissions(stack: Stack, tmp_path: Path) -> None:
    """From its last stage on, and from its first, which needs the upload."""
    succeeded = stack.send(tmp_path, "again@example.com")[-1]
    for again, stage in (("r2", "compressor"), ("r3", "sfm")):
        with subscribed(stack.address, stack.outputs["StatusBusName"]) as subscription:
            answer = stack.request("POST", f"/jobs/{succeeded.job_id}/rerun", "again@example.com", {"from": stage})
            assert answer["jobId"] == f"{succeeded.job_id}-{again}"
            last = list(subscription.follow(JOB_SECONDS))[-1]
            assert (last.job_id, last.type) == (answer["jobId"], "Job Succeeded"), last.error
    assert stack.denials() == []


def test_a_job_gets_to_its_failure_with_the_roles_permissions(stack: Stack, tmp_path: Path) -> None:
    events = stack.send(tmp_path, "bad@example.com", "no overlap")
    assert events[-1].type == "Job Failed"
    assert events[-1].error is not None
    assert events[-1].error["code"] == "NO_OVERLAP"
    assert wait_for_mail(stack.address, "bad@example.com", 30) is not None
    assert stack.denials() == []


def test_a_large_flight_is_trained_in_blocks_and_joined_with_the_roles_permissions(
    stack: Stack, tmp_path: Path
) -> None:
    """The stand-ins of a block and of the join fail if they cannot read their models."""
    events = stack.send(tmp_path, "large@example.com", "in blocks")
    assert events[-1].type == "Job Succeeded", events[-1].error
    assert {event.block for event in events if event.stage == "3dgs"} == {"coarse", 1, 2, 3, None}
    assert [event.type for event in events].count("Job Succeeded") == 1
    assert wait_for_mail(stack.address, "large@example.com", 30) is not None
    assert stack.denials() == []


def test_what_runs_by_the_clock_or_by_hand_may_do_what_it_does(stack: Stack) -> None:
    stack.invoke("SweepJobsFunction", sample_event("sweep_jobs/scheduled"))
    stack.invoke("DispatchFunction", sample_event("dispatch/scheduled"))
    stack.invoke("WatchRunsFunction", sample_event("watch_runs/scheduled"))
    assert stack.invoke("ApiFunction", sample_event("api/get-jobs"))["statusCode"] == 200
    stopped = sample_event("stop_job/execution-aborted")
    machine = stack.outputs["PipelineArn"]
    states, failures = stack.address.client("stepfunctions"), list[dict[str, Any]]()

    def failed_by_now() -> bool:
        failures[:] = states.list_executions(stateMachineArn=machine, statusFilter="FAILED")["executions"]
        return bool(failures)

    wait_until(failed_by_now, what="no execution has failed")
    failed = failures[0]
    stopped["detail"] |= {"executionArn": failed["executionArn"], "name": failed["name"], "status": "FAILED"}
    stopped["detail"]["stateMachineArn"] = machine
    stack.invoke("StopJobFunction", stopped)
    assert stack.denials() == []


def test_the_api_deletes_one_version_of_an_upload(stack: Stack) -> None:
    own = stack.address.client("s3")
    bucket, key = stack.outputs["UploadsBucket"], "shared/notes.txt"
    versions = [own.put_object(Bucket=bucket, Key=key, Body=body)["VersionId"] for body in (b"alice", b"bob")]
    api = stack.role("ApiFunctionRole").client("s3", endpoint_url=stack.address.url)
    api.delete_object(Bucket=bucket, Key=key, VersionId=versions[0])
    left = own.list_object_versions(Bucket=bucket, Prefix=key)
    assert [version["VersionId"] for version in left["Versions"]] == versions[1:]
    assert "DeleteMarkers" not in left


@dataclass(frozen=True)
class Beyond:
    """A call that a role must not make: `call` gets a client of `service` with the role, and the stack."""

    role: str
    service: str
    call: Callable[[Any, Stack], Any]
    action: str

    def __str__(self) -> str:
        return f"{self.role}-{self.action}"


def put(bucket: str, key: str) -> Callable[[Any, Stack], Any]:
    return lambda s3, stack: s3.put_object(Bucket=stack.outputs[bucket], Key=key, Body=b"")


def get(bucket: str, key: str) -> Callable[[Any, Stack], Any]:
    return lambda s3, stack: s3.get_object(Bucket=stack.outputs[bucket], Key=key)


def delete(bucket: str, key: str) -> Callable[[Any, Stack], Any]:
    return lambda s3, stack: s3.delete_object(Bucket=stack.outputs[bucket], Key=key)


def forget_job(dynamodb: Any, stack: Stack) -> Any:
    return dynamodb.delete_item(TableName=stack.outputs["JobsTableName"], Key={"jobId": {"S": "a"}})


def tell(events: Any, stack: Stack) -> Any:
    entry = {"Source": "spaceport.pipeline", "DetailType": "Job Succeeded", "Detail": "{}"}
    return events.put_events(Entries=[entry | {"EventBusName": stack.outputs["StatusBusName"]}])


def answer_task(states: Any, stack: Stack) -> Any:
    return states.send_task_success(taskToken="token", output="{}")


def stop_execution(states: Any, stack: Stack) -> Any:
    arn = stack.outputs["PipelineArn"].replace(":stateMachine:", ":execution:") + ":a"
    return states.stop_execution(executionArn=arn)


def send_mail_as_somebody_else(ses: Any, stack: Stack) -> Any:
    content = {"Simple": {"Subject": {"Data": "a"}, "Body": {"Text": {"Data": "a"}}}}
    return ses.send_email(FromEmailAddress="else@example.com", Destination={"ToAddresses": ["a@b.c"]}, Content=content)


def create_job_as(role: str, stack_tag: str = "spaceport-dev") -> Callable[[Any, Stack], Any]:
    """Creates a SageMaker job that runs with another of the stack's roles, or that is tagged as another stack's."""
    machine = {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}

    def call(sagemaker: Any, stack: Stack) -> Any:
        return sagemaker.create_processing_job(
            ProcessingJobName="spaceport-a",
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{stack.physical[role]}",
            AppSpecification={"ImageUri": "a"},
            ProcessingResources={"ClusterConfig": machine},
            Tags=[{"Key": "spaceport:stack", "Value": stack_tag}],
        )

    return call


def stop_sagemaker_job(sagemaker: Any, stack: Stack) -> Any:
    return sagemaker.stop_processing_job(ProcessingJobName="spaceport-a")


def stop_job_of_production(sagemaker: Any, stack: Stack) -> Any:
    name = "meadow-0123456789ab-sfm-1"
    with suppress(ClientError):  # the test of an earlier role has created it
        stack.address.client("sagemaker").create_processing_job(
            ProcessingJobName=name,
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{stack.physical['SageMakerRole']}",
            AppSpecification={"ImageUri": "spaceport-prod/sfm:1"},
            ProcessingResources={
                "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
            },
            Tags=[{"Key": "spaceport:stack", "Value": "spaceport-prod"}],
        )
    found = stack.address.client("sagemaker").describe_processing_job(ProcessingJobName=name)
    assert found["ProcessingJobName"] == name
    return sagemaker.stop_processing_job(ProcessingJobName=name)


def invoke_notify(functions: Any, stack: Stack) -> Any:
    return functions.invoke(FunctionName=stack.physical["NotifyFunction"], Payload=b"{}")


BEYOND = [
    Beyond("StartJobFunctionRole", "s3", put("UploadsBucket", "a.zip"), "s3:PutObject"),
    Beyond("SuppressFunctionRole", "dynamodb", forget_job, "dynamodb:DeleteItem"),
    Beyond("UnsubscribeFunctionRole", "dynamodb", forget_job, "dynamodb:DeleteItem"),
    Beyond("CallWebhookFunctionRole", "dynamodb", forget_job, "dynamodb:DeleteItem"),
    Beyond("StartJobFunctionRole", "sagemaker", create_job_as("SageMakerRole"), "sagemaker:CreateProcessingJob"),
    Beyond("RunStageFunctionRole", "s3", put("ResultsBucket", "jobs/a/report.json"), "s3:PutObject"),
    Beyond("RunStageFunctionRole", "sagemaker", create_job_as("ApiFunctionRole"), "iam:PassRole"),
    Beyond("RunStageFunctionRole", "sagemaker", stop_sagemaker_job, "sagemaker:StopProcessingJob"),
    Beyond(
        "RunStageFunctionRole",
        "sagemaker",
        create_job_as("SageMakerRole", "spaceport-prod"),
        "sagemaker:CreateProcessingJob",
    ),
    Beyond("ReportStageFunctionRole", "sagemaker", stop_job_of_production, "sagemaker:StopProcessingJob"),
    Beyond("SettleStageFunctionRole", "sagemaker", stop_job_of_production, "sagemaker:StopProcessingJob"),
    Beyond("StopJobFunctionRole", "sagemaker", stop_job_of_production, "sagemaker:StopProcessingJob"),
    Beyond("SweepJobsFunctionRole", "sagemaker", stop_job_of_production, "sagemaker:StopProcessingJob"),
    Beyond("ReportStageFunctionRole", "s3", put("ResultsBucket", "jobs/a/result.json"), "s3:PutObject"),
    Beyond("ReportStageFunctionRole", "events", tell, "events:PutEvents"),
    Beyond("SettleStageFunctionRole", "stepfunctions", answer_task, "states:SendTaskSuccess"),
    Beyond("DeliverFunctionRole", "s3", put("ResultsBucket", "jobs/a/scene.sog"), "s3:PutObject"),
    Beyond("DeliverFunctionRole", "s3", get("UploadsBucket", "a.zip"), "s3:GetObject"),
    Beyond("StopJobFunctionRole", "stepfunctions", stop_execution, "states:StopExecution"),
    Beyond("StopJobFunctionRole", "dynamodb", forget_job, "dynamodb:DeleteItem"),
    Beyond("DispatchFunctionRole", "s3", get("ResultsBucket", "jobs/a/result.json"), "s3:GetObject"),
    Beyond("DispatchFunctionRole", "stepfunctions", answer_task, "states:SendTaskSuccess"),
    Beyond("WatchRunsFunctionRole", "stepfunctions", stop_execution, "states:StopExecution"),
    Beyond("SweepJobsFunctionRole", "stepfunctions", answer_task, "states:SendTaskSuccess"),
    Beyond("TrackProgressFunctionRole", "events", tell, "events:PutEvents"),
    Beyond("TrackProgressFunctionRole", "dynamodb", forget_job, "dynamodb:DeleteItem"),
    Beyond("NotifyFunctionRole", "s3", put("ResultsBucket", "jobs/a/report.html"), "s3:PutObject"),
    Beyond("NotifyFunctionRole", "sesv2", send_mail_as_somebody_else, "ses:SendEmail"),
    Beyond("ApiFunctionRole", "s3", put("ResultsBucket", "jobs/a/scene.sog"), "s3:PutObject"),
    Beyond(
        "ApiFunctionRole", "s3", delete("UploadsBucket", "a.zip"), "s3:DeleteObject"
    ),  # which would hide others' versions
    Beyond("ApiFunctionRole", "sagemaker", create_job_as("SageMakerRole"), "sagemaker:CreateProcessingJob"),
    Beyond("SageMakerRole", "s3", put("UploadsBucket", "a.zip"), "s3:PutObject"),
    Beyond("SageMakerRole", "s3", delete("ResultsBucket", "jobs/a/scene.sog"), "s3:DeleteObject"),
    Beyond("SageMakerRole", "s3", put("ResultsBucket", "elsewhere"), "s3:PutObject"),
    Beyond("PipelineRole", "lambda", invoke_notify, "lambda:InvokeFunction"),
]


@pytest.mark.parametrize("beyond", BEYOND, ids=str)
def test_a_role_may_not_do_what_is_not_its_business(stack: Stack, beyond: Beyond) -> None:
    endpoint = stack.address.sagemaker_url if beyond.service == "sagemaker" else stack.address.url
    client = stack.role(beyond.role).client(beyond.service, endpoint_url=endpoint)
    with pytest.raises(ClientError) as refusal:
        beyond.call(client, stack)
    error = refusal.value.response["Error"]
    assert error["Code"] in ("AccessDenied", "AccessDeniedException")
    assert f"assumed-role/{stack.physical[beyond.role]}/" in error["Message"]
    assert f"not authorized to perform: {beyond.action}" in error["Message"]


def test_every_role_is_tried(stack: Stack) -> None:
    roles = {name for name in stack.physical if name.endswith("Role")}
    assert {beyond.role for beyond in BEYOND} == roles


def test_the_buckets_take_no_call_that_is_not_encrypted_on_its_way() -> None:
    """The local cloud treats loopback as TLS, so this test reads the policies."""
    from tests.support.sam_template import Template

    template = Template.load()
    buckets = set(template.of_type("AWS::S3::Bucket"))
    tls_only = {
        policy["Properties"]["Bucket"]["Ref"]
        for policy in template.of_type("AWS::S3::BucketPolicy").values()
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if statement.get("Effect") == "Deny"
        and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        and statement["Action"] == "s3:*"
    }
    assert tls_only == buckets
