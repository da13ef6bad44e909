"""Doors of the API: bodies, and ids and upload tickets in paths, through the handler as API Gateway calls it."""

from __future__ import annotations

import base64
import json
import random
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from api.uploads import Ticket
from tests.fuzz.door import Door
from tests.fuzz.mutate import NAMES, changed, damaged
from tests.support.cloud import UPLOADS, invoke
from tests.support.http_api import answer_of, event_of

BODIES: tuple[tuple[str, str, Any], ...] = (
    ("POST", "/uploads", {"fileName": "a.zip", "bytes": 10_000_000, "options": {"name": "Meadow", "quality": "high"}}),
    ("POST", "/start-job", {"s3Url": f"s3://{UPLOADS}/users/pilot-1/x/a.zip", "options": {"maxGaussians": 5000}}),
    ("POST", "/jobs/meadow-0123456789ab/rerun", {"from": "3dgs", "options": {"quality": "preview", "name": "x"}}),
    ("PUT", "/webhook", {"url": "https://example.com/hook"}),
)
IDS = (
    ("GET", "/jobs/{}"), ("POST", "/jobs/{}/stop"), ("POST", "/jobs/{}/rerun"), ("GET", "/uploads/{}"),
    ("POST", "/uploads/{}/complete"), ("DELETE", "/uploads/{}"),
)  # fmt: skip


def make_body(rng: random.Random, folder: Path) -> None:
    method, path, body = rng.choice(BODIES)
    content = json.dumps(changed(rng, body)).encode()
    if rng.random() < 0.3:
        content = damaged(rng, content)
    _write(folder, method, path, content)


def make_id(rng: random.Random, folder: Path) -> None:
    method, path = rng.choice(IDS)
    honest = rng.choice(("meadow-0123456789ab", ticket(rng), base64.urlsafe_b64encode(b"{}").decode()))
    wrong = rng.choice(NAMES) if rng.random() < 0.5 else damaged(rng, honest.encode()).decode("latin-1")
    _write(folder, method, path.replace("{}", unquote(wrong, errors="replace")), b'{"from": "sfm"}')


def ticket(rng: random.Random) -> str:
    """A ticket as a client gets it, some of whose values are changed."""
    known = Ticket.__dataclass_fields__ if hasattr(Ticket, "__dataclass_fields__") else Ticket.model_fields
    document = {name: rng.choice(("a", 5, "users/pilot-1/x/a.zip")) for name in known}
    return base64.urlsafe_b64encode(json.dumps(changed(rng, document)).encode()).decode().rstrip("=")


def _write(folder: Path, method: str, path: str, body: bytes) -> None:
    (folder / "request").write_bytes(json.dumps([method, path, base64.b64encode(body).decode()]).encode())


def send(folder: Path) -> str:
    """The problem's code, "" for a success. Raises AssertionError for an answer that is neither."""
    method, path, body = json.loads((folder / "request").read_bytes())
    answer = answer_of(invoke("api", event_of(method, path, base64.b64decode(body))))
    if answer.status < HTTPStatus.BAD_REQUEST:
        return ""
    assert answer.status < HTTPStatus.INTERNAL_SERVER_ERROR, f"{answer.status} {answer.body[:300]}"
    problem = answer.json
    assert problem["title"], answer.body[:300]
    assert len(answer.body) < 10_000, f"{len(answer.body)} characters about a wrong request"
    return str(problem["code"])


DOORS = (Door("body", make_body, send), Door("id", make_id, send))
