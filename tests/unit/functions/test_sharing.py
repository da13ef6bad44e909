"""Rename, share and delete through the API: other owners' scenes do not exist for the caller, and a withdrawn link
opens nothing."""

from __future__ import annotations

import io
from typing import Any
from urllib.parse import unquote

import pytest
from botocore.exceptions import ClientError

from domain import jobs_table
from domain.job_item import JobItem
from domain.jobs_table import JobsTable
from domain.layout import EXPIRING, KEPT
from domain.observability import logger
from domain.shares import hash_of
from tests.support.archives import photos, zip_of
from tests.support.cloud import RESULTS, UPLOADS, Cloud, invoke
from tests.support.events import sample_event
from tests.support.http_api import call
from tests.support.pilot import JOB_ID, PHOTOS, STRANGER, recorded, track

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
    viewer, _, offered = opened.headers["Location"].partition("#orbit=")
    assert "/viewer/index.html?" in viewer
    assert "/orbit.webp?" in unquote(offered)  # for browsers that cannot draw the scene
    (listed,) = call("GET", f"/jobs/{JOB_ID}/shares").json["shares"]
    assert listed == {name: made[name] for name in listed}
    assert "token" not in listed
    assert call("DELETE", f"/jobs/{JOB_ID}/shares/{made['shareId']}").status == 204
    withdrawn = call("GET", f"/shared/{made['token']}", claims=None)
    assert withdrawn.status == 404
    assert "has ended" in withdrawn.body


def test_a_links_name_is_one_printable_line_as_a_scenes_name_is(cloud: Cloud) -> None:
    finished(cloud)
    said = "for\r\nthe \x1b[31mmay\u202eor\x00 Mu\u0308ller"
    assert share(label=said)["label"] == "for the [31mmay or Müller"
    assert call("PATCH", f"/jobs/{JOB_ID}", {"name": said}).status == 204
    assert call("GET", f"/jobs/{JOB_ID}").json["name"] == "for the [31mmay or Müller"


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
    for blank in ("", "  ", "\n\x07\u200b"):
        assert call("PATCH", f"/jobs/{JOB_ID}", {"name": blank}).status == 422


def test_a_job_that_runs_is_not_deleted(cloud: Cloud) -> None:
    recorded(cloud)
    track("job-started")
    assert call("DELETE", f"/jobs/{JOB_ID}").json["code"] == "JOB_RUNNING"


def test_deleting_takes_item_files_and_links_away(cloud: Cloud) -> None:
    finished(cloud)
    token = share()["token"]
    kept = [f"{folder}/{JOB_ID}{other}/a.bin" for folder in (KEPT, EXPIRING) for other in ("0", "-r2-0123456789ab")]
    gone = [f"{folder}/{JOB_ID}/a/{number}.bin" for folder in (KEPT, EXPIRING) for number in range(3)]
    for key in (*kept, *gone):
        cloud.put(f"s3://{RESULTS}/{key}", b"x")
    assert call("DELETE", f"/jobs/{JOB_ID}").status == 204
    left = {entry["Key"] for entry in cloud.s3.list_objects_v2(Bucket=RESULTS).get("Contents", [])}
    assert left >= set(kept)
    assert not left & set(gone)
    assert (cloud.item(JOB_ID) or {}).keys() == {"jobId", "deleted", "expiresAt"}
    assert call("GET", f"/jobs/{JOB_ID}").status == 404
    assert call("GET", f"/shared/{token}", claims=None).status == 404
    assert call("DELETE", f"/jobs/{JOB_ID}").status == 404


@pytest.mark.parametrize("late", ["stage-progressed", "stage-succeeded", "job-stopped", "job-succeeded"])
def test_an_event_on_its_way_does_not_bring_a_deleted_job_back(cloud: Cloud, late: str) -> None:
    """A container that is stopped still has two minutes in which it reports."""
    finished(cloud)
    call("DELETE", f"/jobs/{JOB_ID}")
    left = cloud.item(JOB_ID)
    assert invoke("track_progress", sample_event(f"status/{late}")) == {"updates": 0}
    invoke("notify", sample_event("status/job-succeeded"))
    JobsTable(cloud.table("jobs")).set_name(JOB_ID, "back")
    assert cloud.item(JOB_ID) == left


