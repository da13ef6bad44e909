"""Streamed scenes: whoever may open one gets links to its parts, as long as their own link is valid, and nobody else
does."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.address import url_of
from domain.job_item import JobItem
from domain.streaming import MANIFEST, with_links
from domain.tickets import good_until, new_key, ticket_of
from tests.support.cloud import RESULTS, Cloud, invoke
from tests.support.events import sample_event
from tests.support.http_api import call
from tests.support.mails import recorded as recorded_for_mail
from tests.support.mails import text
from tests.support.pilot import JOB_ID, recorded, track

API = "https://api.example.com"
FOLDER = f"jobs/{JOB_ID}/compressor/1"
STREAM = "viewer/stream.html.gz"
META: dict[str, Any] = {
    "version": 1,
    "lodLevels": 2,
    "filenames": ["0_0.sog", "1_0.sog"],
    "environment": "environment.sog",
    "thumbnails": "thumbnails.bin",
    "tree": {"bound": {"min": [0, 0, 0], "max": [1, 1, 1]}, "lods": {"0": {"file": 0, "offset": 0, "count": 9}}},
}
NOW = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)


def succeeded_event(cloud: Cloud) -> dict[str, Any]:
    event = sample_event("status/job-succeeded")
    for name in (STREAM, MANIFEST):
        event["detail"]["outputs"][name] = f"s3://{RESULTS}/{FOLDER}/{name}"
    cloud.put(f"s3://{RESULTS}/{FOLDER}/{MANIFEST}", json.dumps(META).encode())
    return event


def finished(cloud: Cloud) -> None:
    recorded(cloud)
    track("job-started", "stage-started", "stage-succeeded")
    invoke("track_progress", succeeded_event(cloud))


def source_of(link: str) -> str:
    """The location of the manifest that the page behind the link loads."""
    page = urlsplit(link)
    assert page.path == f"/{FOLDER}/{STREAM}"
    query = parse_qs(page.query)
    assert query["response-content-encoding"] == ["gzip"]
    assert query["response-content-type"] == ["text/html"]
    (source,) = parse_qs(page.fragment)["scene"]
    return source


def manifest(source: str) -> Any:
    assert source.startswith(f"{API}/shared/")
    return call("GET", unquote(urlsplit(source).path), claims=None, host="api.example.com")


def seconds_of(url: str) -> int:
    query = parse_qs(urlsplit(url).query)
    if "X-Amz-Expires" in query:
        return int(query["X-Amz-Expires"][0])
    return int(query["Expires"][0]) - int(datetime.now(UTC).timestamp())


def test_the_jobs_page_streams_a_large_scene_by_links_to_its_parts(cloud: Cloud) -> None:
    finished(cloud)
    links = call("GET", f"/jobs/{JOB_ID}").json["links"]
    answer = manifest(source_of(links[STREAM]))
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-store"
    given_ = answer.json
    assert {**given_, **{name: META[name] for name in ("filenames", "environment", "thumbnails")}} == {
        **META,
        "expiresAt": given_["expiresAt"],
    }
    named = [*given_["filenames"], given_["environment"], given_["thumbnails"]]
    assert [urlsplit(url).path for url in named] == [
        f"/{FOLDER}/lod/{name}" for name in (*META["filenames"], "environment.sog", "thumbnails.bin")
    ]
    assert all(0 < seconds_of(url) <= 6 * 3600 for url in named)
    assert links[MANIFEST] == source_of(links[STREAM])  # for other viewers that stream
    assert urlsplit(links["viewer/index.html"]).fragment == ""


def test_a_share_streams_until_it_is_withdrawn(cloud: Cloud) -> None:
    finished(cloud)
    made = call("POST", f"/jobs/{JOB_ID}/shares", {"label": "mayor", "days": 7}).json
    opened = call("GET", f"/shared/{made['token']}", claims=None)
    source = source_of(opened.headers["Location"])
    assert source == f"{API}/shared/{made['token']}/lod-meta.json"
    assert manifest(source).status == 200
    call("DELETE", f"/jobs/{JOB_ID}/shares/{made['shareId']}")
    assert manifest(source).status == 404


def test_links_to_parts_end_with_the_share(cloud: Cloud) -> None:
    finished(cloud)
    token = call("POST", f"/jobs/{JOB_ID}/shares", {"days": 1}).json["token"]
    table = cloud.table("jobs")
    item = table.get_item(Key={"jobId": JOB_ID})["Item"]
    (share,) = item["shares"].values()
    share["expiresAt"] = (datetime.now(UTC) + timedelta(minutes=20)).isoformat()
    table.put_item(Item=item)
    found = manifest(f"{API}/shared/{token}/lod-meta.json").json
    assert all(0 < seconds_of(url) <= 1200 for url in found["filenames"])
    assert datetime.fromisoformat(found["expiresAt"]) == datetime.fromisoformat(share["expiresAt"])


def test_the_mail_leads_to_the_page_that_streams(cloud: Cloud) -> None:
    recorded_for_mail(cloud)
    event = succeeded_event(cloud)
    invoke("notify", event)
    (mail,) = cloud.mails()
    (line,) = [line for line in text(mail).splitlines() if line.startswith("Open your scene: ")]
    assert manifest(source_of(line.partition(": ")[2])).status == 200


def test_a_ticket_of_another_job_or_an_altered_one_opens_nothing(cloud: Cloud) -> None:
    finished(cloud)
    recorded(cloud, job_id="other-0123456789ab")
    source = source_of(call("GET", f"/jobs/{JOB_ID}").json["links"][STREAM])
    ticket = source.split("/")[-2]
    job, seconds, mac = ticket.split(".")
    for wrong in (
        f"other-0123456789ab.{seconds}.{mac}",
        f"{job}.{int(seconds) + 1}.{mac}",
        f"{job}.{seconds}.{mac[:-1]}{'A' if mac[-1] != 'A' else 'B'}",
        f"{job}.{mac}",
    ):
        assert call("GET", f"/shared/{wrong}/lod-meta.json", claims=None).status == 404
    assert call("GET", f"/shared/{ticket}", claims=None).status in (404, 422)  # a ticket opens no page
    call("DELETE", f"/jobs/{JOB_ID}")
    assert manifest(source).status == 404


def test_a_job_recorded_before_there_were_tickets_has_no_such_page(cloud: Cloud) -> None:
    finished(cloud)
    table = cloud.table("jobs")
    item = table.get_item(Key={"jobId": JOB_ID})["Item"]
    del item["sceneKey"]
    table.put_item(Item=item)
    links = call("GET", f"/jobs/{JOB_ID}").json["links"]
    assert not {STREAM, MANIFEST} & links.keys()
    assert "viewer/index.html" in links


def test_behind_a_proxy_the_api_names_itself_as_it_was_called(cloud: Cloud) -> None:
    finished(cloud)
    links = call(
        "GET",
        f"/jobs/{JOB_ID}",
        host="127.0.0.1:4566",
        x_forwarded_proto="http",
        x_forwarded_prefix="/_aws/execute-api/a1b2/$default",
    ).json["links"]
    assert links[MANIFEST].startswith("http://127.0.0.1:4566/_aws/execute-api/a1b2/$default/shared/")


@pytest.mark.parametrize(
    "prefix", ["@evil.example", ".evil.example/x", "/a/../b", "/a?b=", "/a#", "//evil.example", "/é"]
)
def test_no_header_makes_another_address_of_the_api(prefix: str) -> None:
    assert url_of({"host": "api.example", "x-forwarded-prefix": prefix}, "") == "https://api.example"
    assert url_of({"x-forwarded-proto": "javascript"}, "api.example") == "https://api.example"


@pytest.mark.parametrize("name", ["../report.html", "https://evil.example/a.sog", "0_0.sog?x", "meta.json", ""])
def test_no_other_file_is_linked_as_a_part(name: str) -> None:
    with pytest.raises(ValueError, match="no part"):
        with_links({"filenames": [name]}, lambda part: part, NOW)


@given(seconds=st.integers(-10, 10**6), key=st.none() | st.just(new_key()))
def test_a_ticket_is_good_until_its_time_and_for_its_own_job(seconds: int, key: str | None) -> None:
    item = JobItem(job_id=JOB_ID, scene_key=key)
    until = NOW + timedelta(seconds=seconds)
    ticket = ticket_of(item, until)
    if ticket is None:
        assert key is None
        return
    assert good_until(ticket, item, NOW) == (until if seconds > 0 else None)
    assert good_until(ticket, JobItem(job_id=JOB_ID, scene_key=new_key()), NOW) is None
    assert good_until(ticket, JobItem(job_id="meadow-ba9876543210", scene_key=key), NOW) is None
