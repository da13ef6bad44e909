"""README's examples on the real template with stand-in stages: the Python client, a webhook, `make demo`, and by the
AWS CLI an upload and the EventBridge example of events/README.md."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from local import demo
from local.cloud import ROOT, Cloud, attached_cloud
from local.deploy import deploy_pipeline
from local.folders import pack
from local.web import PILOT, api_url, sign_in
from spaceport.client import ApiError, Client
from tests.support.receiver import Call, Receiver, receiver
from tests.support.waiting import wait_until

PLAYED = Path(__file__).parent / "fixtures" / "page"


@dataclass(frozen=True)
class Site:
    cloud: Cloud
    outputs: dict[str, str]
    client: Client


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with attached_cloud(tmp_path_factory.mktemp("cloud"), root=PLAYED) as cloud:
        outputs = deploy_pipeline(cloud.address, ROOT)
        token = sign_in(cloud.address, outputs)["id_token"]
        yield Site(cloud, outputs, Client(api_url(cloud.address, outputs), token))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ZIP that takes more than one part to upload."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(8):
        Image.effect_noise((900, 700), 90 + number).convert("RGB").save(folder / f"DJI_{number:04d}.JPG", quality=99)
    (folder / "DJI_0008.JPG").write_bytes((folder / "DJI_0000.JPG").read_bytes() + os.urandom(9 * 1024 * 1024))
    archive = folder.with_name("meadow.zip")
    pack(folder, archive)
    return archive


def test_photos_go_up_and_a_scene_comes_down(site: Site, photos: Path, tmp_path: Path) -> None:
    client = site.client
    with receiver() as hook:
        secret = client.set_webhook(f"{hook.url}/in")
        assert client.test_webhook()["delivered"]
        shares: list[float] = []
        seen: list[float] = []
        job_id = client.upload(photos, shares.append, quality="preview", name="Große Wiese")
        job = client.wait(job_id, timeout=180, every=0.5, progress=lambda job: seen.append(job["progress"]))
        assert (job["status"], job["name"]) == ("SUCCEEDED", "Große Wiese")
        assert shares[-1] == 1.0
        assert seen == sorted(seen)
        (viewer,) = client.download(job, tmp_path, ["viewer/index.html"])
        assert viewer.read_bytes()
        expected = {"Webhook Test", "Job Started", "Job Succeeded"}
        wait_until(lambda: expected <= calls_by_type(hook).keys(), what="the webhook was not called of each")
        calls = calls_by_type(hook)
        assert all(taken.verified(secret) for taken in hook.calls)
        links = json.loads(calls["Job Succeeded"].body)["links"]
        assert links["page"].endswith(f"#job={job_id}")
        assert "viewer/index.html" in links["files"]
        wait_until(lambda: types_delivered(client) == {"Job Started", "Job Succeeded"}, what="not all was noted down")
    assert job_id in [listed["jobId"] for listed in client.jobs()]
    with pytest.raises(ApiError) as refused:
        client.job("nobodys-0123456789ab")
    assert refused.value.code == "NO_SUCH_JOB"


def calls_by_type(hook: Receiver) -> dict[str, Call]:
    return {json.loads(taken.body)["type"]: taken for taken in hook.calls}


def types_delivered(client: Client) -> set[str]:
    return {delivery["type"] for delivery in client.deliveries()}


def test_readmes_demo_runs_from_a_zip_to_files_on_this_machine(
    site: Site, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Runs all that `make demo ZIP=photos.zip` does except starting a cloud: this one is running, and its stages are
    stand-ins."""
    monkeypatch.setattr(demo, "stop_in_order", lambda: None)  # the test's process keeps its own signal handlers
    monkeypatch.setattr(demo, "attached_cloud", lambda *_, **__: nullcontext(site.cloud))
    monkeypatch.setattr(demo, "deploy_pipeline", lambda *_: site.outputs)
    monkeypatch.setattr(sys, "argv", ["demo", "--quality", "preview", "--zip", str(photos), "--out", str(tmp_path)])
    assert demo.main() == 0
    said = capsys.readouterr().out.splitlines()
    assert json.loads(said[-1])["status"] == "succeeded"
    for label, name in (("viewer", "viewer/index.html"), ("splat", "scene.sog"), ("report", "report.html")):
        assert f"{label:<8} {tmp_path / 'meadow' / name}" in said
        assert (tmp_path / "meadow" / name).read_bytes()
    assert 'href="scene.sog"' in (tmp_path / "meadow" / "mail.html").read_text(encoding="utf-8")


needs_aws = pytest.mark.skipif(shutil.which("aws") is None, reason="the AWS CLI is not installed")


@needs_aws
def test_readmes_upload_by_the_aws_cli_starts_a_job(site: Site, photos: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (command,) = [line.strip() for line in readme.splitlines() if line.startswith("    aws s3 cp photos.zip")]
    command = command.replace("photos.zip", str(photos)).replace("you@example.com", PILOT)
    environment = {**os.environ, **site.cloud.address.environment(), "UPLOADS_BUCKET": site.outputs["UploadsBucket"]}
    done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found: list[str] = []

    def started() -> bool:
        found[:] = [job["jobId"] for job in site.client.jobs() if job["name"] == "meadow"]
        return bool(found)

    wait_until(started, what="no job was started")
    assert site.client.wait(found[0], timeout=180, every=0.5)["status"] == "SUCCEEDED"


@needs_aws
def test_the_eventbridge_example_works_as_it_is_written(site: Site, photos: Path, tmp_path: Path) -> None:
    address = site.cloud.address
    sqs = address.client("sqs")
    queue = sqs.create_queue(QueueName="ledger")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    text = (ROOT / "events" / "README.md").read_text(encoding="utf-8")
    lines = [line.strip() for line in text.splitlines()]
    (pattern,) = [line for line in lines if line.startswith('{ "source": ["spaceport.pipeline"]')]
    (tmp_path / "pattern.json").write_text(pattern)
    commands = [line for line in lines if line.startswith("aws events put-")]
    assert len(commands) == 2
    names = {"BUS": site.outputs["StatusBusName"], "QUEUE_ARN": arn}
    environment = {**os.environ, **address.environment(), **names}
    for command in commands:
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
    job_id = site.client.upload(photos, quality="preview", name="ledger")
    site.client.wait(job_id, timeout=180, every=0.5)
    received: list[Any] = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=10).get("Messages", [])
    assert [json.loads(message["Body"])["detail-type"] for message in received] == ["Job Succeeded"]
