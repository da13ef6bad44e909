"""The Python client with a server on loopback that plays the API: what is repeated, what is not, what is raised."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from http.client import IncompleteRead
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from spaceport.client import ApiError, Client, JobFailed
from tests.support.loopback import serving

ROOT = Path(__file__).parents[3]


class Api:
    """`plan`: for each `METHOD /path` the answers to give in turn, the last one repeatedly: (status, body).
    `breaks`: for each path how many connections close after 300 bytes."""

    def __init__(self) -> None:
        self.plan: dict[str, list[tuple[int, Any]]] = {}
        self.breaks: dict[str, int] = {}
        self.calls: list[tuple[str, bytes, dict[str, str]]] = []
        self.url = ""

    def answer(self, route: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        self.calls.append((route, body, headers))
        answers = self.plan[route]
        status, said = answers.pop(0) if len(answers) > 1 else answers[0]
        return status, said if isinstance(said, bytes) else json.dumps(said).encode()

    @property
    def routes(self) -> list[str]:
        return [route for route, _, _ in self.calls]


@pytest.fixture
def api() -> Iterator[Api]:
    played = Api()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            named = {name.lower(): text for name, text in self.headers.items()}
            status, said = played.answer(f"{self.command} {self.path}", body, named)
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            if played.breaks.get(self.path, 0) > 0:
                played.breaks[self.path] -= 1
                said, self.close_connection = said[:300], True
            self.wfile.write(said)

        do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815  # the base class has these names

        def log_message(self, *_: object) -> None:
            """Logs nothing."""

    with serving(Handler) as played.url:
        yield played


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def client(api: Api, slept: list[float]) -> Client:
    return Client(api.url + "/", "secret", slept.append)


def test_an_upload_sends_each_missing_part_once_and_starts_the_job(api: Api, client: Client, tmp_path: Path) -> None:
    photos = tmp_path / "Wiese.zip"
    photos.write_bytes(b"aaaabbbbcc")

    def upload(*missing: int) -> dict[str, Any]:
        links = [{"number": number, "url": f"{api.url}/part/{number}"} for number in missing]
        return {"uploadId": "u", "partBytes": 4, "links": links}

    api.plan = {
        "POST /uploads": [(201, upload(1, 2))],
        "PUT /part/1": [(200, b"")],
        "PUT /part/2": [(503, b""), (200, b"")],
        "PUT /part/3": [(200, b"")],
        "GET /uploads/u": [(200, upload(3)), (200, upload())],
        "POST /uploads/u/complete": [(200, {"jobId": "wiese-1", "created": True})],
    }
    shares: list[float] = []
    assert client.upload(photos, shares.append, quality="high", site="Mühlweg 4") == "wiese-1"
    options = {"quality": "high", "site": "Mühlweg 4"}
    assert json.loads(api.calls[0][1]) == {"fileName": "Wiese.zip", "bytes": 10, "options": options}
    assert [body for route, body, _ in api.calls if route.startswith("PUT")] == [b"aaaa", b"bbbb", b"bbbb", b"cc"]
    assert shares == [0.4, 0.8, 1.0]
    assert "authorization" not in api.calls[1][2]  # the token is for the API, not for S3


def upload_of(api: Api, *links: str) -> dict[str, Any]:
    """`links`: each the number of a part, a dash, and which of its links it is."""
    parts = [{"number": int(link.split("-")[0]), "url": f"{api.url}/part/{link}"} for link in links]
    return {"uploadId": "u", "partBytes": 4, "links": parts}


@pytest.mark.parametrize("status", [403, 400])  # 400: the credentials that signed the link have expired
def test_a_part_whose_link_has_expired_is_sent_through_a_fresh_one(
    status: int, api: Api, client: Client, tmp_path: Path
) -> None:
    photos = tmp_path / "meadow.zip"
    photos.write_bytes(b"aaaabbbbcc")
    api.plan = {
        "POST /uploads": [(201, upload_of(api, "1-old", "2-old", "3-old"))],
        "PUT /part/1-old": [(500, b""), (200, b"")],  # S3's passing faults
        "PUT /part/2-old": [(status, b"<Error/>")],
        "PUT /part/2-new": [(200, b"")],
        "PUT /part/3-new": [(200, b"")],
        "GET /uploads/u": [(200, upload_of(api, "2-new", "3-new")), (200, upload_of(api))],
        "POST /uploads/u/complete": [(200, {"jobId": "a"})],
    }
    shares: list[float] = []
    assert client.upload(photos, shares.append) == "a"
    assert [body for route, body, _ in api.calls if "new" in route] == [b"bbbb", b"cc"]
    assert shares == [0.4, 0.8, 1.0]


def test_a_part_that_is_refused_with_a_fresh_link_too_ends_the_upload(api: Api, client: Client, tmp_path: Path) -> None:
    photos = tmp_path / "meadow.zip"
    photos.write_bytes(b"aaaa")
    api.plan = {
        "POST /uploads": [(201, upload_of(api, "1-old"))],
        "PUT /part/1-old": [(403, b"")],
        "PUT /part/1-new": [(403, b"")],
        "GET /uploads/u": [(200, upload_of(api, "1-new"))],
    }
    with pytest.raises(ApiError) as refused:
        client.upload(photos)
    assert refused.value.status == 403
    assert api.routes == ["POST /uploads", "PUT /part/1-old", "GET /uploads/u", "PUT /part/1-new"]


def test_links_are_replaced_before_they_expire(api: Api, tmp_path: Path) -> None:
    photos = tmp_path / "meadow.zip"
    photos.write_bytes(b"aaaabbbb")
    api.plan = {
        "POST /uploads": [(201, upload_of(api, "1-old", "2-old"))],
        "PUT /part/1-old": [(200, b"")],
        "PUT /part/2-new": [(200, b"")],
        "GET /uploads/u": [(200, upload_of(api, "2-new")), (200, upload_of(api))],
        "POST /uploads/u/complete": [(200, {"jobId": "a"})],
    }
    # each part takes 40 minutes
    client = Client(api.url, "secret", clock=lambda: 2400.0 * sum(route.startswith("PUT") for route in api.routes))
    assert client.upload(photos) == "a"
    assert "PUT /part/2-old" not in api.routes


@pytest.mark.parametrize("guide", ["README.md", "docs/api.md"])
def test_the_guides_example_runs_as_it_is_written(
    guide: str, api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```$", (ROOT / guide).read_text(encoding="utf-8"), re.M | re.S)
    (tmp_path / "photos.zip").write_bytes(b"photos")
    links = {name: f"{api.url}/{name}" for name in ("scene.sog", "viewer/index.html")}
    part = {"number": 1, "url": f"{api.url}/part"}
    job = {"jobId": "a", "status": "SUCCEEDED", "progress": 1.0, "message": "Ready.", "links": links}
    api.plan = {
        "POST /uploads": [(201, {"uploadId": "u", "partBytes": 9, "links": [part]})],
        "PUT /part": [(200, b"")],
        "GET /uploads/u": [(200, {"uploadId": "u", "partBytes": 9, "links": []})],
        "POST /uploads/u/complete": [(200, {"jobId": "a", "created": True})],
        "GET /jobs/a": [(200, job)],
        **{f"GET /{name}": [(200, name.encode())] for name in links},
    }
    monkeypatch.chdir(tmp_path)
    exec(compile(block, guide, "exec"), {"api_url": api.url, "token": "secret"})
    assert {name: (tmp_path / "out" / name).read_text() for name in links} == {name: name for name in links}


def test_a_token_may_be_fetched_anew_for_each_call(api: Api, slept: list[float]) -> None:
    api.plan = {"GET /jobs/a": [(200, {})]}
    tokens = iter("ab")
    client = Client(api.url, lambda: next(tokens), slept.append)
    client.job("a"), client.job("a")
    assert [headers["authorization"] for _, _, headers in api.calls] == ["Bearer a", "Bearer b"]


def test_waiting_ends_with_the_job(api: Api, client: Client, slept: list[float]) -> None:
    running, done = {"jobId": "a", "status": "RUNNING"}, {"jobId": "a", "status": "SUCCEEDED"}
    unknown = {"code": "NO_SUCH_JOB", "detail": "unknown", "hint": "look"}
    api.plan = {"GET /jobs/a": [(404, unknown), (200, running), (200, running), (200, done)]}
    seen: list[str] = []
    assert client.wait("a", every=3, progress=lambda job: seen.append(job["status"])) == done
    assert (seen, slept) == (["RUNNING", "RUNNING", "SUCCEEDED"], [3, 3, 3])


def test_a_job_that_does_not_succeed_or_end_or_exist_is_an_error(api: Api, client: Client) -> None:
    failed = {"jobId": "a", "status": "FAILED", "error": {"code": "NO_OVERLAP", "message": "They do not overlap."}}
    api.plan = {
        "GET /jobs/a": [(200, failed)],
        "GET /jobs/b": [(200, {"jobId": "b", "status": "RUNNING"})],
        "GET /jobs/c": [(404, {"code": "NO_SUCH_JOB", "detail": "unknown"})],
    }
    with pytest.raises(JobFailed, match="They do not overlap") as ended:
        client.wait("a")
    assert ended.value.job == failed
    with pytest.raises(TimeoutError):
        client.wait("b", timeout=12)
    with pytest.raises(ApiError, match="NO_SUCH_JOB"):
        client.wait("c")


def test_files_arrive_whole_below_the_folder(api: Api, client: Client, tmp_path: Path) -> None:
    links = {"scene.sog": f"{api.url}/sog", "viewer/index.html": f"{api.url}/viewer", "../evil": f"{api.url}/evil"}
    api.plan = {
        "GET /jobs/a": [(200, {"links": links})],
        "GET /sog": [(502, b""), (200, b"sog")],
        "GET /viewer": [(200, b"<html>")],
    }
    names = ["scene.sog", "viewer/index.html"]
    assert client.download({"jobId": "a"}, tmp_path, names) == [tmp_path / name for name in names]
    assert (tmp_path / "scene.sog").read_bytes() == b"sog"
    assert not list(tmp_path.rglob("*.partial"))
    with pytest.raises(ValueError, match="outside"):
        client.download({"jobId": "a"}, tmp_path)
    with pytest.raises(KeyError):
        client.download({"jobId": "a"}, tmp_path, ["scene.usd"])


def test_a_file_whose_connection_closes_early_is_fetched_again(api: Api, client: Client, tmp_path: Path) -> None:
    whole = bytes(range(250)) * 4
    api.plan = {"GET /jobs/a": [(200, {"links": {"scene.sog": f"{api.url}/sog"}})], "GET /sog": [(200, whole)]}
    api.breaks = {"/sog": 1}
    client.download({"jobId": "a"}, tmp_path)
    assert (tmp_path / "scene.sog").read_bytes() == whole


def test_a_file_that_never_arrives_whole_leaves_the_earlier_one(api: Api, client: Client, tmp_path: Path) -> None:
    api.plan = {"GET /jobs/a": [(200, {"links": {"scene.sog": f"{api.url}/sog"}})], "GET /sog": [(200, bytes(1000))]}
    api.breaks = {"/sog": 99}
    (tmp_path / "scene.sog").write_bytes(b"earlier")
    with pytest.raises(IncompleteRead):
        client.download({"jobId": "a"}, tmp_path)
    assert (tmp_path / "scene.sog").read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [tmp_path / "scene.sog"]


def test_a_refusal_carries_code_and_hint_and_is_not_repeated(api: Api, client: Client, slept: list[float]) -> None:
    problem = {"code": "NOT_PERMITTED", "detail": "Not yours.", "hint": "Ask."}
    api.plan = {"POST /start-job": [(403, problem)], "GET /jobs/a": [(401, {"message": "Unauthorized"})]}
    with pytest.raises(ApiError) as refused:
        client.start("s3://b/k", quality="high")
    error = refused.value
    assert (error.status, error.code, error.message, error.hint) == (403, "NOT_PERMITTED", "Not yours.", "Ask.")
    with pytest.raises(ApiError) as unauthorized:
        client.job("a")
    assert (unauthorized.value.code, unauthorized.value.message) == (None, "Unauthorized")
    assert slept == []


def test_what_begins_something_anew_is_not_repeated_after_a_doubtful_answer(
    api: Api, client: Client, slept: list[float]
) -> None:
    api.plan = {
        "POST /start-job": [(503, b"")],
        "POST /jobs/a/rerun": [(503, b""), (202, {"jobId": "a-r2"})],
        "POST /jobs/a/stop": [(429, b""), (202, {"stopping": True})],
        "PUT /webhook": [(503, b"")],
    }
    with pytest.raises(ApiError):
        client.start("s3://b/k")
    with pytest.raises(ApiError):
        client.set_webhook("https://u")  # of three secrets, only the newest two sign
    assert api.routes == ["POST /start-job", "PUT /webhook"]
    assert client.rerun("a", "3dgs", key="k", quality="high") == "a-r2"  # the same key: the same rerun
    assert api.calls[-1][2]["idempotency-key"] == "k"
    assert client.stop("a")  # refused before it was handled
    assert slept == [2.0, 2.0]


def test_an_api_that_cannot_be_reached_is_tried_five_times(slept: list[float]) -> None:
    with pytest.raises(OSError, match="refused"):
        Client("http://127.0.0.1:9", "t", slept.append).job("a")
    assert slept == [2.0, 4.0, 8.0, 16.0]


def test_lists_are_read_to_their_end(api: Api, client: Client) -> None:
    api.plan = {
        "GET /jobs?limit=100": [(200, {"jobs": [{"jobId": "b"}], "next": "x~b"})],
        "GET /jobs?limit=100&before=x~b": [(200, {"jobs": [{"jobId": "a"}], "next": None})],
    }
    assert [job["jobId"] for job in client.jobs()] == ["b", "a"]
    api.plan = {
        "GET /jobs?limit=100&search=H%C3%A4user": [(200, {"jobs": [], "next": "x~b"})],
        "GET /jobs?limit=100&search=H%C3%A4user&before=x~b": [(200, {"jobs": [{"jobId": "a"}], "next": None})],
    }
    assert [job["jobId"] for job in client.jobs("Häuser")] == ["a"]
    api.plan = {"GET /jobs?limit=100": [(200, {"jobs": [{"jobId": "b"}], "next": None})]}
    assert [job["jobId"] for job in client.jobs("")] == ["b"]


def test_a_jobs_time_is_asked_before_it_is_sent(api: Api, client: Client) -> None:
    ranges = {"standard": {"low": 60.0, "high": 90.0}}
    api.plan = {
        "GET /estimates?photos=120&pipelineStep=full": [(200, {"estimates": ranges})],
        "GET /estimates?pipelineStep=compression": [(200, {"estimates": {}})],
    }
    assert client.estimate(120) == ranges
    assert client.estimate(pipeline_step="compression") == {}


def test_the_webhooks_calls(api: Api, client: Client) -> None:
    api.plan = {
        "PUT /webhook": [(200, {"url": "u", "secret": "s"})],
        "POST /webhook/test": [(200, {"delivered": True})],
        "GET /webhook/deliveries": [(200, {"deliveries": [{"delivered": True}]})],
    }
    assert client.set_webhook("https://u") == "s"
    assert client.test_webhook() == {"delivered": True}
    assert client.deliveries() == [{"delivered": True}]
