"""Rename, share and delete through the API: what is another's does not exist, and a withdrawn link opens nothing."""

from __future__ import annotations

from typing import Any

import pytest

from domain.layout import EXPIRING, KEPT
from domain.shares import hash_of
from tests.support.cloud import RESULTS, Cloud
from tests.support.http_api import call
from tests.support.pilot import JOB_ID, STRANGER, recorded, track

ENDED = ("job-started", "stage-started", "stage-succeeded", "job-succeeded")


def finished(cloud: Cloud) -> None:
    recorded(cloud)
    track(*ENDED)


def share(**body: Any) -> dict[str, Any]:
    answer = call("POST", f"/jobs/{JOB_ID}/shares", body)
    assert answer.status == 201
    made: dict[str, Any] = answer.json
    return made


def test_a_link_opens_the_viewer_until_it_is_withdrawn(cloud: Cloud) -> None:
    finished(cloud)
    made = share(label="for the mayor", days=7)
    opened = call("GET", f"/shared/{made['token']}", claims=None)
    assert opened.status == 302
    assert "/viewer/index.html?" in opened.headers["Location"]
    (listed,) = call("GET", f"/jobs/{JOB_ID}/shares").json["shares"]
    assert listed == {name: made[name] for name in listed}
    assert "token" not in listed
    assert call("DELETE", f"/jobs/{JOB_ID}/shares/{made['shareId']}").status == 204
    withdrawn = call("GET", f"/shared/{made['token']}", claims=None)
    assert withdrawn.status == 404
    assert "has ended" in withdrawn.body


def test_neither_a_wrong_secret_nor_one_of_another_job_opens_anything(cloud: Cloud) -> None:
    finished(cloud)
    token = share()["token"]
    secret = token.partition(".")[2]
    for wrong in (f"{JOB_ID}.{'A' * 32}", f"other-0123456789ab.{secret}"):
        assert call("GET", f"/shared/{wrong}", claims=None).status == 404


def test_the_item_keeps_no_secret(cloud: Cloud) -> None:
    finished(cloud)
    secret = share()["token"].partition(".")[2]
    item = str(cloud.item(JOB_ID))
    assert secret not in item
    assert hash_of(secret) in item


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "", {"name": "mine"}),
        ("DELETE", "", None),
        ("POST", "/shares", {}),
        ("GET", "/shares", None),
        ("DELETE", "/shares/0123456789ab", None),
    ],
)
def test_to_others_the_job_does_not_exist(cloud: Cloud, method: str, path: str, body: Any) -> None:
    finished(cloud)
    before = cloud.item(JOB_ID)
    answer = call(method, f"/jobs/{JOB_ID}{path}", body, claims=STRANGER)
    assert (answer.status, answer.json["code"]) == (404, "NO_SUCH_JOB")
    assert cloud.item(JOB_ID) == before


def test_a_scene_gets_another_name(cloud: Cloud) -> None:
    finished(cloud)
    assert call("PATCH", f"/jobs/{JOB_ID}", {"name": " North  meadow "}).status == 204
    assert call("GET", f"/jobs/{JOB_ID}").json["name"] == "North meadow"
    assert call("PATCH", f"/jobs/{JOB_ID}", {"name": "  "}).status == 422


def test_a_job_that_runs_is_not_deleted(cloud: Cloud) -> None:
    recorded(cloud)
    track("job-started")
    assert call("DELETE", f"/jobs/{JOB_ID}").json["code"] == "JOB_RUNNING"


def test_deleting_takes_item_files_and_links_away(cloud: Cloud) -> None:
    finished(cloud)
    token = share()["token"]
    kept = [f"{folder}/{JOB_ID}-r2/a.bin" for folder in (KEPT, EXPIRING)]
    gone = [f"{folder}/{JOB_ID}/a/{number}.bin" for folder in (KEPT, EXPIRING) for number in range(3)]
    for key in (*kept, *gone):
        cloud.put(f"s3://{RESULTS}/{key}", b"x")
    assert call("DELETE", f"/jobs/{JOB_ID}").status == 204
    left = {entry["Key"] for entry in cloud.s3.list_objects_v2(Bucket=RESULTS).get("Contents", [])}
    assert left >= set(kept)
    assert not left & set(gone)
    assert cloud.item(JOB_ID) is None
    assert call("GET", f"/jobs/{JOB_ID}").status == 404
    assert call("GET", f"/shared/{token}", claims=None).status == 404
