"""`make bench-streaming`: measure when a phone shows the first picture of a large scene, and what it has loaded by
then.

A scene of 1.6 million Gaussians behind signed links is opened in headless Chromium with a phone's budget of Gaussians
and, through the DevTools protocol, a phone's network. The browser uses its software renderer and this machine's
processor.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from compressor.deliver.streamed import ENVIRONMENT, LOD_META, Layout
from tests.support.browser import PHONE as SCREEN
from tests.support.browser import chromium
from tests.support.streaming import DRAWN, MEGABITS, PHONE, Api, Bucket, expected, link_to, throttle, write_scene

FINER = 16  # 256 times the village's 6,300 Gaussians
LOADS = 3


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="spaceport-bench-") as out:
        folder = write_scene(Path(out), FINER, 0, Layout.of(6300 * FINER**2))
        count = expected(folder)
        meta = json.loads((folder / "lod" / LOD_META).read_text())
        first_parts = [*folder.glob(f"lod/{meta['lodLevels'] - 1}_*.sog"), folder / "lod" / ENVIRONMENT]
        coarsest = sum(path.stat().st_size for path in first_parts)
        page_bytes = (folder / "viewer" / "stream.html.gz").stat().st_size
        seconds, drawn = [], []
        with Bucket(folder).open() as bucket, Api(bucket).open() as source:
            for number in range(LOADS):  # a profile each: nothing is cached
                with chromium(Path(out) / f"profile{number}", SCREEN["width"], SCREEN["height"], **PHONE) as phone:
                    page = phone.new_page()
                    throttle(phone, page)
                    began = time.perf_counter()
                    page.goto(link_to(bucket, source), wait_until="commit")
                    page.wait_for_function("document.documentElement.dataset.loaded === 'true'", timeout=120_000)
                    seconds.append(time.perf_counter() - began)
                    detailed = f"{DRAWN} > {meta['counts'][1]} || performance.now() > 90_000"
                    page.wait_for_function(detailed, timeout=120_000)
                    drawn.append(page.evaluate(DRAWN))
            refused = len(bucket.refused())
    first = page_bytes + coarsest + (len(json.dumps(meta)))
    figures = {
        "gaussians": count,
        "levels": meta["counts"],
        "page_kb": round(page_bytes / 1e3),
        "coarsest_level_kb": round(coarsest / 1e3),
        "first_picture_network_s": round(first * 8 / (MEGABITS * 1e6), 2),
        "first_picture_s": round(statistics.median(seconds), 2),
        "first_picture_fastest_s": round(min(seconds), 2),
        "then_drawn": max(drawn),
        "refused": refused,
    }
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
