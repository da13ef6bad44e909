"""The customer's page in a browser, with an API whose answers the test sets, so that any state can be shown at once."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local.cloud import ROOT
from tests.support.browser import served, until

BUILT = ROOT / "web" / ".build"
API = "https://api.example.com"
EMAIL = "pilot@example.com"
Answer = Callable[[str, str, Any], tuple[int, Any]]


def token(seconds: float = 3600, **claims: Any) -> str:
    """An unsigned identity token: the page only reads it; servers verify it."""
    body = {"exp": time.time() + seconds, "email": EMAIL, "email_verified": True, **claims}
    return f"e30.{base64.urlsafe_b64encode(json.dumps(body).encode()).decode().rstrip('=')}.x"


TOKENS = {"id_token": token(), "refresh_token": "refresh"}


class FakeApi:
    """Answers by method and path; a path without an answer gets 404. `down`: no request is answered."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], Any] = {("GET", "/jobs"): {"jobs": [], "next": None}}
        self.calls: list[tuple[str, str, Any]] = []
        self.down = False
        self.status: dict[tuple[str, str], int] = {}

    def __call__(self, route: Any) -> None:
        request = route.request
        path = request.url.removeprefix(API)
        if self.down:
            route.abort("connectionrefused")
            return
        headers = {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "*",
                   "Access-Control-Allow-Methods": "*"}  # fmt: skip
        if request.method == "OPTIONS":
            route.fulfill(status=204, headers=headers)
            return
        asked = (request.method, path)
        self.calls.append((*asked, _content(request)))
        answer = self.answers.get(
            asked, {"detail": "There is no such job.", "code": "NO_SUCH_JOB", "hint": "Check it."}
        )
        status = self.status.get(asked, 200 if asked in self.answers else 404)
        route.fulfill(status=status, headers=headers, json=answer)

    def sent(self, method: str, path: str) -> list[Any]:
        """The bodies of the calls to one route so far."""
        return [body for *route, body in self.calls if route == [method, path]]


def _content(request: Any) -> Any:
    """The JSON of a request; None if it has none, and for the bytes of a file."""
    return request.post_data_json if request.headers.get("content-type") == "application/json" else None


def stage(name: str, status: str, progress: float = 0.0, **more: Any) -> dict[str, Any]:
    return {
        "stage": name, "status": status, "progress": progress, "message": "", "attempt": 1, "secondsLeft": None,
        "metrics": {}, "cost": None, **more,
    }  # fmt: skip


def job(status: str = "RUNNING", **more: Any) -> dict[str, Any]:
    """A job as GET /jobs/{id} returns it."""
    stages = [stage(name, "WAITING") for name in ("sfm", "3dgs", "compressor")]
    return {
        "jobId": "meadow-0123456789ab", "name": "Große Wiese", "status": status, "stage": None, "progress": 0.0,
        "uploadedAt": "2026-05-04T10:00:00Z", "rerunOf": None, "pipelineStep": "full", "message": "", "stages": stages,
        "metrics": {}, "cost": None, "error": None, "links": {}, "secondsLeft": None, "timeLeft": None,
        "linksExpireAt": "2036-05-04T16:00:00Z", **more,
    }  # fmt: skip


@contextmanager
def page_of(
    browser: Any, api: FakeApi, folder: Path, tokens: dict[str, str] | None = None, **configured: str
) -> Iterator[tuple[Any, str]]:
    """A fresh page and its address. `tokens`: those of the signed-in user; without any, nobody is signed in;
    `configured`: further entries of its config.json."""
    config = {
        "apiUrl": API,
        "clientId": "client",
        "signInUrl": "https://issuer.example.com/authorize",
        "tokenUrl": "https://issuer.example.com/token",
        **({"tokens": tokens} if tokens else {}),
        **configured,
    }
    fresh = browser.new_page()
    errors: list[str] = []
    fresh.on("pageerror", lambda error: errors.append(str(error)))
    fresh.route(f"{API}/**", api)
    fresh.route("**/config.json", lambda route: route.fulfill(json=config))
    with served(BUILT) as address:
        yield fresh, f"{address}/index.html"
        fresh.close()
    assert errors == [], errors


def go_home(page: Any) -> None:
    """Opens the page for new scenes and waits until its event handlers are set: earlier input would be lost."""
    page.goto(page.home)
    page.wait_for_selector("#home:not([hidden])")


def show(page: Any, api: FakeApi, view: dict[str, Any]) -> None:
    api.answers["GET", f"/jobs/{view['jobId']}"] = view
    page.goto(f"{page.home}#job={view['jobId']}")
    until(page, f"document.getElementById('job-name').textContent === {json.dumps(view['name'])}")
