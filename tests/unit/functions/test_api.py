"""The API through its handler: who may see which job, what an upload needs, and refusals that say what to do."""

from __future__ import annotations

import base64
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.source import ObjectAddress, parse_s3_url
from api.uploads import Ticket
from contract.events import StatusType
from contract.options import Quality
from contract.stages import Stage
from domain.errors import RefusedRequest
from domain.jobs_table import JobsTable
from domain.pace import Pace, PaceTable
from tests.support.cloud import RESULTS, UPLOADS, Cloud, invoke
from tests.support.events import sample_event
from tests.support.http_api import PILOT, answer_of, call, event_of
from tests.support.pilot import AT, JOB_ID, PHOTOS, STRANGER, is_problem, put_photos, recorded, track


@pytest.mark.parametrize(
    "url",
    [
        "s3://my-bucket/a folder/big meadow.zip",
        "https://my-bucket.s3.amazonaws.com/a%20folder/big%20meadow.zip",
        "https://my-bucket.s3.eu-west-1.amazonaws.com/a%20folder/big%20meadow.zip",
        "https://my-bucket.s3-eu-west-1.amazonaws.com/a%20folder/big%20meadow.zip",
        "https://my-bucket.s3.dualstack.eu-west-1.amazonaws.com/a%20folder/big%20meadow.zip",
        "https://s3.amazonaws.com/my-bucket/a%20folder/big%20meadow.zip",
        "https://s3.eu-central-1.amazonaws.com/my-bucket/a%20folder/big%20meadow.zip?X-Amz-Signature=abc",
    ],
)
def test_every_way_to_write_an_address_is_understood(url: str) -> None:
    assert parse_s3_url(url) == ObjectAddress("my-bucket", "a folder/big meadow.zip")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "s3://",
        "s3://bucket",
        "s3://bucket/",
        "s3://UPPER/key",
        "http://bucket.s3.amazonaws.com/key",
        "https://example.com/bucket/key",
        "https://bucket.s3.amazonaws.com.evil.example/key",
        "https://evil.example/?x=.s3.amazonaws.com/key",
        "https://s3.amazonaws.com/",
        "https://user@bucket.s3.amazonaws.com/key",
        "file:///etc/passwd",
        "https://[::1/key",
    ],
)
def test_anything_else_is_refused(url: str) -> None:
    with pytest.raises(RefusedRequest, match="INVALID_REQUEST"):
        parse_s3_url(url)


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1).map(str.strip).filter(bool))
def test_a_key_survives_any_letters(key: str) -> None:
    assert parse_s3_url(f"s3://my-bucket/{key}").key == key


@pytest.mark.parametrize(
    ("body", "says"), [(b"[" * 100_000, "nested too deeply"), (b'{"bytes": ' + b"9" * 5000 + b"}", "too many digits")]
)
def test_a_body_that_no_parser_finishes_is_a_wrong_request(cloud: Cloud, body: bytes, says: str) -> None:
    answer = answer_of(invoke("api", event_of("POST", "/uploads", body)))
    assert is_problem(answer, 422, "INVALID_REQUEST")
    assert says in answer.json["detail"]


def test_a_ticket_that_no_parser_finishes_is_none(cloud: Cloud) -> None:
    ticket = base64.urlsafe_b64encode(b"[" * 1500).decode().rstrip("=")
    assert is_problem(call("GET", f"/uploads/{ticket}"), 404, "NO_SUCH_UPLOAD")


def test_a_file_in_the_bucket_becomes_the_callers_job(cloud: Cloud) -> None:
    put_photos(cloud)
    answer = call("POST", "/start-job", {"s3Url": f"s3://{UPLOADS}/meadow.zip", "options": {"quality": "preview"}})
    assert answer.status == 202, answer.body
    job_id = answer.json["jobId"]
    assert answer.json["created"] is True
    item = cloud.item(job_id)
    assert item is not None
    assert item["owner"] == "pilot-1"
    (execution,) = cloud.stepfunctions.executions.values()
    assert execution.input["options"]["quality"] == "preview"


def test_asked_twice_it_is_one_job(cloud: Cloud) -> None:
    put_photos(cloud)
    first, again = (call("POST", "/start-job", {"s3Url": f"s3://{UPLOADS}/meadow.zip"}) for _ in range(2))
    assert again.json == {"jobId": first.json["jobId"], "created": False}


def test_a_bucket_that_is_not_permitted_is_refused(cloud: Cloud) -> None:
    assert is_problem(call("POST", "/start-job", {"s3Url": "s3://elsewhere/a.zip"}), 403, "NOT_PERMITTED")
    assert is_problem(call("POST", "/start-job", {"s3Url": f"s3://{RESULTS}/a.zip"}), 403, "NOT_PERMITTED")


