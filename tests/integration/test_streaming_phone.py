"""A large scene on a phone: a separate browser, because Playwright runs one at a time."""

from __future__ import annotations

import json
from pathlib import Path

from compressor.deliver.streamed import LOD_META
from tests.support.browser import PHONE as SCREEN
from tests.support.browser import chromium, needs_chromium
from tests.support.streaming import DRAWN, PHONE, Api, Bucket, expected, link_to, loaded, throttle, write_scene

pytestmark = needs_chromium


def test_a_phone_sees_the_coarsest_level_first_and_all_within_its_budget(tmp_path: Path) -> None:
    """Over a phone's network; how long it takes is measured by `make bench-streaming`."""
    scene = write_scene(tmp_path)
    meta = json.loads((scene / "lod" / LOD_META).read_text())
    width, height = SCREEN["width"], SCREEN["height"]
    with (
        Bucket(scene).open() as bucket,
        Api(bucket).open() as source,
        chromium(tmp_path / "phone", width, height, **PHONE) as phone,
    ):
        bucket.finest.clear()
        page = phone.new_page()
        throttle(phone, page)
        page.goto(link_to(bucket, source))
        loaded(page)
        assert page.evaluate("spaceport.viewer.app.scene.gsplat.splatBudget") == 1_000_000
        parts = [path for path, _ in bucket.asked if "/lod/" in path]
        coarsest = meta["lodLevels"] - 1
        assert {Path(part).name[:2] for part in parts if "environment" not in part} - {"0_"} == {f"{coarsest}_"}
        bucket.finest.set()
        page.wait_for_function(f"{DRAWN} === {expected(scene)}", timeout=60_000)
        page.evaluate("spaceport.viewer.app.scene.gsplat.splatBudget = 9000")
        page.wait_for_function(f"{DRAWN} > 0 && {DRAWN} <= 9000", timeout=60_000)
    assert bucket.refused() == []
