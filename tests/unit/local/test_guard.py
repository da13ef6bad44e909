"""Pages of others get nothing from the local cloud; programs, and the cloud's own page, do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from local.guard import PAGE_POLICY, guarded, is_page, refusal

PORT = 4566
OWN = {"host": "127.0.0.1:4566"}


@pytest.mark.parametrize(
    "headers",
    [
        OWN,
        {"host": "localhost:4566"},
        OWN | {"origin": "http://127.0.0.1:4566", "sec-fetch-site": "same-origin"},
        OWN | {"sec-fetch-site": "none", "sec-fetch-dest": "document"},
        OWN | {"sec-fetch-site": "cross-site", "sec-fetch-dest": "document"},  # a link in a mail
    ],
)
def test_programs_the_own_page_and_followed_links_are_answered(headers: dict[str, str]) -> None:
    assert refusal(PORT, "GET", "list-type=2", headers) is None


@pytest.mark.parametrize(
    ("method", "query", "headers"),
    [
        ("POST", "", {"host": "evil.example:4566"}),  # DNS rebinding
        ("GET", "", {"host": "127.0.0.1.evil.example:4566"}),
        ("GET", "", {"host": "127.0.0.1:4567"}),
        ("GET", "", {}),
        ("POST", "", OWN | {"origin": "http://evil.example"}),
        ("POST", "", OWN | {"origin": "null"}),
        ("POST", "", OWN | {"origin": "http://localhost:41303"}),
        ("POST", "", OWN | {"origin": "http://127.0.0.1:4566.evil.example"}),
        ("GET", "", OWN | {"sec-fetch-site": "cross-site", "sec-fetch-dest": "image"}),
        ("GET", "", OWN | {"sec-fetch-site": "same-site", "sec-fetch-dest": "script"}),
        ("GET", "", OWN | {"sec-fetch-site": "cross-site", "sec-fetch-dest": "iframe"}),
        ("POST", "", OWN | {"sec-fetch-site": "cross-site", "sec-fetch-dest": "document"}),  # a form
        ("GET", "Action=CreateUser&UserName=x", OWN | {"sec-fetch-site": "cross-site", "sec-fetch-dest": "document"}),
    ],
)
def test_other_pages_are_refused(method: str, query: str, headers: dict[str, str]) -> None:
    assert refusal(PORT, method, query, headers) is not None


def sent_through(path: str, headers: dict[str, str]) -> tuple[list[Any], list[Any]]:
    """The requests that reached the application behind the guard, and what was answered."""
    reached: list[Any] = []
    sent: list[Any] = []

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        reached.append(scope)
        start = [(b"Access-Control-Allow-Origin", b"*"), (b"content-type", b"text/html")]
        await send({"type": "http.response.start", "status": 200, "headers": start})
        await send({"type": "http.response.body", "body": b"secret"})

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": encoded}
    asyncio.run(guarded(app, PORT, is_page)(scope, receive, send))
    return reached, sent


def ask(path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bool]:
    """Status, headers, and whether the application behind the guard was reached."""
    reached, sent = sent_through(path, headers)
    answered = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], answered, bool(reached)


def heard(path: str, headers: dict[str, str]) -> dict[str, str]:
    """The headers of the request as the application gets it."""
    ((scope,), _) = sent_through(path, headers)
    return {name.decode(): value.decode() for name, value in scope["headers"]}


def test_a_refused_request_reaches_nothing_and_no_answer_is_for_everybody() -> None:
    assert ask("/", {"Host": "evil.example:4566"})[::2] == (403, False)
    status, headers, reached = ask("/bucket/key", {"Host": "127.0.0.1:4566"})
    assert (status, reached) == (200, True)
    assert "access-control-allow-origin" not in headers
    assert "content-security-policy" not in headers


def test_an_api_learns_by_what_address_it_is_called() -> None:
    path = "/_aws/execute-api/abc/$default"
    own = {"Host": "127.0.0.1:4566"}
    given = heard(f"{path}/shared/a-1.b", own)
    assert (given["x-forwarded-proto"], given["x-forwarded-prefix"]) == ("http", path)
    assert "x-forwarded-prefix" not in heard("/bucket/key", own)


def test_the_page_alone_has_the_pages_policy() -> None:
    own = {"Host": "127.0.0.1:4566"}
    assert ask("/spaceport-dev-web-123456789012/index.html", own)[1]["content-security-policy"] == PAGE_POLICY
    viewer = "/spaceport-dev-results-123456789012/jobs/a-1/viewer/index.html"  # its script is in the page
    assert "content-security-policy" not in ask(viewer, own)[1]
