"""What a stranger, a hostile upload and a compromised container try, and what they get (docs/security.md)."""

from __future__ import annotations

import base64
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from api.caller import network_of
from api.uploads import Ticket
from contract.events import progress_sequence
from contract.stages import Stage
from domain import limits
from domain.errors import MAX_FACTS
from domain.job_item import JobItem
from domain.layout import is_of_job
from domain.limits import Counters, JobLimits, reached
from tests.support.archives import photos, zip_of
from tests.support.cloud import RESULTS, UPLOADS, Cloud, invoke
from tests.support.events import sample_event
from tests.support.fakes import aws_error
from tests.support.http_api import PILOT, answer_of, call, event_of
from tests.support.mails import part
from tests.support.sam_template import Template

pytestmark = pytest.mark.filterwarnings("ignore:No application metrics")

MALLORY = {"sub": "mallory", "email": "mallory@example.com", "email_verified": "true"}
PHOTOS = zip_of(photos(8))
JOB_ID = "meadow-0123456789ab"


def start(claims: dict[str, str], key: str = "flight0.zip", bucket: str = UPLOADS, **more: Any) -> tuple[int, str]:
    answer = call("POST", "/start-job", {"s3Url": f"s3://{bucket}/{key}", **more}, claims=claims)
    return answer.status, answer.json.get("code", "")


# ── a stranger claims an upload ──


@pytest.mark.parametrize("bucket", [UPLOADS, "permitted-bucket"])
@pytest.mark.parametrize("metadata", [{}, {"email": "alice@example.com"}, {"owner": "alice"}], ids=str)
def test_a_strangers_upload_is_not_there_before_its_event_and_after(
    cloud: Cloud, bucket: str, metadata: dict[str, str]
) -> None:
    absent = start(MALLORY, "none.zip", bucket)
    if bucket != UPLOADS:
        location = {"LocationConstraint": "eu-west-1"}
        cloud.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=location)
    event = cloud.upload("flight0.zip", PHOTOS, **metadata)
    cloud.s3.put_object(Bucket=bucket, Key="flight0.zip", Body=PHOTOS, Metadata=metadata)
    assert start(MALLORY, bucket=bucket) == absent == (404, "NO_SUCH_OBJECT")
    assert cloud.stepfunctions.executions == {}
    invoke("start_job", event)
    assert start(MALLORY, bucket=bucket) == absent


def test_an_upload_is_claimed_by_whom_its_metadata_name(cloud: Cloud) -> None:
    cloud.upload("flight0.zip", PHOTOS, email="Pilot@Example.com")
    assert start({**PILOT, "email_verified": "false"}) == (404, "NO_SUCH_OBJECT")
    assert start(dict(PILOT))[0] == 202


def test_an_owner_goes_before_an_address_that_somebody_else_wrote_beside_it(cloud: Cloud) -> None:
    cloud.upload("flight0.zip", PHOTOS, owner="alice", email=MALLORY["email"])
    assert start(MALLORY) == (404, "NO_SUCH_OBJECT")


def test_whoever_asks_first_the_object_says_whose_it_is(cloud: Cloud) -> None:
    event = cloud.upload("flight0.zip", PHOTOS, email="pilot@example.com")
    assert start(dict(PILOT))[0] == 202
    job_id = invoke("start_job", event)["jobId"]
    assert (cloud.item(job_id) or {})["owner"] == "mailto:pilot@example.com"


def test_an_address_in_other_letters_is_no_address(cloud: Cloud) -> None:
    """A Kelvin sign becomes a k in lower case."""
    cloud.upload("flight0.zip", PHOTOS, email="back@example.com")
    assert start({**MALLORY, "email": "bac\u212a@example.com"}) == (404, "NO_SUCH_OBJECT")


# ── a compromised container ──


def told(name: str, **detail: Any) -> None:
    event = sample_event(f"status/{name}")
    event["detail"] |= detail
    invoke("track_progress", event)


@pytest.fixture
def item(cloud: Cloud) -> Cloud:
    cloud.table("jobs").put_item(Item={"jobId": JOB_ID, "owner": "pilot-1", "name": "meadow", "uploadedAt": "2026"})
    return cloud


LOOT = [
    f"s3://{UPLOADS}/users/alice/private.zip",
    f"s3://{RESULTS}/jobs/alices-fedcba987654/compressor/1/scene.sog",
    f"s3://{RESULTS}/intermediates/alices-fedcba987654/sfm/1/photos.json",
    f"s3://{RESULTS}/jobs/{JOB_ID}/../alices-fedcba987654/scene.sog",
    f"s3://{RESULTS}/jobs/{JOB_ID}-fedcba987654/scene.sog",
    f"s3://{RESULTS}/{JOB_ID}/scene.sog",
    f"https://{RESULTS}/jobs/{JOB_ID}/scene.sog",
]


