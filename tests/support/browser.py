"""Debian's Chromium, headless, for pages that people see."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--headless=new", "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-quic", "--no-first-run",
]  # fmt: skip
PHONE = {"width": 390, "height": 844}
# where screenshots go for people to look at; a test's own folder otherwise
PICTURES = os.environ.get("PAGE_PICTURES")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium (apt-get install chromium)")


@contextmanager
def chromium(folder: Path, width: int, height: int, **more: Any) -> Iterator[Any]:
    """A Playwright browser context with a profile of its own in `folder`."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as api:
        context = api.chromium.launch_persistent_context(
            folder, executable_path=CHROMIUM, args=FLAGS, viewport={"width": width, "height": height}, **more
        )
        yield context
        context.close()


def look(page: Any, name: str, folder: Path) -> None:
    """A picture of the whole page."""
    page.screenshot(path=Path(PICTURES or folder) / f"{name}.png", full_page=True)