def test_a_scene_and_its_links_stay_until_they_are_deleted(cloud: Cloud) -> None:
    """DynamoDB expires items by numbers alone."""
    finished(cloud)
    share()
    invoke("track_progress", sample_event("status/stage-progressed"))  # late
    assert isinstance((cloud.item(JOB_ID) or {})["expiresAt"], str)


@pytest.mark.parametrize("bucket", [UPLOADS, "permitted-bucket"])
def test_a_file_whose_job_was_deleted_starts_another(cloud: Cloud, bucket: str) -> None:
    """Step Functions remembers the name of the deleted job's execution for 90 days."""
    if bucket != UPLOADS:
        cloud.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    cloud.s3.put_object(Bucket=bucket, Key="meadow.zip", Body=PHOTOS, Metadata={"owner": "pilot-1"})
    start = {"s3Url": f"s3://{bucket}/meadow.zip"}
    first = call("POST", "/start-job", start).json["jobId"]
    ends(cloud, first, "job-failed", "FAILED")
    if bucket == UPLOADS:  # otherwise the photos go with the last run
        second = call("POST", f"/jobs/{first}/rerun", {"from": "sfm"}).json["jobId"]
        ends(cloud, second, "job-succeeded", "SUCCEEDED")
    assert call("DELETE", f"/jobs/{first}").status == 204
    again = call("POST", "/start-job", start).json
    assert again == {"jobId": f"{first}-r2", "created": bucket != UPLOADS}
    assert call("GET", f"/jobs/{first}-r2").json["status"] in ("STARTING", "SUCCEEDED")
    assert call("POST", "/start-job", start).json == {"jobId": f"{first}-r2", "created": False}
    assert cloud.stepfunctions.executions.keys() == {first, f"{first}-r2"}


def ends(cloud: Cloud, job_id: str, sample: str, status: str) -> None:
    event = sample_event(f"status/{sample}")
    event["detail"]["jobId"] = job_id
    invoke("track_progress", event)
    cloud.stepfunctions.executions[job_id].status = status