@pytest.mark.parametrize("loot", LOOT)
def test_what_lies_outside_the_jobs_own_folders_is_not_signed(item: Cloud, loot: str) -> None:
    told("job-succeeded", outputs={"loot": loot, "scene.sog": f"s3://{RESULTS}/jobs/{JOB_ID}/compressor/1/scene.sog"})
    assert list(call("GET", f"/jobs/{JOB_ID}").json["links"]) == ["scene.sog"]


@pytest.mark.parametrize("loot", LOOT)
def test_it_is_neither_read_nor_linked_by_a_mail(item: Cloud, loot: str) -> None:
    item.table("jobs").update_item(
        Key={"jobId": JOB_ID}, UpdateExpression="SET email = :e", ExpressionAttributeValues={":e": "pilot@example.com"}
    )
    event = sample_event("status/job-succeeded")
    event["detail"]["outputs"] = {"preview.png": loot, "scene.sog": loot}
    invoke("notify", event)
    (mail,) = item.mails()
    assert "X-Amz-Signature" not in part(mail, "plain")
    assert "s3.get_object" not in item.watch.calls


@pytest.mark.parametrize(("job", "own"), [(JOB_ID, True), (f"{JOB_ID}-r2", True), ("other-0123456789ab", False)])
def test_a_rerun_shows_what_the_job_before_it_made(job: str, own: bool) -> None:
    assert is_of_job(f"s3://{RESULTS}/jobs/{JOB_ID}/compressor/1/scene.sog", job, RESULTS) is own


def test_a_container_says_how_far_it_is_and_nothing_else(item: Cloud) -> None:
    error = {"code": "NO_OVERLAP", "message": "pay at https://evil.example", "hint": "now"}
    forged = {"outputs": {"output": LOOT[0]}, "error": error, "cost": {"dollars": 0}, "message": "a\nb" * 500}
    told("stage-progressed", **forged)
    written = item.item(JOB_ID) or {}
    assert not any(written["training"].get(name) for name in ("outputs", "error", "cost"))
    assert written.get("error") is None
    assert len(written["message"]) <= MAX_FACTS
    assert "\n" not in written["message"]
    assert call("GET", f"/jobs/{JOB_ID}").json["links"] == {}


@pytest.mark.parametrize("sequence", [10**9, progress_sequence(Stage.COMPRESSOR, 1, 0.5)])
def test_a_number_that_is_not_its_own_shuts_out_nothing(item: Cloud, sequence: int) -> None:
    before = item.item(JOB_ID)
    told("stage-progressed", sequence=sequence)
    assert item.item(JOB_ID) == before


# ── spending ──


def upload(claims: dict[str, str] = MALLORY, **body: Any) -> Any:
    return call("POST", "/uploads", {"fileName": "a.zip", "bytes": 10, **body}, claims=claims)


@pytest.mark.parametrize("address", ["victim@example.com", "mallory+victim@example.com"])
def test_mails_go_to_the_verified_address_of_the_caller_alone(cloud: Cloud, address: str) -> None:
    cloud.upload("flight0.zip", PHOTOS, owner="mallory")
    assert upload(email=address).json["code"] == "INVALID_OPTION"
    assert start(MALLORY, email=address) == (422, "INVALID_OPTION")
    assert start(MALLORY, options={"email": address}) == (422, "INVALID_OPTION")
    job_id = call("POST", "/start-job", {"s3Url": f"s3://{UPLOADS}/flight0.zip"}, claims=MALLORY).json["jobId"]
    again = call("POST", f"/jobs/{job_id}/rerun", {"from": "sfm", "options": {"email": address}}, claims=MALLORY)
    assert again.json["code"] == "INVALID_OPTION"
    assert upload(email="Mallory@example.com").status == 201
    assert upload({**MALLORY, "email_verified": "false"}, email=MALLORY["email"]).json["code"] == "INVALID_OPTION"


