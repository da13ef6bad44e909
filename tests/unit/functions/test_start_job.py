"""start_job through its handler: one upload becomes one execution, however often anything is repeated."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.archives import SIX_PHOTOS, TWO_PHOTOS, photos, zip_of
from tests.support.cloud import UPLOADS, Cloud, invoke, job_id
from tests.support.events import sample_event
from tests.support.models import binary_model, scene_of


def test_an_upload_starts_one_execution_named_as_its_job(cloud: Cloud) -> None:
    event = cloud.upload(
        "flights/meadow.zip", SIX_PHOTOS, email="pilot@example.com", quality="high", trainingsteps="500"
    )
    answer = invoke("start_job", event)
    assert list(cloud.stepfunctions.executions) == [job_id(event)]
    assert answer == {"jobId": job_id(event), "executionName": job_id(event), "error": None}


def test_the_executions_input_is_the_job(cloud: Cloud) -> None:
    event = cloud.upload(
        "flights/meadow.zip", SIX_PHOTOS, email="pilot@example.com", quality="high", trainingsteps="500"
    )
    invoke("start_job", event)
    document = cloud.stepfunctions.executions[job_id(event)].input
    uploaded_at = document.pop("uploadedAt")
    assert document.pop("traceHeader") == cloud.stepfunctions.executions[job_id(event)].trace_header
    head = cloud.s3.head_object(Bucket=UPLOADS, Key="flights/meadow.zip")
    assert uploaded_at == head["LastModified"].isoformat().replace("+00:00", "Z")
    assert document == {
        "version": "1",
        "jobId": job_id(event),
        "name": "meadow",
        "owner": "mailto:pilot@example.com",
        "bucket": UPLOADS,
        "key": "flights/meadow.zip",
        "versionId": event["detail"]["object"]["version-id"],
        "etag": event["detail"]["object"]["etag"],
        "options": {
            "email": "pilot@example.com",
            "pipelineStep": "full",
            "quality": "high",
            "trainingSteps": 500,
            "maxGaussians": None,
            "shDegree": None,
            "products": None,
            "gsdMillimetres": None,
            "epsg": None,
            "name": None,
            "project": None,
            "customer": None,
            "site": None,
        },
        "remarks": [],
        "firstStage": "sfm",
        "stages": {},
    }


@pytest.mark.parametrize(("count", "step", "first"), [(599, "3dgs", "3dgs"), (600, "scene", "sfm")])
def test_a_large_scene_is_cut_into_blocks_before_it_is_trained(cloud: Cloud, count: int, step: str, first: str) -> None:
    names = photos(count)
    event = cloud.upload("meadow.zip", zip_of(scene_of(binary_model(names), names)), pipelinestep="3dgs")
    invoke("start_job", event)
    started = cloud.stepfunctions.executions[job_id(event)].input
    assert (started["firstStage"], started["options"]["pipelineStep"]) == (first, step)
    item = cloud.item(job_id(event))
    assert item is not None
    assert (item["pipelineStep"], item["photos"]) == (step, count)


def test_the_job_is_in_the_jobs_table_before_its_first_event(cloud: Cloud) -> None:
    event = cloud.upload("meadow.zip", SIX_PHOTOS, email="pilot@example.com", pipelinestep="full")
    invoke("start_job", event)
    item = cloud.item(job_id(event))
    assert item is not None
    assert {name: item[name] for name in ("name", "email", "objectKey", "bucket", "pipelineStep")} == {
        "name": "meadow",
        "email": "pilot@example.com",
        "objectKey": "meadow.zip",
        "bucket": UPLOADS,
        "pipelineStep": "full",
    }


def test_an_accepted_upload_puts_no_event_of_its_own(cloud: Cloud) -> None:
    invoke("start_job", cloud.upload("meadow.zip", SIX_PHOTOS))
    assert cloud.heard() == []


def test_a_duplicate_event_starts_nothing_more(cloud: Cloud) -> None:
    event = cloud.upload("meadow.zip", SIX_PHOTOS)
    assert invoke("start_job", event) == invoke("start_job", event)
    assert len(cloud.stepfunctions.executions) == 1


def test_an_event_that_comes_again_after_the_execution_ended_starts_nothing_more(cloud: Cloud) -> None:
    event = cloud.upload("meadow.zip", SIX_PHOTOS)
    first = invoke("start_job", event)
    cloud.stepfunctions.executions[first["jobId"]].status = "SUCCEEDED"
    assert invoke("start_job", event) == first
    assert len(cloud.stepfunctions.executions) == 1


def test_a_repeated_event_does_not_turn_back_what_the_job_has_reached(cloud: Cloud) -> None:
    event = cloud.upload("meadow.zip", SIX_PHOTOS)
    invoke("start_job", event)
    invoke(
        "track_progress", sample_event("status/job-succeeded") | {"detail": job_detail(event, "status/job-succeeded")}
    )
    before = cloud.item(job_id(event))
    invoke("start_job", event)
    assert cloud.item(job_id(event)) == before


def job_detail(event: dict[str, Any], sample: str) -> dict[str, Any]:
    return {**sample_event(sample)["detail"], "jobId": job_id(event)}


def test_a_deleted_object_starts_nothing(cloud: Cloud) -> None:
    event = cloud.upload("meadow.zip", SIX_PHOTOS)
    cloud.s3.delete_object(Bucket=UPLOADS, Key="meadow.zip")
    assert invoke("start_job", event) == {"jobId": job_id(event), "executionName": None, "error": None}
    assert cloud.stepfunctions.executions == {}
    assert cloud.item(job_id(event)) is None


def test_an_object_that_never_was_starts_nothing(cloud: Cloud) -> None:
    assert invoke("start_job", sample_event("start_job/object-created"))["executionName"] is None


@pytest.mark.parametrize("second", [zip_of(photos(7)), SIX_PHOTOS], ids=["other bytes", "the same bytes"])
def test_two_pilots_of_one_key_get_a_job_each_of_their_own_version(cloud: Cloud, second: bytes) -> None:
    alice = cloud.upload("photos.zip", SIX_PHOTOS, email="alice@example.com")
    bob = cloud.upload("photos.zip", second, email="bob@example.com")
    for event in (bob, alice):
        invoke("start_job", event)
    inputs = {name: execution.input for name, execution in cloud.stepfunctions.executions.items()}
    for event, owner in ((alice, "mailto:alice@example.com"), (bob, "mailto:bob@example.com")):
        started = inputs[job_id(event)]
        assert (started["versionId"], started["owner"]) == (event["detail"]["object"]["version-id"], owner)


def test_without_versioning_the_etag_reveals_an_overwritten_object(cloud: Cloud) -> None:
    older = cloud.upload("meadow.zip", SIX_PHOTOS)
    del older["detail"]["object"]["version-id"]
    cloud.upload("meadow.zip", zip_of(photos(7)))
    assert invoke("start_job", older)["executionName"] is None


def test_without_versioning_an_upload_starts_too(cloud: Cloud) -> None:
    event = cloud.upload("meadow.zip", SIX_PHOTOS)
    del event["detail"]["object"]["version-id"]
    answer = invoke("start_job", event)
    assert list(cloud.stepfunctions.executions) == [answer["jobId"]]


def test_metadata_of_upload_tools_start_the_job(cloud: Cloud) -> None:
    foreign = {"mtime": "1714550400.5", "s3cmd-attrs": "uid:0", "user-agent": "AWSTransfer"}
    event = cloud.upload("meadow.zip", SIX_PHOTOS, **foreign)
    assert invoke("start_job", event)["executionName"] == job_id(event)


def test_a_near_miss_of_a_setting_is_told_with_the_start_and_in_the_report(cloud: Cloud) -> None:
    event = cloud.upload("meadow.zip", SIX_PHOTOS, email="pilot@example.com", traningsteps="500")
    invoke("start_job", event)
    remarks = ["traningsteps was ignored: did you mean trainingSteps?"]
    assert (cloud.item(job_id(event)) or {})["remarks"] == remarks
    assert cloud.stepfunctions.executions[job_id(event)].input["remarks"] == remarks


def test_a_zip_with_a_splat_can_be_compressed(cloud: Cloud) -> None:
    event = cloud.upload("scene.zip", zip_of(["scene.ply"]), pipelinestep="compression")
    assert invoke("start_job", event)["executionName"] == job_id(event)


def test_what_became_of_an_upload_is_counted(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    invoke("start_job", cloud.upload("good.zip", SIX_PHOTOS))
    assert '"JobsStarted":[1.0]' in capsys.readouterr().out
    invoke("start_job", cloud.upload("bad.zip", TWO_PHOTOS))
    assert '"JobsRejected":[1.0]' in capsys.readouterr().out


def test_an_upload_that_is_gone_is_counted_as_such(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    invoke("start_job", sample_event("start_job/object-created"))
    printed = capsys.readouterr().out
    assert '"UploadsGone":[1.0]' in printed


def test_what_is_left_to_do_is_recorded_until_it_is_done(cloud: Cloud) -> None:
    job_id = invoke("start_job", cloud.upload("meadow.zip", SIX_PHOTOS))["jobId"]
    item = cloud.item(job_id)
    assert item is not None
    assert {"startingFor", "startingAt", "startWith"} & set(item) == set()


def test_a_folder_is_no_upload(cloud: Cloud) -> None:
    """Consoles and sync tools create an empty object for each folder."""
    job_id = invoke("start_job", cloud.upload("flights/", b"", email="pilot@example.com"))["jobId"]
    assert cloud.said() == []
    assert cloud.item(job_id) is None
