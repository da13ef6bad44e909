"""Doors of the API: bodies, and ids and upload tickets in paths, through the handler as API Gateway calls it."""

from __future__ import annotations

import base64
import json
import random
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.fuzz.door import Door
from tests.fuzz.mutate import NAMES, changed, damaged
from tests.support.cloud import UPLOADS, invoke
from tests.support.http_api import PILOT, answer_of, event_of

BODIES: tuple[tuple[str, str, Any], ...] = (
    ("POST", "/uploads", {"fileName": "a.zip", "bytes": 10_000_000, "options": {"name": "Meadow", "quality": "high"}}),
    ("POST", "/start-job", {"s3Url": f"s3://{UPLOADS}/users/pilot-1/x/a.zip", "options": {"maxGaussians": 5000}}),
    ("POST", "/jobs/meadow-0123456789ab/rerun", {"from": "3dgs", "options": {"quality": "preview", "name": "x"}}),
    ("PUT", "/webhook", {"url": "https://example.com/hook"}),
)
MAX_PROBLEM = 2_000  # characters of a refusal, apart from the path that it repeats
IDS = (
    ("GET", "/jobs/{}"), ("POST", "/jobs/{}/stop"), ("POST", "/jobs/{}/rerun"), ("GET", "/uploads/{}"),
    ("POST", "/uploads/{}/complete"), ("DELETE", "/uploads/{}"),
)  # fmt: skip


def make_body(rng: random.Random, folder: Path) -> None:
    method, path, body = rng.choice(BODIES)
    content = json.dumps(body if rng.random() < 0.15 else changed(rng, body)).encode()
    if rng.random() < 0.3:
        content = damaged(rng, content)
    elif rng.random() < 0.1:
        content = rng.choice((b"[" * 100_000, b'{"bytes": ' + b"9" * 5000 + b"}", b'"\\ud800"', b"\xff", b"NaN"))
    _write(rng, folder, method, path, content)


def make_id(rng: random.Random, folder: Path) -> None:
    method, path = rng.choice(IDS)
    honest = rng.choice(("meadow-0123456789ab", ticket(rng), base64.urlsafe_b64encode(b"{}").decode()))
    wrong = rng.choice((rng.choice(NAMES), damaged(rng, honest.encode()).decode("latin-1"), honest, "9" * 9000))
    # as API Gateway passes on a path: percent signs decoded, bytes that are not UTF-8 replaced
    plain = unquote(wrong, errors="replace").encode("utf-8", "replace").decode()
    _write(rng, folder, method, path.replace("{}", plain), b'{"from": "sfm"}')


def ticket(rng: random.Random) -> str:
    """An upload's id as a client receives it, or one with a part changed."""
    honest = ["users/pilot-1/0123456789abcdef/a.zip", "upload-1", *rng.choice(([], [10_000_000, 8 << 20]))]
    if rng.random() < 0.3:
        return _encoded(honest)
    if rng.random() < 0.1:
        return base64.urlsafe_b64encode(b"[" * 1500).decode()
    return _encoded(changed(rng, honest))


def _encoded(document: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


def _write(rng: random.Random, folder: Path, method: str, path: str, body: bytes) -> None:
    """Sends as one of many callers, because each may call only so often a minute."""
    caller = rng.choice(("pilot-1", f"pilot-{rng.randrange(1000)}"))
    (folder / "request").write_bytes(json.dumps([method, path, caller, base64.b64encode(body).decode()]).encode())


def send(folder: Path) -> str:
    """The problem's code, "" for a success. Raises AssertionError for an answer that is neither."""
    method, path, caller, body = json.loads((folder / "request").read_bytes())
    event = event_of(method, path, base64.b64decode(body), claims=PILOT | {"sub": caller})
    answer = answer_of(invoke("api", event))
    if answer.status < HTTPStatus.BAD_REQUEST:
        return ""
    assert answer.status < HTTPStatus.INTERNAL_SERVER_ERROR, f"{answer.status} {method} {path[:99]} {body[:600]}"
    problem = answer.json
    assert problem["title"], answer.body[:300]
    assert len(answer.body) < MAX_PROBLEM + len(path), f"{len(answer.body)} characters about a wrong request"
    return str(problem.get("code", answer.status))  # no code for a path without a route


DOORS = (Door("body", make_body, send), Door("id", make_id, send))
