"""The delivered page if nothing can draw it: a separate browser, because Playwright runs one at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tests.integration.test_viewer import HEIGHT, WIDTH, delivered
from tests.support.browser import axe, chromium, look, needs_chromium

pytestmark = needs_chromium


def test_without_webgl_the_page_says_so_keeps_the_picture_and_offers_the_orbit_that_lies_beside_it(
    tmp_path: Path,
) -> None:
    """As on office machines with acceleration switched off: `navigator.gpu` exists and has no adapter."""
    page_file = tmp_path / "viewer" / "index.html"
    page_file.parent.mkdir()
    delivered(page_file, np.array([0.0, 0.0, 1.0]))
    Image.new("RGB", (4, 4)).save(tmp_path / "orbit.webp")
    without = ["--disable-webgl", "--disable-webgl2", "--disable-gpu", "--disable-3d-apis"]
    with chromium(tmp_path / "profile", WIDTH, HEIGHT, flags=without) as context:
        page = context.new_page()
        page.add_init_script("delete URL.canParse")  # as in browsers before 2023
        page.goto(page_file.as_uri())
        page.wait_for_function("document.documentElement.dataset.loaded === 'failed'", timeout=60_000)
        assert "Switch hardware acceleration on" in page.inner_text("#message")
        assert page.is_visible("#poster")
        assert page.locator("#orbit").get_attribute("href") == (tmp_path / "orbit.webp").as_uri()
        look(page, "viewer-without-webgl", tmp_path)
        assert axe(page) == []
        alone = tmp_path / "mailed" / "scene.html"
        alone.parent.mkdir()
        page_file.rename(alone)
        page.goto(f"{alone.as_uri()}#orbit=https%3A%2F%2Fevil.example%2Forbit.webp")
        page.wait_for_function("document.documentElement.dataset.loaded === 'failed'", timeout=60_000)
        page.wait_for_selector("#orbit")
        assert page.locator("#orbit").get_attribute("href") == (tmp_path / "orbit.webp").as_uri()
        (tmp_path / "orbit.webp").unlink()
        page.reload()
        page.wait_for_function("document.documentElement.dataset.loaded === 'failed'", timeout=60_000)
        page.wait_for_load_state("networkidle")
        assert page.locator("#orbit").count() == 0
