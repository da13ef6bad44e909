"""Restrict the local cloud's two servers to programs on this machine and to the cloud's own page.

A browser lets any page that it shows send requests to loopback: with a name of the page's own that resolves to
127.0.0.1 (DNS rebinding: the Host is foreign), across origins without asking first (a simple POST: the Origin is
foreign), or by navigation (a GET, and AWS's query protocol acts on GETs). Each could create a function here and have it
run. So a browser request that does not come from a page of this server gets only what our links lead to. Programs send
neither Origin nor Sec-Fetch-Site, nor a browser's name.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping
from mimetypes import guess_type
from typing import Any
from urllib.parse import parse_qs, quote, unquote

from local.ports import HOST

NAMES = (HOST, "localhost")
# for the customer's page: as the template's WebHeaders, with this machine as the only host
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "frame-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_PAGE_HEADERS = {
    "content-security-policy": PAGE_POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}

_API = re.compile(r"/_aws/execute-api/[^/]+/[^/]+(?=/)")  # local/web.py's api_url: on AWS it is a host of its own

_BUCKET = re.compile(r"/spaceport-[a-z0-9-]+-(web|results)-\d{12}(?=/|$)")  # as template.yaml names them
# what links lead to: the API by path, the page's bucket, and what lies in the results
_LINKED = re.compile(rf"(?:{_API.pattern}|{_BUCKET.pattern})/")
# the query of a signed link (domain/links.py); S3 reads no other of these names
_SIGNED = re.compile(
    r"X-Amz-(Algorithm|Credential|Date|Expires|Security-Token|Signature|SignedHeaders)"
    r"|response-content-(type|encoding|disposition)"
)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Coroutine[Any, Any, None]]


def refusal(port: int, method: str, target: str, headers: Mapping[str, str]) -> str | None:
    """Why a request is refused, None if it is answered. `target`: path and query; `headers` by lower-case names."""
    hosts = {f"{name}:{port}" for name in NAMES}
    host = headers.get("host", "")
    if host.lower() not in hosts:
        return f"this server is {HOST}:{port}, not {host[:80]!r}"
    origin = headers.get("origin")
    if origin is not None and origin.lower() not in {f"http://{host}" for host in hosts}:
        return f"pages of {origin[:80]!r} may not call this server"
    site = headers.get("sec-fetch-site")
    # browsers before 2023 do not state where a request comes from
    browser = site is not None or headers.get("user-agent", "").startswith("Mozilla/")
    if not browser or site == "same-origin":
        return None
    # somebody follows a link in a mail or elsewhere, or types an address
    document = site is None or headers.get("sec-fetch-dest") == "document"
    if method != "GET" or not document or not _is_link(target):
        return "other pages may not call this server"
    return None


def _is_link(target: str) -> bool:
    """Whether a browser that comes from elsewhere may open this address.

    Keys of the query are decoded in the same way as by the server. A link may override an object's content type only
    with the one that its name implies: otherwise a customer's archive could be shown as a page of this server.
    """
    path, _, query = target.partition("?")
    path = unquote(path)
    wanted = parse_qs(query, keep_blank_values=True)
    if _LINKED.match(path) is None or not all(_SIGNED.fullmatch(key) for key in wanted):
        return False
    shown_as = wanted.get("response-content-type", [])
    return all(kind == guess_type(path)[0] for kind in shown_as)


def guarded(app: App, port: int, page: Callable[[str], bool]) -> App:
    """`app` (ASGI) behind `refusal`, without permission for other origins to read its responses.

    `page` recognises the customer's page by a request's path; it is sent with the headers that CloudFront adds on AWS.
    """

    async def call(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        target = f"{quote(scope['path'])}?{scope['query_string'].decode('latin-1')}"
        reason = refusal(port, scope.get("method", "GET"), target, headers)
        if reason is not None:
            await _refuse(scope, send, reason)
            return
        added = _PAGE_HEADERS if page(scope["path"]) else {}
        if found := _API.match(scope["path"]):  # the API needs it to link to itself
            own = [(b"x-forwarded-proto", b"http"), (b"x-forwarded-prefix", found[0].encode())]
            scope = {**scope, "headers": [*scope["headers"], *own]}

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [(name, value) for name, value in message.get("headers", []) if not _for_anybody(name, value)]
                message["headers"] = [*kept, *((name.encode(), value.encode()) for name, value in added.items())]
            await send(message)

        await app(scope, receive, answer)

    return call


def is_page(path: str) -> bool:
    """Whether a path is in a stack's web bucket (template.yaml's WebBucket), by path as local/web.py publishes it."""
    found = _BUCKET.match(f"/{path.lstrip('/')}")
    return found is not None and found[1] == "web"


def _for_anybody(name: bytes, value: bytes) -> bool:
    return name.lower() == b"access-control-allow-origin" and value.strip() == b"*"


async def _refuse(scope: Message, send: Send, reason: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": reason.encode()})
