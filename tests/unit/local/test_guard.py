"""Other sites' pages cannot use the local cloud; programs and the cloud's own page can."""

from __future__ import annotations

import asyncio
from typing import Any

import boto3
import pytest

from domain.clients import config
from domain.layout import KEPT
from domain.links import SAVED_AS, VIEWERS, Links
from local.address import REGION, Address
from local.guard import PAGE_POLICY, guarded, is_page, refusal

PORT = 4566
ADDRESS = Address(PORT, 4567)
# like a role's credentials
SIGNER = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "aws_session_token": "test"}
OWN = {"host": "127.0.0.1:4566"}


WEB = "/spaceport-dev-web-123456789012/index.html"
RESULT = "/spaceport-dev-results-123456789012/jobs/a-0123456789ab/viewer/index.html"
UPLOAD = "/spaceport-dev-results-123456789012/intermediates/a-0123456789ab/upload/a.zip"
API = "/_aws/execute-api/abc/$default"
SIGNED = (
    "response-content-type=text%2Fhtml&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20261129T000000Z&X-Amz-Expires=60"
    "&X-Amz-Credential=test%2F20261129%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-SignedHeaders=host&X-Amz-Signature=0"
)
CALL = "StackName=x&TemplateBody=%7B%7D"
# How a browser requests an address without the user's doing: from a page of another site or port, or from a mail
# program or the address bar, and one that does not say.
WAYS = [
    {"sec-fetch-site": "cross-site", "sec-fetch-dest": "document"},
    {"sec-fetch-site": "same-site", "sec-fetch-dest": "document"},
    {"sec-fetch-site": "none", "sec-fetch-dest": "document"},
    {"user-agent": "Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 Version/16.1 Safari/605.1.15"},
]
each_way = pytest.mark.parametrize("way", WAYS, ids=["cross-site", "same-site", "none", "old browser"])


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize(
    "headers",
    [
        OWN,
        {"host": "localhost:4566"},
        OWN | {"user-agent": "Boto3/1.40"},
        OWN | {"origin": "http://127.0.0.1:4566", "sec-fetch-site": "same-origin"},
        OWN | {"sec-fetch-site": "same-origin", "user-agent": "Mozilla/5.0"},
    ],
)
def test_programs_and_the_own_page_are_answered(method: str, headers: dict[str, str]) -> None:
    assert refusal(PORT, method, "/?Action=CreateStack", headers) is None


@each_way
@pytest.mark.parametrize("target", [WEB, f"{RESULT}?{SIGNED}", f"{API}/shared/a-0123456789ab.secret"])
def test_a_link_is_followed_from_anywhere(way: dict[str, str], target: str) -> None:
    assert refusal(PORT, "GET", target, OWN | way) is None


@each_way
def test_every_signed_link_is_followed(way: dict[str, str]) -> None:
    s3 = boto3.client("s3", endpoint_url=ADDRESS.url, config=config("s3"), region_name=REGION, **SIGNER)
    bucket = "spaceport-dev-results-123456789012"
    names = (*VIEWERS, *SAVED_AS, "report.html", "thumbnail.jpg")
    uris = {name: f"s3://{bucket}/{KEPT}/a-0123456789ab/delivery/{name}" for name in names}
    links = Links(s3, bucket, 3600).of_job(
        "a-0123456789ab", uris, "Meadow", f"{ADDRESS.url}{API}/shared/a.b/lod-meta.json"
    )
    assert len(links) >= len(names)
    for link in links.values():
        target = link.removeprefix(ADDRESS.url).partition("#")[0]
        assert refusal(PORT, "GET", target, OWN | way) is None, link


@each_way
@pytest.mark.parametrize("path", ["/", "", "//", WEB, RESULT, f"{API}/jobs", "/queue/x", "/000000000000/heard"])
@pytest.mark.parametrize(
    "key",
    ["Action", "action", "%41ction", "%41%63%74%69%6f%6e", "A%63tion", "Action%00", "+Action", "x&Action", "&Action"],
)
def test_no_address_is_a_call_of_the_query_protocol(way: dict[str, str], path: str, key: str) -> None:
    assert refusal(PORT, "GET", f"{path}?{key}=CreateStack&{CALL}", OWN | way) is not None
    assert refusal(PORT, "GET", f"{path}?{CALL}&{key}=CreateStack&{SIGNED}", OWN | way) is not None


