"""A client of the HTTP API that needs only the standard library: upload, follow, download.

client = Client("https://….execute-api.eu-west-1.amazonaws.com", token)
job = client.wait(client.upload(Path("photos.zip"), quality="standard"))
client.download(job, Path("out"))
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from http.client import HTTPException, IncompleteRead
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

ENDED = frozenset({"SUCCEEDED", "FAILED", "REJECTED", "STOPPED"})
ATTEMPTS = 5
TIMEOUT_SECONDS = 60.0
CHUNK_BYTES = 1 << 20
FRESH_SECONDS = 1800.0  # links to parts are valid for an hour, and a part must arrive within it
Sleep = Callable[[float], object]
T = TypeVar("T")


class ApiError(Exception):
    """A refusal of the API. `code` is from its closed list, `hint` says what to do; None where API Gateway answered."""

    def __init__(self, status: int, message: str, code: str | None = None, hint: str | None = None) -> None:
        super().__init__(f"{code or status}: {message}")
        self.status, self.message, self.code, self.hint = status, message, code, hint


class JobFailed(Exception):
    """The job has ended, and not well; `job` is as GET /jobs/{jobId} answers it."""

    def __init__(self, job: Mapping[str, Any]) -> None:
        error = job.get("error") or {}
        super().__init__(f"{job['jobId']} {job['status']}: {error.get('message', '')}")
        self.job = job


class Client:
    """`token` is the JWT, or a function that returns a fresh one for each call. Methods raise ApiError for a refusal
    and OSError or HTTPException where connections break even after they were tried again."""

    def __init__(
        self,
        url: str,
        token: str | Callable[[], str],
        sleep: Sleep = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url, self._sleep, self._clock = url.rstrip("/"), sleep, clock
        self._token = token if callable(token) else lambda: token

    def upload(self, path: Path, progress: Callable[[float], None] = lambda _share: None, **options: str | int) -> str:
        """Upload a ZIP of photos, or a .ply with `pipelineStep="compression"`, and start its job; returns the jobId.

        `options` as the API names them: quality, name, project, customer, site, email, trainingSteps …; `progress` gets
        the share sent, 0..1. A part whose link has expired is sent through a fresh one.
        """
        size = path.stat().st_size
        request = {"fileName": path.name, "bytes": size, "options": options}
        upload = self.call("POST", "/uploads", request)
        failed: int | None = None
        with path.open("rb") as stream:
            while upload["links"]:
                linked = self._clock()
                for part in upload["links"]:
                    if self._clock() - linked > FRESH_SECONDS:
                        break
                    stream.seek((part["number"] - 1) * upload["partBytes"])
                    content = stream.read(upload["partBytes"])
                    try:
                        self._put(part["url"], content)
                    except (ApiError, OSError, HTTPException):
                        # S3 refuses an expired link with 403, or closes the connection before the part is sent
                        if part["number"] == failed:
                            raise
                        failed = part["number"]
                        break
                    progress(min(1.0, part["number"] * upload["partBytes"] / size))
                upload = self.call("GET", f"/uploads/{quote(upload['uploadId'])}")
        started: str = self.call("POST", f"/uploads/{quote(upload['uploadId'])}/complete")["jobId"]
        return started

    def start(self, s3_url: str, **options: str | int) -> str:
        """Start a job from a file of yours in S3; returns the jobId."""
        started: str = self.call("POST", "/start-job", {"s3Url": s3_url, "options": options})["jobId"]
        return started

    def estimate(self, photos: int | None = None, pipeline_step: str = "full") -> dict[str, dict[str, float]]:
        """Estimate how long a job would take, from earlier jobs; needs no upload.

        photos: number of photos, 1 or more; by default the usual number.
        pipeline_step: by the upload: full (photos or films, the default), 3dgs (a COLMAP scene), compression (a splat).

        Returns for each quality the shortest and longest time in seconds, `low` and `high`.
        """
        count = {} if photos is None else {"photos": photos}
        answer = self.call("GET", f"/estimates?{urlencode({**count, 'pipelineStep': pipeline_step})}")
        estimates: dict[str, dict[str, float]] = answer["estimates"]
        return estimates

    def job(self, job_id: str) -> dict[str, Any]:
        """How far a job is, its figures, and links to its files."""
        return self.call("GET", f"/jobs/{quote(job_id)}")

    def jobs(self, search: str | None = None) -> Iterator[dict[str, Any]]:
        """Your jobs, the newest first; with `search` those that have it in their names."""
        query = {"search": search} if search else {}
        while True:
            page = self.call("GET", f"/jobs?{urlencode({'limit': '100', **query})}")
            yield from page["jobs"]
            if not page["next"]:
                return
            query["before"] = page["next"]

    def wait(
        self,
        job_id: str,
        timeout: float = float("inf"),
        every: float = 5.0,
        progress: Callable[[dict[str, Any]], None] = lambda _job: None,
    ) -> dict[str, Any]:
        """Wait until a job has succeeded; returns it as `job` does.

        job_id: a job that was just started may be unknown for up to a minute.
        timeout: seconds to wait at the most; unlimited by default.
        every: seconds between two requests; default 5.
        progress: receives each answer.

        Raises JobFailed if the job ends otherwise, TimeoutError after `timeout` seconds.
        """
        waited = 0.0
        while True:
            try:
                job = self.job(job_id)
            except ApiError as error:
                if error.code != "NO_SUCH_JOB" or waited >= 60.0:
                    raise
            else:
                progress(job)
                if job["status"] == "SUCCEEDED":
                    return job
                if job["status"] in ENDED:
                    raise JobFailed(job)
            if waited >= timeout:
                raise TimeoutError(f"{job_id} has not ended after {timeout:.0f} s")
            self._sleep(every)
            waited += every

    def download(self, job: Mapping[str, Any], folder: Path, names: Iterable[str] | None = None) -> list[Path]:
        """Download a job's files, all or those named, below `folder`; returns their paths. Raises KeyError for a name
        that the job does not have. Each file is there whole or not at all; one that is there already is replaced."""
        links = self.job(job["jobId"])["links"]
        paths = []
        for name in list(links) if names is None else names:
            path = (folder / name).resolve()
            if not path.is_relative_to(folder.resolve()):
                raise ValueError(f"{name!r} lies outside of the folder")
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_name(path.name + ".partial")
            try:
                self._again(partial(_fetch, links[name], unfinished))
                unfinished.replace(path)
            finally:
                unfinished.unlink(missing_ok=True)
            paths.append(path)
        return paths

    def stop(self, job_id: str) -> bool:
        """Stop a job; False when it had ended already."""
        stopping: bool = self.call("POST", f"/jobs/{quote(job_id)}/stop")["stopping"]
        return stopping

    def rerun(self, job_id: str, from_stage: str, key: str | None = None, **options: str | int) -> str:
        """Run a job again from one of its stages on; returns the new jobId.

        job_id: a job that has ended.
        from_stage: sfm, 3dgs or compressor; the output of the earlier stages is used again.
        key: of your choice, up to 100 characters; a repeated request with the same key returns the same job. Without
            one the request is not retried when a connection breaks.
        options: those that change, as in `upload`; all but pipelineStep. By default as in the job.
        """
        headers = {"Idempotency-Key": key} if key else {}
        body = {"from": from_stage, "options": options}
        again: str = self.call("POST", f"/jobs/{quote(job_id)}/rerun", body, headers)["jobId"]
        return again

    def set_webhook(self, url: str) -> str:
        """Have `url` called when a job starts or ends; returns the secret that verifies the calls.

        Not repeated if the answer is lost: each call makes a new secret, and only the newest two are in use."""
        secret: str = self.call("PUT", "/webhook", {"url": url})["secret"]
        return secret

    def test_webhook(self) -> dict[str, Any]:
        """Send a test event: `delivered`, and `detail` where it was not."""
        return self.call("POST", "/webhook/test")

    def deliveries(self) -> list[dict[str, Any]]:
        """The newest attempts at calling the webhook, the newest first."""
        listed: list[dict[str, Any]] = self.call("GET", "/webhook/deliveries")["deliveries"]
        return listed

    def call(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Any call of the API; the answer's JSON, empty where there is none."""
        data = None if body is None else json.dumps(body).encode()
        # what begins something anew is not repeated, since the first try may have arrived; PUT makes a webhook's secret
        repeatable = method in ("GET", "DELETE") or path.endswith("/complete") or bool(headers)

        def once() -> dict[str, Any]:
            named = {"Authorization": f"Bearer {self._token()}", "Content-Type": "application/json", **(headers or {})}
            request = urllib.request.Request(self._url + path, data, named, method=method)
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
                text = answer.read()
            return dict(json.loads(text)) if text else {}

        return self._again(once, repeatable)

    def _put(self, url: str, part: bytes) -> None:
        def once() -> None:
            request = urllib.request.Request(url, part, {"Content-Type": ""}, method="PUT")
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):
                pass

        self._again(once)

    def _again(self, once: Callable[[], T], repeatable: bool = True) -> T:
        """Try again, later and later, what a broken connection or a busy server has ended."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return once()
            except urllib.error.HTTPError as refusal:
                busy = refusal.code in (429, 500, 502, 503, 504) and (repeatable or refusal.code == 429)
                if not busy or attempt == ATTEMPTS:
                    raise _refused(refusal) from refusal
            except (OSError, HTTPException):
                if not repeatable or attempt == ATTEMPTS:
                    raise
            self._sleep(2.0**attempt)
        raise AssertionError("the last attempt returns or raises")


def _fetch(url: str, path: Path) -> None:
    with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer, path.open("wb") as sink:
        while chunk := answer.read(CHUNK_BYTES):
            sink.write(chunk)
        # a connection that closes early looks like the end of the file to `read` with a size
        expected = answer.headers["Content-Length"]
        if expected is not None and sink.tell() < int(expected):
            raise IncompleteRead(b"", int(expected) - sink.tell())


def _refused(refusal: urllib.error.HTTPError) -> ApiError:
    """Problem details, API Gateway's message, or whatever else was answered."""
    text = refusal.read().decode("utf-8", "replace")
    try:
        said = dict(json.loads(text))
    except (ValueError, TypeError):
        said = {}
    message = said.get("detail") or said.get("message") or text[:200] or refusal.reason
    return ApiError(refusal.code, str(message), said.get("code"), said.get("hint"))
