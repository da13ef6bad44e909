"""The local cloud as its users meet it: a stack with every kind of resource, a job, a mail, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.cloud import Cloud, CloudError, attached_cloud, find_detached, start_detached, stop_detached
from local.customer import StatusEvent, fetch, inbox, subscribed, upload, wait_for_mail
from local.deploy import DeployError, deploy
from local.logs import function_logs
from local.up import Running, instructions
from tests.support.processes import alive, family_of, listeners
from tests.support.waiting import wait_until

FIXTURES = Path(__file__).parent / "fixtures"


@dataclass(frozen=True)
class Deployed:
    cloud: Cloud
    outputs: dict[str, str]

    def upload(self, folder: Path, text: str, key: str) -> None:
        (folder / "upload").write_text(text)
        upload(self.cloud.address, self.outputs["UploadsBucket"], folder / "upload", {"email": "a@example.com"}, key)

    def execution_of(self, key: str) -> dict[str, Any]:
        """The execution that an upload started, once there is one."""
        states = self.cloud.address.client("stepfunctions")
        found: list[dict[str, Any]] = []

        def look() -> bool:
            for entry in states.list_executions(stateMachineArn=self.outputs["PipelineArn"])["executions"]:
                described = states.describe_execution(executionArn=entry["executionArn"])
                if f'"{key}"' in described["input"]:
                    found[:] = [described]
            return bool(found)

        wait_until(look)
        return found[0]


def test_a_cloud_that_dies_is_reported_with_its_log(tmp_path: Path) -> None:
    """The kernel ends it, for example, when memory runs out."""

    def use() -> None:
        with attached_cloud(tmp_path) as cloud:
            os.kill(cloud.pid, signal.SIGKILL)
            cloud.address.client("s3").list_buckets()

    with pytest.raises(CloudError, match=r"ended unexpectedly; its log, .*cloud\.log"):
        use()


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    folder = tmp_path_factory.mktemp("cloud")
    with attached_cloud(folder / "state", root=FIXTURES) as cloud:
        yield Deployed(cloud, deploy(cloud.address, FIXTURES / "stack/template.yaml", folder / "cache"))


def test_a_job_from_upload_to_delivery_and_mail(deployed: Deployed, tmp_path: Path) -> None:
    address, outputs = deployed.cloud.address, deployed.outputs
    with subscribed(address, outputs["StatusBusName"]) as subscription:
        deployed.upload(tmp_path, "hello", "hello.zip")
        events = list(subscription.follow(60))
    started, progressed, succeeded = events
    assert (started.type, started.message, started.metrics) == ("Job Started", "hello.zip arrived", {"a": 1, "b": 2})
    assert (progressed.stage, progressed.progress) == ("sfm", 0.5)
    assert succeeded.type == "Job Succeeded"
    assert fetch(address, succeeded.outputs, tmp_path / "out") == [tmp_path / "out/answer.txt"]
    assert (tmp_path / "out/answer.txt").read_text() == "HELLO"
    mail = wait_for_mail(address, "customer@example.com", 60)
    assert mail is not None
    assert succeeded.job_id in mail.html
    assert inbox(address, "somebody@else.com") == []
    # the log is written after the function's end, the mail before
    wait_until(lambda: any("NotifyFunction" in line for line in function_logs(address)))


def test_an_interrupted_stage_runs_again_under_a_new_name(deployed: Deployed, tmp_path: Path) -> None:
    with subscribed(deployed.cloud.address, deployed.outputs["StatusBusName"]) as subscription:
        deployed.upload(tmp_path, "fail once", "once.zip")
        last = list(subscription.follow(60))[-1]
    jobs = deployed.cloud.address.client("sagemaker").list_processing_jobs(NameContains=last.job_id[:40])
    statuses = {job["ProcessingJobName"][-1]: job["ProcessingJobStatus"] for job in jobs["ProcessingJobSummaries"]}
    assert statuses == {"1": "Failed", "2": "Completed"}
    assert (deployed.cloud.folder / "jobs" / f"{last.job_id[:40]}-sfm-1" / "container.log").exists()


def test_a_failure_reaches_the_end_of_the_execution_with_its_code(deployed: Deployed, tmp_path: Path) -> None:
    deployed.upload(tmp_path, "fail", "fail.zip")
    wait_until(lambda: deployed.execution_of("fail.zip")["status"] != "RUNNING")
    execution = deployed.execution_of("fail.zip")
    assert (execution["status"], execution["error"], execution["cause"]) == (
        "FAILED",
        "INTERRUPTED",
        "the machine went away",
    )


def test_a_subscription_can_be_for_one_job(deployed: Deployed) -> None:
    events = deployed.cloud.address.client("events")
    bus = deployed.outputs["StatusBusName"]
    detail = '{"jobId": "%s", "sequence": 0, "at": "2026-01-01T00:00:00Z", "progress": 0, "message": ""}'
    with subscribed(deployed.cloud.address, bus, "mine") as subscription:
        for job in ("other", "mine", "other"):
            entry = {"Source": "spaceport.pipeline", "DetailType": "Job Started", "EventBusName": bus}
            events.put_events(Entries=[entry | {"Detail": detail % job}])
        received: list[StatusEvent] = []

        def anything() -> bool:
            received.extend(subscription.receive())
            return bool(received)

        wait_until(anything)
        received += subscription.receive(wait_seconds=1)
    assert [event.job_id for event in received] == ["mine"]


def test_everything_listens_on_loopback_only(deployed: Deployed) -> None:
    listening = [host for host, _port in listeners(family_of(deployed.cloud.pid))]
    assert len(listening) >= 2  # MiniStack and SageMaker
    assert set(listening) == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("resource", "named"),
    [
        ("{Type: AWS::Nothing::Thing}", "AWS::Nothing::Thing"),
        (
            "{Type: AWS::StepFunctions::StateMachine, "
            "Properties: {RoleArn: r, DefinitionS3Location: {Bucket: none, Key: none}}}",
            "Wrong: .*not found",
        ),
    ],
)
def test_a_stack_that_cannot_be_made_says_which_part(
    deployed: Deployed, tmp_path: Path, resource: str, named: str
) -> None:
    (tmp_path / "template.yaml").write_text(f"Resources: {{Wrong: {resource}}}")
    with pytest.raises(DeployError, match=named):
        deploy(deployed.cloud.address, tmp_path / "template.yaml", tmp_path, stack=f"wrong-{abs(hash(named))}")


def test_a_cloud_can_be_left_running_and_stopped_by_another_process(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with left_running(folder) as cloud:
        assert find_detached(folder) == cloud
        with pytest.raises(CloudError, match="already runs"):
            start_detached(folder)
        assert cloud.address.client("s3").list_buckets()["Buckets"] == []
    assert not alive(cloud.pid)
    assert find_detached(folder) is None
    assert not stop_detached(folder)


def test_a_stale_state_file_is_not_mistaken_for_a_cloud(tmp_path: Path) -> None:
    (tmp_path / "cloud.json").write_text(json.dumps({"pid": os.getpid(), "port": 1, "sagemaker_port": 2}))
    assert find_detached(tmp_path) is None
    assert not stop_detached(tmp_path)  # and this process lives on


def test_a_cloud_that_does_not_start_shows_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.cloud.sys.executable", "/bin/false")
    with pytest.raises(CloudError, match="did not start"), attached_cloud(tmp_path / "state"):
        pass


def test_the_instructions_can_be_pasted(deployed: Deployed) -> None:
    outputs = {
        "WebUrl": "http://page",
        "ApiUrl": "https://abc.execute-api.eu-west-1.amazonaws.com",
        "StatusBusName": "bus",
        "UploadsBucket": "uploads",
        "ResultsBucket": "results",
    }
    lines = instructions(Running(deployed.cloud, outputs, "a.b.c"))
    assert lines[0] == "# the customer's page: http://page"
    script = "\n".join([*lines, 'echo "$AWS_ENDPOINT_URL $API $TOKEN"'])
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    url = deployed.cloud.address.url
    assert done.stdout.split() == [url, f"{url}/_aws/execute-api/abc/$default", "a.b.c"]


# --- helpers --------------------------------------------------------------------------------------------------------


@contextmanager
def left_running(folder: Path) -> Iterator[Cloud]:
    cloud = start_detached(folder)
    try:
        yield cloud
    finally:
        assert stop_detached(folder)


def test_pages_of_others_get_nothing_and_nothing_here_is_for_other_users(tmp_path: Path) -> None:
    with attached_cloud(tmp_path / "cloud") as cloud:
        for url in (cloud.address.url, cloud.address.sagemaker_url):
            for header, value in (("Host", "evil.example"), ("Origin", "https://evil.example")):
                request = urllib.request.Request(url, b"{}", {header: value})
                with pytest.raises(urllib.error.HTTPError, match="403"):
                    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request)
        followed = {"Sec-Fetch-Site": "none", "Sec-Fetch-Dest": "document"}  # a link in a mail
        call = "%41ction=CreateQueue&QueueName=planted"
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(urllib.request.Request(f"{cloud.address.url}/?{call}", headers=followed))
        assert not cloud.address.client("sqs").list_queues().get("QueueUrls")
        cognito = cloud.address.client("cognito-idp")
        pool = cognito.create_user_pool(PoolName="pool")["UserPool"]["Id"]
        urllib.request.urlopen(f"{cloud.address.url}/{pool}/.well-known/jwks.json").read()
        keys = [path for path in (cloud.folder / "tmp" / "state").rglob("*") if path.is_file()]
        assert keys  # the keys that sign tokens: whoever reads them can forge tokens
        assert stat.S_IMODE(cloud.folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in keys} == {0}
