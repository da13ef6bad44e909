"""Uploads through the API: parts and links, how an interrupted one resumes, and invalid ids."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.caller import Caller
from api.models import UploadRequest
from api.uploads import MIB, Ticket, metadata_of
from contract.codes import ErrorCode
from contract.options import MAX_NAME, TEXTS
from domain.errors import RefusedRequest
from domain.job import UploadedObject, job_id_of, options_from_metadata
from tests.support.cloud import STACK, UPLOADS, Cloud, invoke
from tests.support.events import sample_event
from tests.support.http_api import call
from tests.support.pilot import JOB_ID, PHOTOS, STRANGER, is_problem, recorded


def send(cloud: Cloud, upload: dict[str, Any], numbers: list[int], body: bytes) -> None:
    """Sends the parts by the links, as a browser does."""
    ticket = Ticket.decode(upload["uploadId"])
    for number in numbers:
        part = body[(number - 1) * upload["partBytes"] :][: upload["partBytes"]]
        cloud.s3.upload_part(Bucket=UPLOADS, Key=ticket.key, UploadId=ticket.s3_upload, PartNumber=number, Body=part)


def test_an_upload_goes_on_where_it_broke_off_and_starts_its_owners_job(cloud: Cloud) -> None:
    body = bytes(17 * MIB) + PHOTOS
    asked = {"fileName": "Bäume.zip", "bytes": len(body), "name": "Große Wiese", "quality": "high"}
    upload = call("POST", "/uploads", asked).json
    assert (upload["partCount"], upload["received"]) == (3, [])
    assert [link["number"] for link in upload["links"]] == [1, 2, 3]
    send(cloud, upload, [1, 3], body)
    path = f"/uploads/{upload['uploadId']}"
    broken = call("GET", path).json
    assert (broken["received"], [link["number"] for link in broken["links"]]) == ([1, 3], [2])
    incomplete = call("POST", f"{path}/complete")
    assert is_problem(incomplete, 409, "UPLOAD_INCOMPLETE")
    assert "1 of 3: 2" in incomplete.json["detail"]
    send(cloud, upload, [2], body)
    done = call("POST", f"{path}/complete")
    assert done.status == 200, done.body
    assert call("POST", f"{path}/complete").json == done.json
    key = Ticket.decode(upload["uploadId"]).key
    head = cloud.s3.head_object(Bucket=UPLOADS, Key=key)
    assert head["ContentLength"] == len(body)
    uploaded = UploadedObject(bucket=UPLOADS, key=key, version_id=head["VersionId"], etag=head["ETag"].strip('"'))
    assert done.json["jobId"] == job_id_of(uploaded, STACK)
    # S3's event then makes start_job start a job of the uploader, with the uploader's options
    event = sample_event("start_job/object-created")
    described = {"key": key, "etag": uploaded.etag, "version-id": uploaded.version_id, "size": len(body)}
    event["detail"]["object"] |= described
    invoke("start_job", event)
    item = cloud.item(done.json["jobId"])
    assert item is not None
    assert (item["owner"], item["name"], item["email"]) == ("pilot-1", "Große Wiese", "pilot@example.com")


@pytest.mark.parametrize(
    ("asked", "mailed"),
    [
        ({}, "pilot@example.com"),
        ({"options": {"quality": "high"}}, "pilot@example.com"),
        ({"email": None}, None),
        ({"options": {"email": None}}, None),
    ],
)
def test_mails_go_to_the_uploader_unless_the_upload_asks_for_none(asked: dict[str, Any], mailed: str | None) -> None:
    request = UploadRequest.model_validate({"fileName": "a.zip", "bytes": 1, **asked})
    metadata = metadata_of(request, Caller("pilot-1", "pilot@example.com"))
    assert options_from_metadata(metadata).email == mailed


def test_a_part_of_the_wrong_size_is_asked_for_again(cloud: Cloud) -> None:
    upload = call("POST", "/uploads", {"fileName": "a.zip", "bytes": 1000}).json
    send(cloud, upload, [1], bytes(900))
    assert call("GET", f"/uploads/{upload['uploadId']}").json["received"] == []


def test_more_text_than_s3_keeps_beside_an_object_is_refused() -> None:
    caller = Caller("pilot-1", f"{'a' * 242}@example.com")
    asked = {"fileName": "a.zip", "bytes": 10}
    longest = UploadRequest.model_validate({**asked, **dict.fromkeys(TEXTS, "界" * MAX_NAME)})
    assert sum(len(name) + len(text) for name, text in metadata_of(longest, caller).items()) <= 2048
    with pytest.raises(RefusedRequest) as refused:
        metadata_of(UploadRequest.model_validate({**asked, **dict.fromkeys(TEXTS, "\U00020000" * MAX_NAME)}), caller)
    assert refused.value.error.code is ErrorCode.INVALID_OPTION


def test_a_file_name_that_s3_has_no_room_for_is_refused(cloud: Cloud) -> None:
    asked = {"bytes": 1, "fileName": "\U0001f33f" * 255}
    assert is_problem(call("POST", "/uploads", asked), 422, "INVALID_REQUEST")
    assert call("POST", "/uploads", {**asked, "fileName": "\u00fc" * 255}).status == 201


@pytest.mark.parametrize("name", ["=?utf-8?q?a=0Ab?=", "=?utf-8?b?aGk=?=", "a =? b", "Wiese", "W\u00e4ldchen =?"])
def test_a_name_comes_back_as_it_was_sent(name: str) -> None:
    request = UploadRequest.model_validate({"fileName": "a.zip", "bytes": 1, "name": name})
    assert options_from_metadata(metadata_of(request, Caller("pilot-1"))).name == name


def test_an_upload_is_nobody_elses(cloud: Cloud) -> None:
    path = f"/uploads/{call('POST', '/uploads', {'fileName': 'a.zip', 'bytes': 10}).json['uploadId']}"
    for method, more in (("GET", ""), ("POST", "/complete"), ("DELETE", "")):
        assert is_problem(call(method, path + more, claims=STRANGER), 404, "NO_SUCH_UPLOAD")


def test_an_upload_given_up_is_gone(cloud: Cloud) -> None:
    path = f"/uploads/{call('POST', '/uploads', {'fileName': 'a.zip', 'bytes': 10}).json['uploadId']}"
    assert [call("DELETE", path).status for _ in range(2)] == [204, 204]
    assert is_problem(call("GET", path), 404, "NO_SUCH_UPLOAD")
    assert is_problem(call("POST", f"{path}/complete"), 404, "NO_SUCH_UPLOAD")


@pytest.mark.parametrize("nonsense", ["x", "AAAA", "W10", "WzEsMiwzLDRd", "bm90IGpzb24"])
def test_an_id_that_is_none_is_no_upload(cloud: Cloud, nonsense: str) -> None:
    assert is_problem(call("GET", f"/uploads/{nonsense}"), 404, "NO_SUCH_UPLOAD")


@pytest.mark.parametrize("body", [{"fileName": "../a.zip", "bytes": 1}, {"fileName": "a", "bytes": 50 * 1000**3 + 1}])
def test_an_upload_that_cannot_be_is_refused(cloud: Cloud, body: dict[str, Any]) -> None:
    assert is_problem(call("POST", "/uploads", body), 422, "INVALID_REQUEST")


@given(st.integers(1, 50 * 1000**3))
def test_parts_are_few_enough_and_large_enough_for_s3(size: int) -> None:
    ticket = Ticket(f"users/{'0' * 16}/{'0' * 32}/{size}/a.zip", "u")
    assert ticket.part_count <= 10_000
    assert ticket.part_bytes >= 8 * MIB
    assert sum(ticket.size_of(number) for number in (1, ticket.part_count)) > 0
    assert (ticket.part_count - 1) * ticket.part_bytes + ticket.size_of(ticket.part_count) == size
    assert Ticket.decode(ticket.encode()) == ticket


@pytest.mark.parametrize("number", [True, False, "10", "", None, 10.5, [10]])
def test_a_size_is_a_number_and_nothing_that_python_takes_for_one(cloud: Cloud, number: Any) -> None:
    assert call("POST", "/uploads", {"fileName": "a.zip", "bytes": number}).status == 422


@pytest.mark.parametrize("number", [True, False, "7", 1.5])
def test_the_days_of_a_link_are_a_number(cloud: Cloud, number: Any) -> None:
    recorded(cloud)
    assert call("POST", f"/jobs/{JOB_ID}/shares", {"days": number}).status == 422


@pytest.mark.parametrize("number", [True, False, 1.5])
def test_an_option_that_is_a_number_is_not_true_or_false(cloud: Cloud, number: Any) -> None:
    """A number may be given as text, as in an upload's metadata."""
    recorded(cloud)
    options = {"products": number}
    upload = {"fileName": "a.zip", "bytes": 10}
    for path, body in (
        ("/uploads", upload | options),
        ("/uploads", upload | {"options": options}),
        ("/start-job", {"s3Url": f"s3://{UPLOADS}/a.zip", "options": options}),
        (f"/jobs/{JOB_ID}/rerun", {"from": "sfm", "options": options}),
    ):
        answer = call("POST", path, body)
        assert answer.status == 422, answer.body
    assert call("POST", "/uploads", upload | {"products": "1", "options": {"shDegree": "2"}}).status == 201
