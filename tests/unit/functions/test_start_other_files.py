"""start_job and uploads other than ZIPs of photos: films, splats, loose photos, files that tools leave beside them."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import pytest

from contract.codes import ErrorCode
from tests.support.archives import SIX_PHOTOS, photos, zip_of
from tests.support.cloud import Cloud, invoke, job_id
from tests.support.events import sample_event
from tests.support.films import film_bytes, marked_spherical
from tests.support.plys import NO_SPLATS, ply_of

# a crash leaves no metrics to publish, and Powertools warns about that
pytestmark = pytest.mark.filterwarnings("ignore:No application metrics")


SPZ = gzip.compress(b"NGSP" + bytes(40), mtime=0)


@pytest.mark.parametrize("key", ["flights/DJI_0001.MP4", "holiday.mov", "named wrongly.zip"])
def test_a_film_starts_a_job(cloud: Cloud, key: str) -> None:
    """Whatever its name: its first bytes identify it."""
    event = cloud.upload(key, film_bytes())
    assert invoke("start_job", event)["executionName"] == job_id(event)


@pytest.mark.parametrize(
    ("key", "change", "code"),
    [
        ("cut.mp4", lambda film: film[: len(film) // 2], ErrorCode.UNREADABLE_FILM),
        ("round.mp4", marked_spherical, ErrorCode.PANORAMA),
        ("odd.mp4", lambda film: film.replace(b"avc1", b"CFHD"), ErrorCode.UNREADABLE_FILM),
        ("photos.mp4", lambda _: SIX_PHOTOS, ErrorCode.UNREADABLE_FILM),
    ],
)
def test_a_film_that_cannot_work_is_rejected(
    cloud: Cloud, key: str, change: Callable[[bytes], bytes], code: ErrorCode
) -> None:
    assert invoke("start_job", cloud.upload(key, change(film_bytes())))["error"]["code"] == code
    assert cloud.stepfunctions.executions == {}


@pytest.mark.parametrize("key", ["scene.ply", "SCENE.PLY", "scene.spz", "scene.sog", "scene.splat"])
def test_a_bare_splat_can_be_compressed(cloud: Cloud, key: str) -> None:
    event = cloud.upload(key, ply_of(), pipelinestep="compression")
    assert invoke("start_job", event)["executionName"] == job_id(event)


@pytest.mark.parametrize("name", NO_SPLATS)
def test_a_bare_ply_that_is_no_splat_is_rejected_before_a_machine_is_rented(cloud: Cloud, name: str) -> None:
    answer = invoke("start_job", cloud.upload("tree.ply", NO_SPLATS[name]))
    assert answer["error"]["code"] == ErrorCode.INVALID_SPLAT
    assert cloud.stepfunctions.executions == {}


def test_a_bare_splat_of_no_bytes_is_rejected(cloud: Cloud) -> None:
    answer = invoke("start_job", cloud.upload("scene.ply", b"", pipelinestep="compression"))
    assert answer["error"]["code"] == ErrorCode.INVALID_SPLAT


@pytest.mark.parametrize("metadata", [{}, {"pipelinestep": "full"}, {"pipelinestep": "3dgs"}])
@pytest.mark.parametrize("key", ["scene.ply", "flights/scene", "export.bak"])
def test_a_bare_splat_is_compressed_whatever_was_asked_for(cloud: Cloud, key: str, metadata: dict[str, str]) -> None:
    event = cloud.upload(key, ply_of(), **metadata)
    assert invoke("start_job", event)["executionName"] == job_id(event)
    document = cloud.stepfunctions.executions[job_id(event)].input
    assert (document["options"]["pipelineStep"], document["firstStage"]) == ("compression", "compressor")


@pytest.mark.parametrize(
    ("key", "body"),
    [("scene.spz", SPZ), ("scene", SPZ), ("scene", b"NGSP\4\0\0\0"),
     ("a.splat", bytes(64)), ("scene.SOG", zip_of(["meta.json"])), ("a.zip", zip_of(["out/scene.ply", "notes.txt"]))],
)  # fmt: skip
def test_bare_splats_of_other_formats_are_compressed(cloud: Cloud, key: str, body: bytes) -> None:
    event = cloud.upload(key, body)
    assert invoke("start_job", event)["executionName"] == job_id(event)
    assert cloud.stepfunctions.executions[job_id(event)].input["firstStage"] == "compressor"


@pytest.mark.parametrize(
    ("key", "body", "named"),
    [("scene.KSPLAT", bytes(64), "a .ksplat")],
)
def test_splats_that_no_stage_reads_are_named(cloud: Cloud, key: str, body: bytes, named: str) -> None:
    error = invoke("start_job", cloud.upload(key, body))["error"]
    assert error["code"] == ErrorCode.INVALID_SPLAT
    assert f"it is {named}" in error["message"]
    assert ".ply" in error["hint"]


def loose(cloud: Cloud, *keys: str, body: bytes = b"\xff\xd8\xff\xe0", **metadata: str) -> set[str]:
    """The jobs that these keys become, with the events of each applied to the jobs table in order."""
    found = set()
    for key in keys:
        found.add(invoke("start_job", cloud.upload(key, body, **metadata))["jobId"])
        for said in cloud.heard():
            invoke("track_progress", sample_event("status/job-rejected") | {"detail": said["detail"]})
    return found


def test_loose_photos_below_one_prefix_get_one_answer(cloud: Cloud) -> None:
    keys = [f"flights/meadow/{name}" for name in photos(10)]
    (job,) = loose(cloud, *keys, "flights/meadow/unnamed", "flights/meadow/IMG_1.CR2", email="pilot@example.com")
    assert [said["detail"]["error"]["code"] for said in cloud.heard()] == [ErrorCode.LOOSE_PHOTOS]
    item = cloud.item(job) or {}
    assert (item["name"], item["email"], item["status"]) == ("meadow", "pilot@example.com", "REJECTED")
    assert cloud.stepfunctions.executions == {}


def test_loose_photos_with_wrong_settings_get_one_answer_too(cloud: Cloud) -> None:
    assert len(loose(cloud, *photos(3), email="pilot@example.com", quality="best")) == 1


def test_loose_photos_of_another_prefix_or_owner_get_their_own(cloud: Cloud) -> None:
    jobs = loose(cloud, "a/1.jpg", email="a@example.com") | loose(cloud, "a/2.jpg", email="b@example.com")
    assert len(jobs | loose(cloud, "b/1.jpg", email="a@example.com") | loose(cloud, "a/3.jpg")) == 4


@pytest.mark.parametrize(
    "key",
    ["a/", "a_$folder$", "a/.DS_Store", "a/Thumbs.db", "a/._photos.zip", "DJI_0001.SRT", "Timestamp.MRK", "PPK.RINEX",
     "rover.NAV", "rover.OBS", "PPKRAW.bin", "DJI_0001.LRF", "DJI_0001.THM", "IMG_0001.AAE"],
)  # fmt: skip
@pytest.mark.parametrize("body", [b"", b"x" * 100])
def test_what_cards_and_tools_leave_beside_photos_is_no_upload(cloud: Cloud, key: str, body: bytes) -> None:
    job = invoke("start_job", cloud.upload(key, body, email="pilot@example.com"))
    assert (job["executionName"], job["error"], cloud.heard()) == (None, None, [])
    assert cloud.item(job["jobId"]) is None
