"""Debian's Chromium, headless, for testing pages."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.support.loopback import serving

AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist",
]  # fmt: skip
BARE = [
    "--headless=new", "--no-sandbox", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-quic", "--no-first-run",
]  # fmt: skip
PHONE = {"width": 390, "height": 844}
# where screenshots go for people to look at; a test's own folder otherwise
PICTURES = os.environ.get("PAGE_PICTURES")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium (apt-get install chromium)")


@contextmanager
def chromium(folder: Path, width: int, height: int, flags: Sequence[str] = FLAGS, **more: Any) -> Iterator[Any]:
    """A Playwright browser context with a profile of its own in `folder`."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as api:
        context = api.chromium.launch_persistent_context(
            folder, executable_path=CHROMIUM, args=[*flags, *BARE], viewport={"width": width, "height": height}, **more
        )
        yield context
        context.close()


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The folder over HTTP on loopback."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Logs nothing."""

    with serving(functools.partial(Quiet, directory=folder)) as url:
        yield url


def until(page: Any, expression: str, timeout: int = 30_000) -> None:
    """Wait until `expression` is true in the page. Playwright's own wait_for_function needs eval(), which the page's
    Content-Security-Policy forbids. Raises TimeoutError after `timeout` milliseconds."""
    for _ in range(timeout // 50):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise TimeoutError(f"not within {timeout} ms: {expression}")


def met(
    page: Any, condition: Callable[[], bool], timeout: int = 30_000, pause: int = 50, what: str = "it did not happen"
) -> None:
    """Wait until `condition` holds, while the page keeps running. Raises TimeoutError after `timeout` milliseconds."""
    for _ in range(timeout // pause):
        if condition():
            return
        page.wait_for_timeout(pause)
    raise TimeoutError(f"{what} within {timeout} ms")


def fits(page: Any) -> None:
    """Wait until the page is no wider than its window: pictures and fonts load a moment later."""
    until(page, "document.documentElement.scrollWidth <= innerWidth")


def axe(page: Any) -> list[str]:
    """The violations that axe-core finds: WCAG 2.2 A and AA, and its own best practices."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    found = page.evaluate("rules => axe.run(document, { runOnly: rules })", rules)
    return [
        f"{rule['id']}: {node['html'][:160]} {node['failureSummary'][:200]}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


def look(page: Any, name: str, folder: Path) -> Path:
    """Save a screenshot of the whole page."""
    picture = Path(PICTURES or folder) / f"{name}.png"
    page.screenshot(path=picture, full_page=True)
    return picture
