"""The page of a large scene, in a headless browser: it loads the scene in parts by signed links, and renews these.

A bucket that answers 403 to whatever is not signed by the present key, and an API of another origin that signs: as S3
and API Gateway do it, with no more leave for other origins than template.yaml gives.
"""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import numpy as np
import pytest

from compressor.deliver.limits import Limits
from compressor.deliver.streamed import LOD_META, Layout, write_streamed
from compressor.deliver.viewer import BUNDLE, Journey, Page, write_streaming_page
from compressor.encode.arranged import Arranged
from compressor.encode.encoder import Coarseness, arrange
from domain.streaming import page_link, with_links
from splat.stored import Marks
from tests.support.browser import chromium, needs_chromium
from tests.support.loopback import serving
from tests.support.splats import even_sensitivity, village, village_surroundings

WIDTH, HEIGHT = 640, 400
UP = np.array([0.0, 0.0, 1.0])
EYE = 0.4 * UP + 4.6 * np.array([0.42, -0.9, 0.0]) + 2.2 * UP
LIMITS = Limits(nearest=0.1, farthest=50, lowest=None, clearance=0, margin=50)
DRAWN = "(window.spaceport?.viewer.app.stats.frame.gsplats ?? 0)"

pytestmark = needs_chromium


@dataclass
class Bucket:
    """Which signature is good, and what was asked for: path, whether it was let in. Parts of the finest level are not
    answered before `finest` is set."""

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
                """Nothing."""

            def end_headers(self) -> None:
                if self.path.split("?")[0].endswith(".html.gz"):  # what the link's response-content-encoding asks for
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
    """Signs the parts in `bucket` by its present key, for `seconds`; None: the link has ended."""

    bucket: Bucket
    seconds: float | None = 3600.0
    asked: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def open(self) -> Iterator[str]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                """Nothing."""

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


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the compressor leaves of a large scene, as far as the page needs it."""
    folder = tmp_path_factory.mktemp("scene")
    gaussians = arrange(village(UP, finer=2))
    layout = Layout(leaf=2048, leaves_per_file=2, levels=3, group=4)
    arranged = Arranged(gaussians, even_sensitivity(len(gaussians)))
    far = np.arange(len(gaussians)) % 100 == 0
    write_streamed(
        folder / "lod", arranged, Coarseness(palette_size=64), layout, lambda _: None, marks=Marks(), environment=far
    )
    journey = Journey([EYE, -EYE], 0.4 * UP, 50.0, seconds=10)
    page = Page("Village", journey, village_surroundings(UP), LIMITS, downloads={"scene.sog": 5})
    (folder / "viewer").mkdir()
    write_streaming_page(folder / "viewer" / "stream.html.gz", BUNDLE, page)
    (folder / "scene.sog").write_bytes(b"12345")
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("chromium"), WIDTH, HEIGHT) as context:
        yield context


@pytest.fixture
def bucket(scene: Path) -> Iterator[Bucket]:
    with Bucket(scene).open() as bucket:
        yield bucket


def expected(scene: Path) -> int:
    """Gaussians of the finest level and of the environment."""
    meta = json.loads((scene / "lod" / LOD_META).read_text())
    whole = len(village(UP, finer=2))
    assert meta["counts"][0] < whole
    assert "environment" in meta
    return whole


def link_to(bucket: Bucket, source: str, more: str = "") -> str:
    page = f"{bucket.url}/viewer/stream.html.gz?signature={bucket.good}&noanim&webgl"
    return page_link(page, source) + more


def loaded(page: Any) -> None:
    page.wait_for_function("document.documentElement.dataset.loaded !== undefined", timeout=120_000)
    assert page.evaluate("document.documentElement.dataset.loaded") == "true", page.inner_text("#message")


def test_the_page_draws_every_gaussian_by_signed_links(scene: Path, bucket: Bucket, browser: Any) -> None:
    api = Api(bucket)
    own = f"{bucket.url}/scene.sog?signature=first"
    with api.open() as source:
        page = browser.new_page()
        page.goto(link_to(bucket, source, f"&sog={quote(own, safe='')}"))
        loaded(page)
        page.wait_for_function(f"{DRAWN} === {expected(scene)}", timeout=60_000)
        links = page.eval_on_selector_all("#downloads a", "(all) => all.map((link) => link.href)")
        page.close()
    assert bucket.refused() == []
    assert links == [own]
    assert api.asked == 1


def test_links_that_the_bucket_refuses_are_renewed(scene: Path, bucket: Bucket, browser: Any) -> None:
    api = Api(bucket)
    bucket.finest.clear()
    with api.open() as source:
        page = browser.new_page()
        page.goto(link_to(bucket, source))
        loaded(page)  # the coarsest level
        bucket.good = "second"
        bucket.finest.set()
        page.wait_for_function(f"{DRAWN} === {expected(scene)}", timeout=60_000)
        page.close()
    assert len(bucket.refused()) > 0
    assert api.asked > 1


def test_links_about_to_end_are_renewed_before_they_are_used(scene: Path, bucket: Bucket, browser: Any) -> None:
    api = Api(bucket, seconds=1.0)
    with api.open() as source:
        page = browser.new_page()
        page.goto(link_to(bucket, source))
        page.wait_for_function(f"{DRAWN} === {expected(scene)}", timeout=120_000)
        page.close()
    assert bucket.refused() == []
    assert api.asked > 1


def test_a_link_that_has_ended_says_so(bucket: Bucket, browser: Any) -> None:
    with Api(bucket, None).open() as source:
        page = browser.new_page()
        page.goto(link_to(bucket, source))
        page.wait_for_function("document.documentElement.dataset.loaded === 'failed'", timeout=60_000)
        assert "has expired: open it anew where you found it" in page.inner_text("#message")
        page.close()


def test_a_page_without_a_source_says_where_the_scene_is(bucket: Bucket, browser: Any) -> None:
    page = browser.new_page()
    page.goto(f"{bucket.url}/viewer/stream.html.gz?signature=first")
    page.wait_for_function("document.documentElement.dataset.loaded === 'failed'", timeout=60_000)
    assert "open it from the scene’s own page" in page.inner_text("#message")
    page.close()


def test_no_source_makes_the_page_load_files_of_others(bucket: Bucket, browser: Any, scene: Path) -> None:
    """Whoever passes a link on may name any source behind its `#`."""

    class Hostile(Api):
        def manifest(self, seconds: float) -> bytes:
            found = json.loads(super().manifest(seconds))
            found["filenames"][0] = "https://evil.example/lod/0_0.sog"
            return json.dumps(found).encode()

    with Hostile(bucket).open() as source:
        page = browser.new_page()
        hosts: set[str] = set()
        page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
        page.goto(link_to(bucket, source))
        page.wait_for_function("document.documentElement.dataset.loaded === 'failed'", timeout=60_000)
        assert "names other files than its own" in page.inner_text("#message")
        page.close()
    assert "evil.example" not in hosts
    assert [path for path, _ in bucket.asked if "/lod/" in path] == []


def test_another_site_can_embed_the_page(bucket: Bucket, browser: Any, tmp_path: Path, scene: Path) -> None:
    from tests.support.browser import served

    with Api(bucket).open() as source, served(tmp_path) as site:
        frame = f'<iframe src="{link_to(bucket, source)}" width="600" height="380"></iframe>'
        (tmp_path / "index.html").write_text(f"<!doctype html><title>Blog</title>{frame}")
        page = browser.new_page()
        page.goto(f"{site}/index.html")
        inside = page.frames[1]
        inside.wait_for_function(f"{DRAWN} === {expected(scene)}", timeout=120_000)
        page.close()
    assert bucket.refused() == []