@pytest.fixture
def few_mails(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most four mails about outcomes and two about starts a day."""
    assert (limits.MAX_MAILS_A_DAY, limits.MAX_START_MAILS_A_DAY) == (20, 5)  # as stated in docs/security.md
    monkeypatch.setattr("notify.notify.MAX_MAILS_A_DAY", 4)
    monkeypatch.setattr("notify.notify.MAX_START_MAILS_A_DAY", 2)


def test_an_address_gets_so_many_mails_a_day_under_all_its_names(cloud: Cloud, few_mails: None) -> None:
    for number in range(6):
        event = cloud.upload(f"{number}.zip", b"junk", email=f"victim+{number}@example.com")
        invoke("start_job", event)
    for said in cloud.heard():
        invoke("notify", sample_event("status/job-rejected") | {"detail": said["detail"]})
    assert len(cloud.mails()) == 4


def test_an_owner_gets_so_many_mails_a_day_whatever_the_addresses(cloud: Cloud, few_mails: None) -> None:
    for number in range(6):
        invoke("start_job", cloud.upload(f"{number}.zip", b"junk", email=f"v{number}@example.com", owner="mallory"))
    for said in cloud.heard():
        invoke("notify", sample_event("status/job-rejected") | {"detail": said["detail"]})
    assert len(cloud.mails()) == 4


def test_mails_of_starts_take_nothing_from_those_of_outcomes(cloud: Cloud, few_mails: None) -> None:
    """Uploads that arrive together all start before the first of them ends."""
    uploads = [cloud.upload(f"{number}.zip", PHOTOS, email="pilot@example.com") for number in range(4)]
    jobs = [invoke("start_job", event)["jobId"] for event in uploads]
    for name in ("job-started", "job-failed"):
        for job_id in jobs:
            event = sample_event(f"status/{name}")
            event["detail"]["jobId"] = job_id
            invoke("notify", event)
    starts = [str(mail["Subject"]).startswith("We are making") for mail in cloud.mails()]
    assert (starts.count(True), starts.count(False)) == (2, 4)


def test_the_next_job_beyond_those_that_wait_or_run_is_refused_wherever_it_comes_from(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OWNER_OPEN_JOBS", "4")

    def drop(name: str, owner: str = "mallory") -> Any:
        return invoke("start_job", cloud.upload(name, PHOTOS, owner=owner))

    started = [drop(f"{number}.zip") for number in range(4)]
    assert [one["error"] for one in started] == [None] * 4
    assert drop("21.zip")["error"]["code"] == "LIMIT_REACHED"
    assert upload().status == 429
    cloud.upload("22.zip", PHOTOS, owner="mallory")
    assert start(MALLORY, "22.zip") == (429, "LIMIT_REACHED")
    first = started[0]["jobId"]
    cloud.stepfunctions.executions[first].status = "SUCCEEDED"
    again = call("POST", f"/jobs/{first}/rerun", {"from": "sfm"}, claims=MALLORY)
    assert (again.status, again.json["code"]) == (429, "LIMIT_REACHED")
    assert drop("a.zip", "alice")["error"] is None
    for said in cloud.heard():
        told("job-rejected", **said["detail"])
    told("job-succeeded", jobId=first)
    assert call("POST", f"/jobs/{first}/rerun", {"from": "sfm"}, claims=MALLORY).status == 202


AT = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
LIMITS = JobLimits(owner_open_jobs=2, owner_daily_jobs=3, owner_daily_dollars=10)


def job(status: str | None = "SUCCEEDED", started: datetime = AT) -> JobItem:
    return JobItem(job_id="j", status=status, started_at=started)


@pytest.mark.parametrize(
    ("others", "spent", "refused"),
    [
        ([job("RUNNING"), job()], 0, False),
        ([job("RUNNING"), job(None)], 0, True),
        ([job(), job()], 0, False),
        ([job(), job("FAILED"), job("STOPPED")], 0, True),
        ([job(), job("REJECTED"), job("REJECTED")], 0, False),
        ([job(started=AT - timedelta(days=1)) for _ in range(9)], 0, False),
        ([], 10, True),
        ([job()], 9.9, False),
    ],
)
def test_an_owner_has_so_many_jobs_and_so_many_dollars(others: list[JobItem], spent: float, refused: bool) -> None:
    assert (reached(LIMITS, others, spent, AT) is not None) is refused


def test_a_link_takes_its_own_part_and_no_more_bytes(cloud: Cloud) -> None:
    (link,) = upload(bytes=10).json["links"]
    query = parse_qs(urlsplit(link["url"]).query)
    assert query["X-Amz-SignedHeaders"] == ["content-length;host"]


@pytest.mark.parametrize("size", [40 * 10**12, 12 * 2**20, 11])
def test_a_ticket_that_says_another_size_is_of_no_upload(
    cloud: Cloud, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = cloud.s3.list_parts

    def of_its_key(**asked: Any) -> Any:
        """S3 finds a multipart upload only by its own key; moto does not check it."""
        if f"/{size}/" in asked["Key"]:
            raise aws_error("NoSuchUpload", "ListParts")
        return listed(**asked)

    monkeypatch.setattr(cloud.s3, "list_parts", of_its_key)
    upload_id = upload(bytes=10).json["uploadId"]
    ticket = Ticket.decode(upload_id)
    forged = replace(ticket, key=ticket.key.replace("/10/", f"/{size}/")).encode()
    for method, path in (("GET", ""), ("POST", "/complete")):
        assert call(method, f"/uploads/{forged}{path}", claims=MALLORY).status == 404


@pytest.mark.parametrize("content", ["[" * 1200, '["\\ud800", "u"]', '["k", "u", true, "10"]', "9" * 5000, "null"])
def test_a_ticket_of_any_content_is_of_no_upload(cloud: Cloud, content: str) -> None:
    ticket = base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")[:2048]
    assert call("GET", f"/uploads/{ticket}").status == 404


def test_a_caller_that_asks_too_often_waits_and_others_do_not(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.handler.MAX_CALLS_A_MINUTE", 2)
    monkeypatch.setattr("domain.limits.Counters.count", counted_in_one_minute())
    assert [call("GET", "/jobs", claims=MALLORY).status for _ in range(3)] == [200, 200, 429]
    assert call("GET", "/jobs").status == 200


def test_who_calls_without_a_token_is_counted_by_network(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.handler.MAX_CALLS_A_MINUTE", 2)
    monkeypatch.setattr("domain.limits.Counters.count", counted_in_one_minute())

    def opened(address: str, path: str = "/shared/meadow-0123456789ab." + "A" * 32) -> int:
        event = event_of("GET", path, claims=None)
        event["requestContext"]["http"]["sourceIp"] = address
        return answer_of(invoke("api", event)).status

    assert [opened("192.0.2.7") for _ in range(3)] == [404, 404, 429]
    assert opened("192.0.2.7", "/openapi.json") == 429
    assert opened("192.0.2.8") == 404
    assert call("GET", "/jobs").status == 200
    # a single connection can call from 2^64 addresses
    assert [opened(f"2001:db8:1:2::{number}") for number in range(3)] == [404, 404, 429]
    assert opened("2001:db8:1:3::1") == 404


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7/32"),
        ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ("::ffff:192.0.2.8", "192.0.2.8/32"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
    ],
)
def test_an_ipv4_address_is_a_network_of_its_own_however_it_is_written(address: str, network: str) -> None:
    assert network_of(address) == network


def counted_in_one_minute() -> Any:
    """A clock that stands still, because a test might run past the end of a minute."""
    counts = Counter[str]()

    def count(_self: Counters, what: str, _period: str) -> int:
        counts[what] += 1
        return counts[what]

    return count


def test_a_count_begins_anew_with_the_minute_and_the_day(cloud: Cloud) -> None:
    now = [AT]
    counters = Counters(cloud.table("limits"), lambda: now[0])
    assert [counters.count("a", "minute") for _ in range(2)] == [1, 2]
    assert counters.count("a", "day") == counters.count("b", "minute") == 1
    now[0] += timedelta(minutes=1)
    assert (counters.count("a", "minute"), counters.count("a", "day")) == (1, 2)


def test_a_stranger_makes_no_account_unless_the_operator_opens_the_door() -> None:
    template = Template.load()
    pool = template.resources["CustomerPool"]["Properties"]
    closed = {"AllowAdminCreateUserOnly": {"Fn::If": ["OpenToAll", "false", "true"]}}
    assert str(pool["AdminCreateUserConfig"]).lower().replace("'", "") == str(closed).lower().replace("'", "")
    assert template.parameters["OpenSignUp"]["Default"] == "false"


def test_a_containers_role_reads_no_upload_and_lists_no_job_that_it_cannot_name() -> None:
    (policy,) = Template.load().resources["SageMakerRole"]["Properties"]["Policies"]
    statements = policy["PolicyDocument"]["Statement"]
    assert "UploadsBucket" not in str(statements)
    for action, statement in ((one["Action"], one) for one in statements):
        if action == ["s3:ListBucket"]:
            assert all("-????????????" in prefix for prefix in statement["Condition"]["StringLike"]["s3:prefix"])
        if action == ["events:PutEvents"]:
            said = {"events:source": "spaceport.pipeline", "events:detail-type": "Stage Progressed"}
            assert statement["Condition"] == {"StringEquals": said}
        if action == ["s3:PutObject"]:
            assert not any(where["Fn::Sub"].endswith(("jobs/*", "intermediates/*")) for where in statement["Resource"])


def test_production_is_deployed_with_an_address_for_alarms_and_a_network_of_its_own() -> None:
    rule = Template.load().content["Rules"]["Production"]
    assert rule["RuleCondition"] == {"Fn::Equals": [{"Ref": "Stage"}, "prod"]}
    demanded = [one["Assert"] for one in rule["Assertions"]]
    assert {"Fn::Not": [{"Fn::Equals": [{"Ref": "AlarmEmail"}, ""]}]} in demanded
    assert {"Fn::Equals": [{"Ref": "PrivateNetwork"}, "true"]} in demanded
