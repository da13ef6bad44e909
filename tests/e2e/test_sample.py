"""The sample through the real template: what a customer, a subscriber and an operator see of a successful job."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from PIL import Image

from compressor.sog.container import read_codes
from compressor.sog.decoder import dequantise
from local.customer import StatusEvent, fetch
from splat.ply import read_ply
from tests.e2e.conftest import Customer
from tests.support.events import sample_event

pytestmark = pytest.mark.e2e
EMAIL = "pilot@example.com"
STAGES = ["sfm", "3dgs", "compressor"]
DELIVERED = [
    "scene.sog",
    "scene.ply",
    "viewer/index.html",
    "preview.png",
    "orbit.webp",
    "poster.jpg",
    "report.html",
    "report.json",
    "sfm/cloud.json",
    "sfm/thumbnails.jpg",
    "sfm/result.json",
    "3dgs/result.json",
    "compressor/result.json",
]


@pytest.fixture(scope="module")
def events(customer: Customer, sample: Path) -> list[StatusEvent]:
    return customer.send(sample, EMAIL, quality="preview", name="Meadow House")


@pytest.fixture(scope="module")
def delivered(customer: Customer, events: list[StatusEvent], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "sample"
    fetch(customer.address, events[-1].outputs, folder)
    return folder


def last(events: list[StatusEvent]) -> StatusEvent:
    return next(event for event in events if event.ends_job)


def test_the_job_succeeds_with_every_photo_and_every_stage(events: list[StatusEvent]) -> None:
    assert last(events).type == "Job Succeeded", last(events).error
    assert [event.stage for event in events if event.type == "Stage Succeeded"] == STAGES
    assert last(events).metrics["registered"] == last(events).metrics["photos"] == 20


def test_every_stage_publishes_progress(events: list[StatusEvent]) -> None:
    for stage in STAGES:
        progress = {event.progress for event in events if event.stage == stage and event.type == "Stage Progressed"}
        assert len(progress) >= 3, f"{stage} published only {sorted(progress)}"


def test_everything_promised_is_delivered_and_listed_whole(delivered: Path) -> None:
    missing = [name for name in DELIVERED if not (delivered / name).is_file()]
    assert missing == []
    files = {
        file["path"]: file["bytes"] for file in json.loads((delivered / "compressor/result.json").read_text())["files"]
    }
    assert (delivered / "scene.sog").stat().st_size == files["scene.sog"]


def test_the_compressed_splat_holds_the_gaussians_of_the_ply(delivered: Path) -> None:
    original = read_ply(delivered / "scene.ply")
    decoded = dequantise(read_codes((delivered / "scene.sog").read_bytes()))
    report = json.loads((delivered / "report.json").read_text())
    assert len(decoded.means) == report["gaussians"]
    span = np.ptp(original.means, axis=0)
    assert np.all(decoded.means.min(0) >= original.means.min(0) - 0.01 * span)
    assert np.all(decoded.means.max(0) <= original.means.max(0) + 0.01 * span)
    assert (delivered / "scene.ply").stat().st_size > 8 * (delivered / "scene.sog").stat().st_size


def test_the_scene_looks_like_the_photos_kept_aside(delivered: Path) -> None:
    report = json.loads((delivered / "report.json").read_text())
    assert report["psnr"] > 20  # dB; noise is at 5 to 10, the sample's preview above 22
    assert abs(report["psnr"] - report["psnrBeforeCompression"]) < 0.5


def test_the_preview_is_a_picture_of_something(delivered: Path) -> None:
    with Image.open(delivered / "preview.png") as picture:
        pixels = np.asarray(picture.convert("RGB"), dtype=np.float64)
    assert pixels.shape[1] >= 960
    assert pixels.std() > 20
    assert len(np.unique(pixels.reshape(-1, 3).round(-1), axis=0)) > 200


def test_the_cameras_stand_where_the_drone_flew(
    customer: Customer, events: list[StatusEvent], sample: Path, tmp_path: Path
) -> None:
    """Centres are within 0.1 % of the scene's span of the truth, after a similarity alignment."""
    output = next(e.outputs["output"] for e in events if e.type == "Stage Succeeded" and e.stage == "sfm")
    names = ["photos.json", *(f"sparse/0/{name}.bin" for name in ("cameras", "images", "points3D"))]
    fetch(customer.address, {name: f"{output}/{name}" for name in names}, tmp_path / "sfm")
    truth = {p["name"]: np.array(p["centre"]) for p in json.loads((sample.parent / "poses.json").read_text())["photos"]}
    originals = {
        photo["name"]: Path(photo["original"]).name for photo in json.loads((tmp_path / "sfm/photos.json").read_text())
    }
    model = pycolmap.Reconstruction(tmp_path / "sfm/sparse/0")
    found = {originals[image.name]: image.projection_center() for image in model.images.values()}
    known, centres = (np.array([side[name] for name in sorted(found)]) for side in (truth, found))
    similarity = pycolmap.estimate_sim3d(centres, known)
    errors = np.linalg.norm([similarity * centre for centre in centres] - known, axis=1)
    assert np.sqrt((errors**2).mean()) < 0.001 * np.linalg.norm(np.ptp(known, axis=0))


def test_the_customer_gets_one_mail_with_figures_and_links(customer: Customer, events: list[StatusEvent]) -> None:
    mail = customer.only_mail(EMAIL)
    assert mail.subject == "Your 3D scene “Meadow House” is ready"
    assert "20 of 20" in mail.text
    assert "viewer/index.html" in mail.html
    assert "s3://" not in mail.text + mail.html


def test_the_jobs_table_says_how_it_ended(customer: Customer, events: list[StatusEvent]) -> None:
    item = customer.ended_item(last(events).job_id)
    assert (item["status"]["S"], float(item["progress"]["N"])) == ("SUCCEEDED", 1.0)


def test_the_execution_succeeded_and_left_nothing_running(customer: Customer, events: list[StatusEvent]) -> None:
    job_id = last(events).job_id
    assert customer.ended_execution(job_id)["status"] == "SUCCEEDED"
    assert customer.sagemaker_jobs(job_id) == sorted((f"{job_id}-{stage}-1", "Completed") for stage in STAGES)


def test_the_same_upload_delivered_twice_is_one_job(customer: Customer, events: list[StatusEvent]) -> None:
    """S3 delivers events at least once: start_job receives the same object version again."""
    job_id = last(events).job_id
    job = json.loads(customer.ended_execution(job_id)["input"])
    event = sample_event("start_job/object-created")
    described = {"key": job["key"], "size": 1, "etag": job["etag"], "sequencer": "0"}
    described |= {"version-id": job["versionId"]} if job["versionId"] else {}
    event["detail"] |= {"bucket": {"name": job["bucket"]}, "object": described}
    functions = customer.address.client("lambda")
    name = next(f["FunctionName"] for f in functions.list_functions()["Functions"] if "StartJob" in f["FunctionName"])
    answer = json.load(functions.invoke(FunctionName=name, Payload=json.dumps(event))["Payload"])
    assert answer["jobId"] == job_id
    executions = customer.address.client("stepfunctions").list_executions(stateMachineArn=customer.stack["PipelineArn"])
    assert [e["name"] for e in executions["executions"]].count(job_id) == 1
    assert len(customer.sagemaker_jobs(job_id)) == len(STAGES)