class TwoPilots:
    """Alice and Bob, whose archives have the same name and are uploaded to the same key."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def upload(self, who: str) -> dict[str, Any]:
        body = zip_of(photos(8 if who == "alice" else 9))
        return self._cloud.upload("photos.zip", body, email=f"{who}@example.com")

    def start(self, event: dict[str, Any]) -> str:
        job_id: str = invoke("start_job", event)["jobId"]
        assert job_id in self._cloud.stepfunctions.executions, "its upload is gone"
        return job_id

    def end(self, job_id: str) -> None:
        self._cloud.stepfunctions.executions[job_id].status = "FAILED"
        self._cloud.table("jobs").update_item(
            Key={"jobId": job_id},
            UpdateExpression="SET #status = :failed",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={":failed": "FAILED"},
        )

    def delete(self, who: str, job_id: str) -> None:
        assert call("DELETE", f"/jobs/{job_id}", claims=claims_of(who)).status == 204

    def is_there(self, event: dict[str, Any]) -> bool:
        try:
            self._cloud.s3.head_object(
                Bucket=UPLOADS, Key="photos.zip", VersionId=event["detail"]["object"]["version-id"]
            )
        except ClientError:
            return False
        return True


def claims_of(who: str) -> dict[str, str]:
    return {"sub": who, "email": f"{who}@example.com", "email_verified": "true"}


@pytest.mark.parametrize("first", ["alice", "bob"])
def test_deleting_a_scene_leaves_the_upload_of_another_at_the_same_key(cloud: Cloud, first: str) -> None:
    pilots = TwoPilots(cloud)
    uploads = {who: pilots.upload(who) for who in (first, {"alice": "bob", "bob": "alice"}[first])}
    alice = pilots.start(uploads["alice"])
    pilots.end(alice)
    pilots.delete("alice", alice)
    assert {who: pilots.is_there(event) for who, event in uploads.items()} == {"alice": False, "bob": True}
    bob = pilots.start(uploads["bob"])
    pilots.end(bob)
    again = call("POST", f"/jobs/{bob}/rerun", {"from": "sfm"}, claims=claims_of("bob"))
    assert (again.status, again.json["jobId"]) == (202, f"{bob}-r2")
    pilots.end(f"{bob}-r2")
    pilots.delete("bob", bob)
    assert pilots.is_there(uploads["bob"]), "its rerun may be run again"
    pilots.delete("bob", f"{bob}-r2")
    assert not pilots.is_there(uploads["bob"])


@pytest.mark.parametrize("order", [("", "-r2"), ("-r2", "")])
def test_with_the_last_run_go_the_intermediates_of_those_deleted_before(cloud: Cloud, order: tuple[str, str]) -> None:
    pilots = TwoPilots(cloud)
    first = pilots.start(pilots.upload("bob"))
    pilots.end(first)
    assert call("POST", f"/jobs/{first}/rerun", {"from": "sfm"}, claims=claims_of("bob")).status == 202
    pilots.end(f"{first}-r2")
    folders = {f"{EXPIRING}/{first}{run}/" for run in order}
    for folder in folders:
        cloud.put(f"s3://{RESULTS}/{folder}upload/upload.zip", b"photos")

    def left() -> set[str]:
        listed = cloud.s3.list_objects_v2(Bucket=RESULTS, Prefix=f"{EXPIRING}/", Delimiter="/")
        return {entry["Prefix"] for entry in listed.get("CommonPrefixes", [])}

    pilots.delete("bob", f"{first}{order[0]}")
    assert left() >= folders, "the run that is left may use them"
    pilots.delete("bob", f"{first}{order[1]}")
    assert not left() & folders


@pytest.mark.parametrize("newest", ["alice", "bob"])
def test_of_a_job_whose_item_names_no_version_the_newest_is_deleted_if_it_is_its_own(cloud: Cloud, newest: str) -> None:
    pilots = TwoPilots(cloud)
    uploads = {who: pilots.upload(who) for who in ("bob", "alice")}
    alice = pilots.start(uploads["alice"])
    pilots.end(alice)
    cloud.table("jobs").update_item(Key={"jobId": alice}, UpdateExpression="REMOVE versionId")
    if newest == "bob":
        uploads["later"] = pilots.upload("bob")
    pilots.delete("alice", alice)
    assert pilots.is_there(uploads["alice"]) is (newest == "bob")
    assert all(pilots.is_there(event) for who, event in uploads.items() if who != "alice")
    assert cloud.s3.head_object(Bucket=UPLOADS, Key="photos.zip"), "no delete marker lies over the others"


def test_links_of_the_same_moment_are_no_more_than_may_be(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    most = 3
    monkeypatch.setattr(jobs_table, "MAX_SHARES", most)
    finished(cloud)
    for _ in range(most - 1):
        share()
    before = JobsTable(cloud.table("jobs")).find(JOB_ID)
    monkeypatch.setattr(JobsTable, "find", lambda _table, _job_id: before)  # what each of the three calls reads
    answers = [call("POST", f"/jobs/{JOB_ID}/shares", {}) for _ in range(3)]
    assert [answer.status for answer in answers[:1]] == [201]
    assert {answer.json.get("code") for answer in answers[1:]} == {"INVALID_REQUEST"}
    item = cloud.item(JOB_ID)
    assert item is not None
    assert len(item["shares"]) == most


def test_a_link_to_a_scene_that_is_deleted_meanwhile_is_none(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    finished(cloud)
    found, reads = JobsTable.find, list[str]()

    def deleted_after(table: JobsTable, job_id: str) -> JobItem | None:
        item = found(table, job_id)
        reads.append(job_id)
        cloud.table("jobs").delete_item(Key={"jobId": job_id})
        return item

    monkeypatch.setattr(JobsTable, "find", deleted_after)
    assert call("POST", f"/jobs/{JOB_ID}/shares", {}).json["code"] == "NO_SUCH_JOB"
    assert reads


@pytest.mark.parametrize("claims", [None, claims_of("bob")])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/shared/{}"),
        ("GET", "/shared/{}/lod-meta.json"),
        ("GET", "/uploads/{}"),
        ("POST", "/uploads/{}/complete"),
        ("DELETE", "/uploads/{}"),
        ("POST", "/nowhere/{}"),
    ],
)
def test_what_opens_something_by_itself_is_in_no_log(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, method: str, path: str, claims: Any
) -> None:
    finished(cloud)
    log = io.StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", log)
    secret = share()["token"].partition(".")[2]
    call(method, path.format(f"{JOB_ID}.{secret}"), claims=claims)
    call(method, path.format(secret), claims=claims)
    assert '"request"' in log.getvalue()
    assert secret not in log.getvalue()
