"""The documentation's site: it lists every page, and links out of docs/ become file names."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from contract.counts import MAX_PHOTOS, MIN_PHOTOS
from contract.events import JOB_STATUS
from scripts.site_links import on_page_markdown

ROOT = Path(__file__).parents[3]
SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


def listed(nav: list[object]) -> list[str]:
    """Every page that the navigation names."""
    found: list[str] = []
    for entry in nav:
        inner = next(iter(entry.values())) if isinstance(entry, dict) else entry
        found += listed(inner) if isinstance(inner, list) else [str(inner)]
    return found


def test_every_page_is_in_the_navigation_once() -> None:
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert sorted(listed(SITE["nav"])) == sorted(pages)


def test_it_is_built_strictly_where_ci_runs() -> None:
    assert SITE["strict"] is True
    assert all(level == "warn" for level in SITE["validation"]["links"].values())
    assert re.search(r"^make .*\bdocs\b", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.M)


def test_a_link_out_of_the_pages_becomes_the_files_name() -> None:
    text = "See [README](../README.md#deploy), [its events](../events/README.md), [here](api.md), ![a](../b.png)."
    assert on_page_markdown(text) == "See `README.md`, its events (`events/README.md`), [here](api.md), ![a](../b.png)."


def test_the_lists_that_a_guide_repeats_are_the_contracts() -> None:
    guide = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    for status in JOB_STATUS.values():
        assert f"`{status}`" in guide
    assert f"{MIN_PHOTOS} to {MAX_PHOTOS:,} photos" in (ROOT / "docs" / "user-guide.md").read_text(encoding="utf-8")
