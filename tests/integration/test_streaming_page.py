"""The page of a large scene, in a headless browser: it loads the scene in parts by signed links and renews these."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np
import pytest

from compressor.sog.container import read_codes
from compressor.sog.decoder import dequantise
from splat.gaussians import Gaussians
from tests.support.browser import axe, chromium, look, needs_chromium, served
from tests.support.picked import met_depths, picked_depth
from tests.support.streaming import DRAWN, Api, Bucket, expected, link_to, loaded, write_scene

WIDTH, HEIGHT = 640, 400

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("scene"))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("chromium"), WIDTH, HEIGHT) as context:
        yield context


@pytest.fixture
def bucket(scene: Path) -> Iterator[Bucket]:
    with Bucket(scene).open() as bucket:
        yield bucket
        bucket.finest.set()


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
        assert "has expired: open it again where you found it" in page.inner_text("#message")
        page.close()


def test_a_page_without_a_source_says_where_the_scene_is(bucket: Bucket, browser: Any) -> None:
    page = browser.new_page()
    page.goto(f"{bucket.url}/viewer/stream.html.gz?signature=first")
    page.wait_for_function("document.documentElement.dataset.loaded === 'failed'", timeout=60_000)
    assert "open it from the scene’s own page" in page.inner_text("#message")
    page.close()


def test_no_source_makes_the_page_load_files_of_others(bucket: Bucket, browser: Any, scene: Path) -> None:
    """Whoever passes a link on may put any source after its `#`."""

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


GRID: dict[str, Any] = {
    "corner": [-1.6, -1.4, 0.0], "axes": [[1, 0, 0], [0, 1, 0], [0, 0, 1]], "cell": 0.3, "columns": 6, "rows": 4,
}  # fmt: skip


def finest(scene: Path) -> Gaussians:
    """All Gaussians of the finest level except the environment, as the page reads them."""
    parts = [vars(dequantise(read_codes(file.read_bytes()))) for file in sorted((scene / "lod").glob("0_*.sog"))]
    return Gaussians(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0] if name != "shN"},
                     shN=np.zeros((sum(len(part["means"]) for part in parts), 0, 3), np.float32))  # fmt: skip


def test_the_ruler_picks_on_the_finest_level_whatever_is_drawn(
    scene: Path, bucket: Bucket, browser: Any, tmp_path: Path
) -> None:
    with Api(bucket).open() as source:
        bucket.finest.clear()
        page = browser.new_page()
        page.goto(link_to(bucket, source))
        loaded(page)
        page.click("#ask")
        assert page.is_visible("text=The ruler, or M")
        page.click("#ask")
        assert page.is_visible("#measure")
        page.click("#measure")
        page.click("[data-part=take]")
        page.wait_for_function("document.querySelector('[data-part=figures]').textContent.includes('finest detail')")
        assert page.evaluate("spaceport.measuring.picks.length") == 0
        bucket.finest.set()
        page.wait_for_function("spaceport.measuring.picks.length === 1", timeout=60_000)
        held = page.evaluate("spaceport.measuring.splat.held.size")
        picks = page.evaluate(
            "(places) => Promise.all(places.map(async ([x, y]) => "
            "[spaceport.measuring.camera.ray(x, y), await spaceport.measuring.at(x, y)]))",
            [[0.35, 0.6], [0.45, 0.5], [0.5, 0.5], [0.55, 0.55], [0.6, 0.7]],
        )
        hidden = page.evaluate("spaceport.measuring.at(0.5, 0.01)")
        surface = page.evaluate(
            "async (grid) => { const found = await spaceport.measuring.splat.heights(grid);"
            " return [...found.heights].map((height) => (Number.isNaN(height) ? null : height)); }",
            GRID,
        )
        rays = [{**ray, "depth": share * pick["depth"]} for ray, pick in picks for share in (0.8, 1.2)]
        reached = page.evaluate("(rays) => spaceport.measuring.splat.reach(rays)", rays)
        look(page, "streamed-measuring", tmp_path)
        assert axe(page) == []
        page.close()
    assert held < len(list((scene / "lod").glob("0_*.sog"))), "only the parts that the ray passes"
    assert hidden is None
    splat = finest(scene)
    for ray, pick in picks:
        expected = picked_depth(splat, np.array(ray["origin"]), np.array(ray["direction"]), None)
        assert expected is not None
        assert pick["depth"] == pytest.approx(expected.depth, abs=1e-3)
    assert reached == [True, False] * len(picks)
    places = (
        np.array([(x, y) for y in np.arange(4) + 0.5 for x in np.arange(6) + 0.5]) * GRID["cell"] + GRID["corner"][:2]
    )
    met = [met_depths(splat, np.array([*place, 9.0]), np.array([0.0, 0.0, -1.0]))[1] for place in places]
    assert surface == [pytest.approx(9.0 - depth, abs=1e-4) if np.isfinite(depth) else None for depth in met]


def test_thumbnails_are_loaded_when_a_point_is_first_measured(bucket: Bucket, browser: Any) -> None:
    def asked() -> list[bool]:
        return [signed for path, signed in bucket.asked if path == "/lod/thumbnails.bin"]

    with Api(bucket).open() as source:
        page = browser.new_page()
        page.goto(link_to(bucket, source))
        loaded(page)
        page.click("#measure")
        page.click("[data-kind=point]")
        before = asked()
        page.click("[data-part=take]")
        shown = "document.querySelectorAll('[data-part=photo-list] button:enabled canvas').length > 0"
        page.wait_for_function(shown, timeout=60_000)
        page.close()
    assert before == []
    assert asked() == [True]


def test_another_site_can_embed_the_page(bucket: Bucket, browser: Any, tmp_path: Path, scene: Path) -> None:
    with Api(bucket).open() as source, served(tmp_path) as site:
        frame = f'<iframe src="{link_to(bucket, source)}" width="600" height="380"></iframe>'
        (tmp_path / "index.html").write_text(f"<!doctype html><title>Blog</title>{frame}")
        page = browser.new_page()
        page.goto(f"{site}/index.html")
        inside = page.frames[1]
        inside.wait_for_function(f"{DRAWN} === {expected(scene)}", timeout=120_000)
        page.close()
    assert bucket.refused() == []