def test_a_file_that_is_not_there_is_not_found(cloud: Cloud) -> None:
    assert is_problem(call("POST", "/start-job", {"s3Url": f"s3://{UPLOADS}/none.zip"}), 404, "NO_SUCH_OBJECT")


def test_a_file_that_cannot_work_is_refused_with_its_reason_and_job(cloud: Cloud) -> None:
    cloud.s3.put_object(Bucket=UPLOADS, Key="a.zip", Body=b"this is no archive at all", Metadata={"owner": "pilot-1"})
    answer = call("POST", "/start-job", {"s3Url": f"s3://{UPLOADS}/a.zip"})
    assert is_problem(answer, 422, "NOT_A_ZIP")
    assert cloud.item(answer.json["jobId"]) is not None


def test_a_file_that_was_rejected_begins_anew_once_nothing_is_against_it(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tell(name: str, detail: dict[str, Any]) -> None:
        event = sample_event(f"status/{name}")
        event["detail"] |= detail
        invoke("track_progress", event)

    monkeypatch.setenv("OWNER_OPEN_JOBS", "1")
    earlier = invoke("start_job", cloud.upload("earlier.zip", PHOTOS, owner="pilot-1"))["jobId"]
    put_photos(cloud)
    request = {"s3Url": f"s3://{UPLOADS}/meadow.zip", "options": {"quality": "high"}}
    for _ in range(2):
        refused = call("POST", "/start-job", request)
        assert is_problem(refused, 429, "LIMIT_REACHED")
        for said in cloud.heard():
            tell("job-rejected", said["detail"])
    job_id = refused.json["jobId"]
    JobsTable(cloud.table("jobs")).note_mail(job_id, StatusType.JOB_REJECTED)
    assert call("GET", f"/jobs/{job_id}").json["status"] == "REJECTED"

    tell("job-stopped", {"jobId": earlier})
    started = call("POST", "/start-job", {**request, "options": {"quality": "preview"}})
    assert (started.status, started.json) == (202, {"jobId": job_id, "created": True})
    assert job_id in cloud.stepfunctions.executions
    tell("job-started", {"jobId": job_id})
    view = call("GET", f"/jobs/{job_id}").json
    assert (view["status"], view["error"]) == ("RUNNING", None)
    item = cloud.item(job_id)
    assert item is not None
    assert (item["quality"], item["mailed"]) == ("preview", {"Job Rejected"})  # no second mail of the kind


@pytest.mark.parametrize("arrives", [False, True], ids=["before the call", "after the call"])
@pytest.mark.parametrize("body", [PHOTOS, b"no archive"], ids=["photos", "bad file"])
def test_a_start_that_crashed_at_any_call_is_made_good_by_the_next_try(
    cloud: Cloud, body: bytes, arrives: bool
) -> None:
    for number in range(6):
        cloud.s3.put_object(Bucket=UPLOADS, Key=f"{number}.zip", Body=body, Metadata={"owner": "pilot-1"})
        request = {"s3Url": f"s3://{UPLOADS}/{number}.zip"}
        cloud.watch.calls.clear()
        cloud.watch.crash_at, cloud.watch.arrives = number, arrives
        call("POST", "/start-job", request)
        cloud.watch.crash_at = None
        answer = call("POST", "/start-job", request)
        job_id = answer.json["jobId"]
        if body is PHOTOS:
            assert (answer.status, job_id in cloud.stepfunctions.executions) == (202, True)
        else:
            assert is_problem(answer, 422, "NOT_A_ZIP")
            assert job_id in {event["detail"]["jobId"] for event in cloud.heard()}


def test_a_wrong_option_is_named(cloud: Cloud) -> None:
    put_photos(cloud)
    answer = call("POST", "/start-job", {"s3Url": f"s3://{UPLOADS}/meadow.zip", "options": {"quality": "best"}})
    assert is_problem(answer, 422, "INVALID_OPTION")
    assert "quality" in answer.json["detail"]
    unknown = call("POST", "/start-job", {"s3Url": f"s3://{UPLOADS}/meadow.zip", "speed": 3})
    assert is_problem(unknown, 422, "INVALID_REQUEST")
    assert "speed" in unknown.json["detail"]


def test_nobody_starts_from_somebody_elses_upload(cloud: Cloud) -> None:
    begun = call("POST", "/uploads", {"fileName": "a.zip", "bytes": len(PHOTOS)}).json
    key = Ticket.decode(begun["uploadId"]).key
    cloud.s3.put_object(Bucket=UPLOADS, Key=key, Body=PHOTOS)
    body = {"s3Url": f"s3://{UPLOADS}/{key}"}
    assert is_problem(call("POST", "/start-job", body, claims=STRANGER), 404, "NO_SUCH_OBJECT")
    assert call("POST", "/start-job", body).status == 202


def test_nobody_takes_over_a_job_that_came_with_somebody_elses_address(cloud: Cloud) -> None:
    event = cloud.upload("meadow.zip", PHOTOS, email="pilot@example.com")
    job_id = invoke("start_job", event)["jobId"]
    body = {"s3Url": f"s3://{UPLOADS}/meadow.zip"}
    assert is_problem(call("POST", "/start-job", body, claims=STRANGER), 404, "NO_SUCH_OBJECT")
    assert call("POST", "/start-job", body).json == {"jobId": job_id, "created": False}


# ── jobs ──


def test_a_job_shows_how_far_it_is_with_links_to_what_there_is(cloud: Cloud) -> None:
    recorded(cloud)
    track("job-started", "stage-started", "stage-progressed", "stage-succeeded")
    view = call("GET", f"/jobs/{JOB_ID}").json
    assert (view["name"], view["status"]) == ("Meadow", "RUNNING")
    assert 0 < view["progress"] < 1
    assert [stage["stage"] for stage in view["stages"]] == ["sfm", "3dgs", "compressor"]
    assert view["error"] is None


def test_a_job_says_when_it_and_each_of_its_stages_will_be_done(cloud: Cloud) -> None:
    recorded(cloud)
    track("job-started")
    unknown = call("GET", f"/jobs/{JOB_ID}").json
    assert [unknown["secondsLeft"], *(stage["secondsLeft"] for stage in unknown["stages"])] == [None] * 4
    track("stage-started", "stage-progressed")
    view = call("GET", f"/jobs/{JOB_ID}").json
    left = {stage["stage"]: stage["secondsLeft"] for stage in view["stages"]}
    assert left["sfm"] is None  # its end was not reported, and is not estimated either
    assert 0 <= left["3dgs"] <= left["compressor"] == view["secondsLeft"]
    assert view["timeLeft"]["low"] < view["secondsLeft"] < view["timeLeft"]["high"]
    track("stage-succeeded")
    done = call("GET", f"/jobs/{JOB_ID}").json
    assert [stage["secondsLeft"] is None for stage in done["stages"]] == [True, True, False]


def test_a_finished_job_shows_its_figures_and_links_that_work(cloud: Cloud) -> None:
    recorded(cloud)
    track("job-succeeded")
    view = call("GET", f"/jobs/{JOB_ID}").json
    assert (view["status"], view["progress"], view["metrics"]["score"]) == ("SUCCEEDED", 1.0, 74)
    link = view["links"]["viewer/index.html"]
    assert link.startswith("https://")
    assert "X-Amz-Signature" in link
    assert "s3://" not in link


def test_the_snapshots_of_a_training_are_linked_in_their_order(cloud: Cloud) -> None:
    recorded(cloud)
    for name in (
        "1/snapshots/100.jpg",
        "1/snapshots/1000.jpg",
        "1/snapshots/200.jpg",
        "1/state.pt",
        "3/snapshots/200.jpg",
    ):
        cloud.put(f"s3://{RESULTS}/intermediates/{JOB_ID}/checkpoints/{name}", b"x")
    links = call("GET", f"/jobs/{JOB_ID}").json["links"]
    assert list(links) == ["snapshots/100.jpg", "snapshots/200.jpg", "snapshots/1000.jpg"]
    assert "checkpoints/3/snapshots/200.jpg" in links["snapshots/200.jpg"]


def test_a_failure_comes_with_its_hint(cloud: Cloud) -> None:
    recorded(cloud)
    track("job-failed")
    error = call("GET", f"/jobs/{JOB_ID}").json["error"]
    assert error["code"] == sample_event("status/job-failed")["detail"]["error"]["code"]
    assert error["hint"]


def test_what_an_upload_was_refused_for_is_linked_once_the_job_has_failed(cloud: Cloud) -> None:
    recorded(cloud)
    for name in ("photos.json", "overlap.png"):
        cloud.put(f"s3://{RESULTS}/intermediates/{JOB_ID}/sfm/evidence/{name}", b"x")
    assert call("GET", f"/jobs/{JOB_ID}").json["links"] == {}
    track("job-failed")
    links = call("GET", f"/jobs/{JOB_ID}").json["links"]
    assert set(links) == {"sfm/photos.json", "sfm/overlap.png"}
    assert "/sfm/evidence/overlap.png" in links["sfm/overlap.png"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("GET", "", None), ("POST", "/stop", None), ("POST", "/rerun", {"from": "3dgs"})],
)
def test_somebody_elses_job_does_not_exist(cloud: Cloud, method: str, path: str, body: Any) -> None:
    recorded(cloud)
    assert is_problem(call(method, f"/jobs/{JOB_ID}{path}", body, claims=STRANGER), 404, "NO_SUCH_JOB")
    assert is_problem(call(method, f"/jobs/none{path}", body), 404, "NO_SUCH_JOB")


