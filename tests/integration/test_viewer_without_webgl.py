"""The delivered page where nothing can draw it: a browser of its own, since Playwright runs one at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.integration.test_viewer import HEIGHT, WIDTH, delivered
from tests.support.browser import chromium


def test_without_webgl_the_page_says_so_and_keeps_the_picture(tmp_path: Path) -> None:
    """Office machines with acceleration switched off: `navigator.gpu` is there and has no adapter."""
    page_file = tmp_path / "index.html"
    delivered(page_file, np.array([0.0, 0.0, 1.0]))
    without = ["--disable-webgl", "--disable-webgl2", "--disable-gpu", "--disable-3d-apis"]
    with chromium(tmp_path / "profile", WIDTH, HEIGHT, flags=without) as context:
        page = context.new_page()
        page.goto(page_file.as_uri())
        page.wait_for_function("document.documentElement.dataset.loaded === 'failed'", timeout=60_000)
        assert "Switch hardware acceleration on" in page.inner_text("#message")
        assert page.is_visible("#poster")
