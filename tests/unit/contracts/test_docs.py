"""The documentation agrees with itself and with the files that it names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts import tree

ROOT = Path(__file__).parents[3]
DECISIONS = (ROOT / "docs" / "decisions.md").read_text(encoding="utf-8")
PAGES = sorted(
    path for pattern in ("*.md", "docs/*.md", "benchmarks/*.md", "events/*.md") for path in ROOT.glob(pattern)
)
SOURCES = [path for folder in tree.FOLDERS if (ROOT / folder).is_dir() for path in tree.files(ROOT / folder)]


def numbers(text: str) -> list[int]:
    """`3–6, 13 and 18` → 3, 4, 5, 6, 13, 18."""
    found: list[int] = []
    for first, last in re.findall(r"(\d+)(?:(?:–| to )(\d+))?", text):
        found += range(int(first), int(last or first) + 1)
    return found


def decisions() -> list[int]:
    """Their numbers, as they stand; one that was just appended may still be an item of a numbered list."""
    return [int(number) for number in re.findall(r"^(?:\*\*)?(\d+)\. ", DECISIONS, re.M)]


def test_every_decision_has_a_number_of_its_own() -> None:
    found = decisions()
    assert sorted(found) == list(range(1, len(found) + 1))


def test_the_contents_of_the_decisions_name_each_in_its_group() -> None:
    listed = dict(re.findall(r"^- \[([^\]]+)\]\([^)]+\): (.+)$", DECISIONS, re.M))
    groups = re.split(r"^## (.+)$", DECISIONS, flags=re.M)[1:]
    for title, body in zip(groups[::2], groups[1::2], strict=True):
        if title != "Recent":
            assert sorted(map(int, re.findall(r"^\*\*(\d+)\. ", body, re.M))) == numbers(listed.pop(title))
    assert listed == {}


def test_a_superseded_decision_names_its_successor_which_names_it() -> None:
    """Each paragraph begins with its number."""
    paragraphs = {
        int(number): text for number, text in re.findall(r"^\*\*(\d+)\. (.+?)(?=\n\n|\Z)", DECISIONS, re.M | re.S)
    }
    superseded = {
        old: int(found[1]) for old, text in paragraphs.items() if (found := re.search(r"\[superseded by (\d+)\]", text))
    }
    assert superseded
    assert all(f"replaces {old}" in paragraphs[new] for old, new in superseded.items())


def test_every_decision_that_is_referred_to_exists() -> None:
    known = set(decisions())
    for path in [*PAGES, *SOURCES, ROOT / "template.yaml"]:
        text = path.read_text(encoding="utf-8")
        given = re.findall(r"\bdecisions? (\d+(?:(?:, | and | to |–)\d+)*)", text)
        given += re.findall(r"\bdecisions(?:\.md)?\]?(?:\([^)]*\))?, (\d+(?:(?:, | and | to |–)\d+)*)", text)
        assert {number for listed in given for number in numbers(listed)} <= known, path


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_link_leads_to_a_file_and_a_heading_that_are_there(page: Path) -> None:
    for target, anchor in re.findall(
        r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)", page.read_text(encoding="utf-8")
    ):
        aim = (page.parent / target).resolve() if target else page
        assert aim.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", aim.read_text(encoding="utf-8"), re.M)
            slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_table_is_cut_by_a_blank_line(page: Path) -> None:
    """A row after a blank line begins a new table, whose second line must be its rule."""
    lines = page.read_text(encoding="utf-8").splitlines()
    begins = [
        i for i, line in enumerate(lines) if line.startswith("|") and (i == 0 or not lines[i - 1].startswith("|"))
    ]
    assert [lines[i] for i in begins if not re.match(r"^\|[-: |]+\|$", lines[i + 1])] == []


def test_the_tree_is_what_the_files_say_of_themselves() -> None:
    """`make tree` writes it anew."""
    assert tree.TREE.read_text(encoding="utf-8") == tree.document()


def test_every_source_file_says_what_it_is_for() -> None:
    assert [path.relative_to(ROOT).as_posix() for path in SOURCES if not tree.summary(path)] == []


def test_the_tree_has_every_folder_of_sources() -> None:
    holding = {path.parts[-2] for path in (ROOT).glob("*/*.py")} | {path.parts[-3] for path in ROOT.glob("*/*/*.py")}
    assert {name for name in holding if not name.startswith(".")} <= tree.FOLDERS.keys()
