"""A receiver of webhooks on loopback, which verifies as any receiver would and sends the answers that the test sets."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from tests.support.loopback import serving


@dataclass(frozen=True)
class Call:
    path: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    def verified(self, secret: str) -> bool:
        """Verifies a call by https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md."""
        signed = ".".join((self.headers["webhook-id"], self.headers["webhook-timestamp"], self.body.decode()))
        key = base64.b64decode(secret.removeprefix("whsec_"))
        expected = base64.b64encode(hmac.new(key, signed.encode(), hashlib.sha256).digest()).decode()
        given = self.headers["webhook-signature"].split(" ")
        return any(hmac.compare_digest(one, f"v1,{expected}") for one in given)


@dataclass
class Receiver:
    """`answers`: the statuses to answer first; then 204, or `always`."""

    url: str
    answers: list[int] = field(default_factory=list)
    always: int = 204
    calls: list[Call] = field(default_factory=list)

    def taken(self, call: Call) -> int:
        self.calls.append(call)
        return self.answers.pop(0) if self.answers else self.always


@contextmanager
def receiver(*answers: int, always: int = 204) -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): text for name, text in self.headers.items()}
            self.send_response(hook.taken(Call(self.path, headers, body)))
            self.send_header("Location", f"{hook.url}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Logs nothing."""

    with serving(Handler) as url:
        hook = Receiver(url, list(answers), always)
        yield hook