@each_way
@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/health",
        "/2015-03-31/functions/x",
        "/_ministack/ses/messages",
        "/_ministack/lambda-code/x",
        "/login?client_id=x&redirect_uri=http://evil.example",
        "/oauth2/authorize?redirect_uri=http://evil.example",
        "/logout?logout_uri=http://evil.example",
        "/restapis/abc/dev/_user_request_/",
        "/spaceport-dev-uploads-123456789012/a.zip",
        "/evil/spaceport-dev-web-123456789012/index.html",
        f"{RESULT}?x-id=GetObject&prefix=",
        f"{UPLOAD}?{SIGNED}",  # somebody's archive, displayed as a page of this server
        f"{UPLOAD}?response-content-type=image%2Fsvg%2Bxml",
        f"{UPLOAD}?response-content-type=application%2Fzip&response-content-type=text%2Fhtml",
    ],
)
def test_what_no_link_leads_to_is_not_reached_by_one(way: dict[str, str], target: str) -> None:
    assert refusal(PORT, "GET", target, OWN | way) is not None


@each_way
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
def test_a_form_or_another_method_is_no_link(way: dict[str, str], method: str) -> None:
    assert refusal(PORT, method, f"{API}/jobs", OWN | way) is not None


@pytest.mark.parametrize(
    "dest", ["image", "script", "iframe", "frame", "object", "embed", "style", "empty", "websocket", "worker", ""]
)
@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
def test_a_page_embeds_and_fetches_nothing(site: str, dest: str) -> None:
    assert refusal(PORT, "GET", WEB, OWN | {"sec-fetch-site": site, "sec-fetch-dest": dest}) is not None


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("POST", {"host": "evil.example:4566"}),  # DNS rebinding
        ("GET", {"host": "127.0.0.1.evil.example:4566"}),
        ("GET", {"host": "127.0.0.1:4567"}),
        ("GET", {}),
        ("POST", OWN | {"origin": "http://evil.example"}),
        ("POST", OWN | {"origin": "null"}),
        ("POST", OWN | {"origin": "http://localhost:41303"}),
        ("POST", OWN | {"origin": "http://127.0.0.1:4566.evil.example"}),
    ],
)
def test_other_hosts_and_pages_are_refused(method: str, headers: dict[str, str]) -> None:
    assert refusal(PORT, method, WEB, headers) is not None


def sent_through(path: str, headers: dict[str, str], query: bytes = b"") -> tuple[list[Any], list[Any]]:
    """The requests that reached the application behind the guard, and the answer."""
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
    scope = {"type": "http", "method": "GET", "path": path, "query_string": query, "headers": encoded}
    asyncio.run(guarded(app, PORT, is_page)(scope, receive, send))
    return reached, sent


def ask(path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bool]:
    """Status, headers, and whether the request reached the application behind the guard."""
    reached, sent = sent_through(path, headers)
    answered = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], answered, bool(reached)


def heard(path: str, headers: dict[str, str]) -> dict[str, str]:
    """The headers of the request as the application receives it."""
    ((scope,), _) = sent_through(path, headers)
    return {name.decode(): value.decode() for name, value in scope["headers"]}


def test_a_refused_request_reaches_nothing_and_no_answer_is_for_everybody() -> None:
    assert ask("/", {"Host": "evil.example:4566"})[::2] == (403, False)
    status, headers, reached = ask("/bucket/key", {"Host": "127.0.0.1:4566"})
    assert (status, reached) == (200, True)
    assert "access-control-allow-origin" not in headers
    assert "content-security-policy" not in headers


def test_an_encoded_call_by_a_link_reaches_nothing() -> None:
    followed = {"Host": "127.0.0.1:4566", "Sec-Fetch-Site": "none", "Sec-Fetch-Dest": "document"}
    assert sent_through("/", followed, b"%41ction=CreateStack&StackName=x")[0] == []
    assert len(sent_through(WEB, followed)[0]) == 1
    # hypercorn passes on the path decoded
    assert sent_through("/?Action=CreateStack", followed)[0] == []


def test_an_api_learns_by_what_address_it_is_called() -> None:
    path = "/_aws/execute-api/abc/$default"
    own = {"Host": "127.0.0.1:4566"}
    given = heard(f"{path}/shared/a-1.b", own)
    assert (given["x-forwarded-proto"], given["x-forwarded-prefix"]) == ("http", path)
    assert "x-forwarded-prefix" not in heard("/bucket/key", own)


def test_the_page_alone_has_the_pages_policy() -> None:
    own = {"Host": "127.0.0.1:4566"}
    assert ask("/spaceport-dev-web-123456789012/index.html", own)[1]["content-security-policy"] == PAGE_POLICY
    viewer = "/spaceport-dev-results-123456789012/jobs/a-1/viewer/index.html"  # its script is inline
    assert "content-security-policy" not in ask(viewer, own)[1]


@pytest.mark.parametrize(
    ("path", "own"),
    [
        (WEB, True),
        (f"/{WEB}", True),
        ("/spaceport-dev-web-123456789012", True),
        (RESULT, False),
        ("/spaceport-my-web-1-uploads-123456789012/a.html", False),
        ("/spaceport-dev-web-123456789012-more/a.html", False),
    ],
)
def test_the_page_is_what_lies_in_the_buckets_of_pages(path: str, own: bool) -> None:
    assert is_page(path) is own
