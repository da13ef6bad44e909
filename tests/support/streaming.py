"""S3 and the API around the page of a streamed scene, as strict as the real ones.

A bucket that answers 403 to requests that are not signed by the current key, and an API of another origin that signs
links and allows other origins only what template.yaml allows.
"""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
from PIL import Image

from compressor.deliver.limits import Limits
from compressor.deliver.photos import Photos, photos_of
from compressor.deliver.streamed import LOD_META, Layout, write_streamed
from compressor.deliver.viewer import BUNDLE, Journey, Page, write_streaming_page
from compressor.encode.arranged import Arranged
from compressor.encode.encoder import Coarseness, arrange
from compressor.sog.container import read_codes
from compressor.thumbnails import thumbnails_of
from domain.streaming import page_link, with_links
from splat.camera import View, look_at
from splat.stored import Marks
from tests.support.loopback import serving
from tests.support.splats import even_sensitivity, village, village_surroundings

UP = np.array([0.0, 0.0, 1.0])
EYE = 0.4 * UP + 4.6 * np.array([0.42, -0.9, 0.0]) + 2.2 * UP
LIMITS = Limits(nearest=0.1, farthest=50, lowest=None, clearance=0, margin=50)
DRAWN = "(window.spaceport?.viewer.app.stats.frame.gsplats ?? 0)"

# a phone as browser engines emulate it, and its network
PHONE: dict[str, Any] = {
    "user_agent": "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/130.0 Mobile Safari/537.36",
    "is_mobile": True,
    "has_touch": True,
}
MEGABITS, ROUND_TRIP_MS = 10, 40


def throttle(context: Any, page: Any) -> None:
    """Limits `page` to a phone's network, by the DevTools protocol."""
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    rate = MEGABITS * 1e6 / 8
    session.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": ROUND_TRIP_MS, "downloadThroughput": rate, "uploadThroughput": rate},
    )


@dataclass
class Bucket:
    """Which signature is valid, and what was requested: path, and whether it was allowed. Requests for the finest
    level are answered only once `finest` is set."""

    folder: Path
    good: str = "first"
    asked: list[tuple[str, bool]] = field(default_factory=list)
    url: str = ""
    finest: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.finest.set()

    def refused(self) -> list[str]:
        return [path for path, signed in self.asked if path.startswith("/lod/") and not signed]

    @contextmanager
    def open(self) -> Iterator[Bucket]:
        bucket = self

        class Handler(SimpleHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                """Logs nothing."""

            def end_headers(self) -> None:
                if self.path.split("?")[0].endswith(".html.gz"):  # the link's response-content-encoding asks for it
                    self.send_header("Content-Encoding", "gzip")
                super().end_headers()

            def guess_type(self, path: Any) -> str:
                return "text/html" if str(path).endswith(".html.gz") else super().guess_type(path)

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                if parts.path == "/favicon.ico":
                    self.send_error(404)
                    return
                if parts.path.startswith("/lod/0_"):
                    bucket.finest.wait(120)
                signed = parse_qs(parts.query).get("signature") == [bucket.good]
                bucket.asked.append((parts.path, signed))
                if signed:
                    super().do_GET()
                else:
                    self.send_error(403)

            do_HEAD = do_GET  # noqa: N815 - as above

        with serving(functools.partial(Handler, directory=self.folder)) as url:
            self.url = url
            yield self


@dataclass
class Api:
    """Signs the parts in `bucket` by its current key, for `seconds`; None: the link has expired."""

    bucket: Bucket
    seconds: float | None = 3600.0
    asked: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def open(self) -> Iterator[str]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                """Logs nothing."""

            def do_GET(self) -> None:
                with api.lock:
                    api.asked += 1
                status, body = (404, b"{}") if api.seconds is None else (200, api.manifest(api.seconds))
                self.send_response(status)
                if self.headers.get("Origin") == api.bucket.url:
                    self.send_header("Access-Control-Allow-Origin", api.bucket.url)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        with serving(Handler) as url:
            yield f"{url}/shared/token/lod-meta.json"

    def manifest(self, seconds: float) -> bytes:
        stored = json.loads((self.bucket.folder / "lod" / LOD_META).read_text())
        until = datetime.now(UTC) + timedelta(seconds=seconds)
        bucket = self.bucket
        return json.dumps(
            with_links(stored, lambda name: f"{bucket.url}/lod/{name}?signature={bucket.good}", until)
        ).encode()


def link_to(bucket: Bucket, source: str, more: str = "") -> str:
    """The signed link to the page, including the location of its manifest."""
    page = f"{bucket.url}/viewer/stream.html.gz?signature={bucket.good}&noanim&webgl"
    return page_link(page, source) + more


def write_scene(folder: Path, finer: int = 2, palette: int = 64, layout: Layout | None = None) -> Path:
    """Writes the compressor's output for a village of `finer`² times 6,300 Gaussians, as far as the page needs it."""
    photos = _photos(folder / "photos")
    gaussians = arrange(village(UP, finer))
    arranged = Arranged(gaussians, even_sensitivity(len(gaussians)))
    write_streamed(
        folder / "lod",
        arranged,
        Coarseness(palette_size=palette),
        layout or Layout(leaf=2048, leaves_per_file=2, levels=3, group=4),
        lambda _: None,
        marks=Marks(),
        environment=np.arange(len(gaussians)) % 100 == 0,
        thumbnails=photos.thumbnails.jpegs,
    )
    journey = Journey([EYE, -EYE], 0.4 * UP, 50.0, seconds=10)
    page = Page("Village", journey, village_surroundings(UP), LIMITS, downloads={"scene.sog": 5}, photos=photos)
    (folder / "viewer").mkdir()
    write_streaming_page(folder / "viewer" / "stream.html.gz", BUNDLE, page)
    (folder / "scene.sog").write_bytes(b"12345")
    return folder


def _photos(folder: Path) -> Photos:
    """Two grey ones, from the page's first view and from the opposite side."""
    folder.mkdir()
    cameras = [look_at(eye, 0.4 * UP, UP, width=400, height=300) for eye in (EYE, EYE * (-1, -1, 1))]
    views = [View(f"{number}.jpg", "train", camera) for number, camera in enumerate(cameras, start=1)]
    for view in views:
        Image.new("RGB", (400, 300), (90, 90, 90)).save(folder / view.name)
    return replace(photos_of(views, None, None), thumbnails=thumbnails_of(folder, [view.name for view in views]))


def expected(folder: Path) -> int:
    """Gaussians of the finest level and of the environment."""
    meta = json.loads((folder / "lod" / LOD_META).read_text())
    apart = read_codes((folder / "lod" / meta["environment"]).read_bytes())
    return int(meta["counts"][0]) + len(apart)


def loaded(page: Any) -> None:
    """Wait for the first picture."""
    page.wait_for_function("document.documentElement.dataset.loaded !== undefined", timeout=120_000)
    assert page.evaluate("document.documentElement.dataset.loaded") == "true", page.inner_text("#message")