@pytest.mark.parametrize(("verified", "status"), [("true", 200), ("false", 404)])
def test_a_job_that_came_by_mail_address_is_his_whose_address_is_verified(
    cloud: Cloud, verified: str, status: int
) -> None:
    recorded(cloud, owner="mailto:pilot@example.com")
    claims = {**PILOT, "sub": "new", "email": "Pilot@Example.com", "email_verified": verified}
    assert call("GET", f"/jobs/{JOB_ID}", claims=claims).status == status


@pytest.mark.parametrize("limit", [1, 2, 3, 20])
def test_no_page_of_the_list_leaves_one_out(cloud: Cloud, limit: int) -> None:
    for number in range(9):  # 0, 1 to 5 in the same second, 6, 7, 8
        recorded(cloud, job_id=f"job-{number}", at=AT.replace(second=1 if 1 <= number <= 5 else number))
    seen: list[str] = []
    before = None
    while before is not None or not seen:
        page = call("GET", "/jobs", query={"limit": limit, **({"before": before} if before else {})}).json
        assert len(page["jobs"]) <= limit
        seen += [job["jobId"] for job in page["jobs"]]
        before = page["next"]
    assert seen == [f"job-{number}" for number in range(8, -1, -1)]


def test_the_list_is_the_callers_own_newest_first_page_by_page(cloud: Cloud) -> None:
    for number in range(5):  # two in the same second, some by token and some by address
        owner = "pilot-1" if number % 2 else "mailto:pilot@example.com"
        recorded(cloud, owner, f"job-{number}", AT.replace(second=number // 2))
    recorded(cloud, "stranger-2", "other")
    seen: list[str] = []
    before = None
    while True:
        page = call("GET", "/jobs", query={"limit": 2, **({"before": before} if before else {})}).json
        seen += [job["jobId"] for job in page["jobs"]]
        before = page["next"]
        if before is None:
            break
    assert seen == ["job-4", "job-3", "job-2", "job-1", "job-0"]


def test_a_search_finds_names_through_all_pages_whatever_their_capitals(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.service.MAX_SEARCHED", 3)
    names = ["Haus Nord", "Wiese", "GROSSE STRASSE", "Wiese", "Wiese", "Wiese", "große straße 2"]
    for number, name in enumerate(names):
        recorded(cloud, job_id=f"job-{number}", at=AT.replace(second=number))
        JobsTable(cloud.table("jobs")).set_name(f"job-{number}", name)
    recorded(cloud, "stranger-2", "other")

    def found(search: str, limit: int = 20) -> list[list[str]]:
        pages: list[list[str]] = []
        before = None
        while not pages or before:
            query = {"search": search, "limit": limit, **({"before": before} if before else {})}
            page = call("GET", "/jobs", query=query).json
            pages.append([job["jobId"] for job in page["jobs"]])
            before = page["next"]
        return pages

    assert found("große STRASSE") == [["job-6"], ["job-2"], []]
    assert list(chain(*found("wiese", limit=1))) == ["job-5", "job-4", "job-3", "job-1"]
    assert list(chain(*found("haus"))) == ["job-0"]
    assert list(chain(*found("Meadow"))) == []
    assert is_problem(call("GET", "/jobs", query={"search": ""}), 422, "INVALID_REQUEST")


def test_before_anything_is_sent_the_time_of_each_quality_is_told_by_what_was_learnt(cloud: Cloud) -> None:
    paces = PaceTable(cloud.table("pace"))
    for stage, machine in (("sfm", "ml.c6i.4xlarge"), ("3dgs", "ml.g4dn.xlarge"), ("compressor", "ml.c6i.4xlarge")):
        paces.write(Stage(stage), machine, Quality.PREVIEW, Pace(waiting=100, per_unit=1, usual=100, runs=3))
    counted = call("GET", "/estimates", query={"photos": 500}).json["estimates"]
    assert counted["preview"] == {"low": 800.0, "high": 1200.0}  # 3 waits, 500 photos, 2 stages at the usual pace
    assert list(counted) == ["preview", "standard", "high"]
    assert counted["standard"]["high"] < counted["high"]["high"]
    usual = call("GET", "/estimates").json["estimates"]
    assert usual["preview"] == {"low": 480.0, "high": 720.0}
    dollars = call("GET", "/estimates", query={"photos": 500}).json["dollars"]["preview"]
    machines = 0.816 * (500 + 100) / 3600 + 0.7364 * 100 / 3600  # waiting for a machine is free
    assert dollars == {"low": round(0.8 * machines, 2), "high": round(1.2 * machines, 2)}
    splat = call("GET", "/estimates", query={"pipelineStep": "Compression"}).json["estimates"]
    assert splat["preview"] == {"low": 160.0, "high": 240.0}
    for wrong in ({"photos": 0}, {"photos": 5001}, {"photos": "many"}, {"pipelineStep": "sleep"}):
        assert is_problem(call("GET", "/estimates", query=wrong), 422, "INVALID_REQUEST")


@pytest.mark.parametrize("step", ["full", "3dgs"])
def test_blocks_side_by_side_cost_more_money_and_no_more_time(cloud: Cloud, step: str) -> None:
    """Training after the coarse model: 2 waits and 125 s. All splats are compressed at once."""
    paces = PaceTable(cloud.table("pace"))
    for stage, machine in (("sfm", "ml.c6i.4xlarge"), ("3dgs", "ml.g4dn.xlarge"), ("compressor", "ml.c6i.4xlarge")):
        for quality in Quality:
            paces.write(Stage(stage), machine, quality, Pace(waiting=100, per_unit=1, usual=100, runs=3))

    def expected(photos: int) -> tuple[float, float]:
        found = call("GET", "/estimates", query={"photos": photos, "pipelineStep": step}).json
        of = found["estimates"]["preview"], found["dollars"]["preview"]
        return tuple((each["low"] + each["high"]) / 2 for each in of)

    for photos, blocks in ((2000, 5), (4000, 10)):
        seconds, dollars = expected(photos)
        assert seconds == pytest.approx((100 + photos) + (200 + 125) + (100 + 100 * blocks))
        machines = 0.816 * (photos + 100 * blocks) + 0.7364 * (25 + 100 * blocks)
        assert dollars == pytest.approx(machines / 3600, abs=0.01)


def test_a_scene_in_the_list_has_a_picture_and_one_under_way_has_none(cloud: Cloud) -> None:
    recorded(cloud)
    (row,) = call("GET", "/jobs").json["jobs"]
    assert row["thumbnail"] is None
    event = sample_event("status/job-succeeded")
    event["detail"]["outputs"]["poster.jpg"] = f"s3://{RESULTS}/jobs/{JOB_ID}/compressor/1/poster.jpg"
    invoke("track_progress", event)
    (row,) = call("GET", "/jobs").json["jobs"]
    assert "/poster.jpg?" in row["thumbnail"]
    assert row["thumbnail"].startswith("https://")


def test_a_job_is_stopped_by_its_owner(cloud: Cloud) -> None:
    put_photos(cloud)
    job_id = call("POST", "/start-job", {"s3Url": f"s3://{UPLOADS}/meadow.zip"}).json["jobId"]
    assert call("POST", f"/jobs/{job_id}/stop").json == {"jobId": job_id, "stopping": True}
    assert call("POST", f"/jobs/{job_id}/stop").json == {"jobId": job_id, "stopping": False}


def test_a_job_is_run_again_by_its_owner_once_a_request(cloud: Cloud) -> None:
    put_photos(cloud)
    job_id = call("POST", "/start-job", {"s3Url": f"s3://{UPLOADS}/meadow.zip"}).json["jobId"]
    running = call("POST", f"/jobs/{job_id}/rerun", {"from": "sfm"})
    assert is_problem(running, 409, "JOB_RUNNING")
    call("POST", f"/jobs/{job_id}/stop")
    answers = [call("POST", f"/jobs/{job_id}/rerun", {"from": "sfm"}, idempotency_key="once") for _ in range(2)]
    assert [answer.status for answer in answers] == [202, 202]
    assert answers[0].json == answers[1].json
    assert answers[0].json["rerunOf"] == job_id
    assert call("GET", f"/jobs/{answers[0].json['jobId']}").status == 200


def test_what_is_not_there_is_a_problem_too(cloud: Cloud) -> None:
    answer = call("GET", "/nothing")
    assert (answer.status, answer.headers["Content-Type"]) == (404, "application/problem+json")


def test_an_internal_error_shows_no_internals(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(JobsTable, "find", broken)
    answer = call("GET", f"/jobs/{JOB_ID}")
    assert is_problem(answer, 500, "INTERNAL")
    assert "secret" not in answer.body
