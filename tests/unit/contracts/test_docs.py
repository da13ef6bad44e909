"""The documentation is consistent with itself and with the files that it names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts import tree

ROOT = Path(__file__).parents[3]
INDEX = (ROOT / "docs" / "decisions.md").read_text(encoding="utf-8")
DECISIONS = {path.stem: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs" / "decisions").glob("*.md"))}
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "docs/decisions/*.md", "benchmarks/*.md", "events/*.md")
    for path in ROOT.glob(pattern)
)
SOURCES = [path for folder in tree.FOLDERS if (ROOT / folder).is_dir() for path in tree.files(ROOT / folder)]


def numbers(text: str) -> list[int]:
    """`3–6, 13 and 18` → 3, 4, 5, 6, 13, 18."""
    found: list[int] = []
    for first, last in re.findall(r"(\d+)(?:(?:–| to )(\d+))?", text):
        found += range(int(first), int(last or first) + 1)
    return found


def decisions(page: str) -> dict[int, str]:
    """The paragraphs of a subject's page by number, each on one line."""
    paragraphs = re.findall(r'^<a id="(\d+)"></a>(\*\*\1\. .+?)(?=\n\n|\Z)', DECISIONS[page], re.M | re.S)
    return {int(number): " ".join(text.split()) for number, text in paragraphs}


ALL = {number: text for page in DECISIONS for number, text in decisions(page).items()}


def test_every_decision_has_a_number_of_its_own() -> None:
    found = [
        int(number) for text in DECISIONS.values() for number in re.findall(r"^(?:<a .*>)?\*\*(\d+)\. ", text, re.M)
    ]
    assert sorted(found) == sorted(ALL) == list(range(1, len(found) + 1))
    assert re.search(r"next free number,\s(\d+),", INDEX)[1] == str(len(found) + 1)  # type: ignore[index]


def test_the_list_of_decisions_has_each_with_its_title_below_its_subject() -> None:
    subjects = re.split(r"^## \[(.+)\]\(decisions/(.+)\.md\)\n", INDEX, flags=re.M)[1:]
    assert sorted(subjects[1::3]) == sorted(DECISIONS)
    for title, page, lines in zip(subjects[::3], subjects[1::3], subjects[2::3], strict=True):
        assert DECISIONS[page].startswith(f"# {title}\n")
        expected = [
            f"- [{number}](decisions/{page}.md#{number}): {text.partition('. ')[2].partition('**')[0].rstrip('.')}"
            + (f" {mark[0]}" if (mark := re.search(r"\[superseded by \d+\]", text)) else "")
            for number, text in decisions(page).items()
        ]
        assert lines.split("\n")[1:-1] == [*expected, *([""] if page != subjects[-2] else [])]


@pytest.mark.parametrize(
    ("mark", "verb"), [("superseded by", "replaces"), ("amended by", "amends"), ("confirmed by", "confirms")]
)
def test_an_older_decision_names_the_one_that_changes_it_and_is_named_by_it(mark: str, verb: str) -> None:
    """`amends 58 and 61` in decision 103, `[amended by 103]` in 58 and in 61."""
    listed = r"(\d+(?:(?:, | and | to |–)\d+)*)"
    marked = {
        (old, new)
        for old, text in ALL.items()
        for given in re.findall(rf"\[{mark} {listed}\]", text)
        for new in numbers(given)
    }
    stated = {
        (old, new)
        for new, text in ALL.items()
        for given in re.findall(rf"\b{verb} {listed}", text)
        for old in numbers(given)
    }
    assert marked == stated != set()


def test_every_decision_that_is_referred_to_exists() -> None:
    for path in [*PAGES, *SOURCES, ROOT / "template.yaml"]:
        text = path.read_text(encoding="utf-8")
        given = re.findall(r"\bdecisions? (\d+(?:(?:, | and | to |–)\d+)*)", text)
        given += re.findall(r"\bdecisions(?:\.md)?\]?(?:\([^)]*\))?, (\d+(?:(?:, | and | to |–)\d+)*)", text)
        assert {number for listed in given for number in numbers(listed)} <= ALL.keys(), path


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_link_leads_to_a_file_and_a_heading_that_are_there(page: Path) -> None:
    for target, anchor in re.findall(
        r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)", page.read_text(encoding="utf-8")
    ):
        aim = (page.parent / target).resolve() if target else page
        assert aim.exists(), target
        if anchor:
            text = aim.read_text(encoding="utf-8")
            headings = re.findall(r"^#+ (.+)$", text, re.M)
            slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs | set(re.findall(r'<a id="([^"]+)">', text))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_table_is_cut_by_a_blank_line(page: Path) -> None:
    """A row after a blank line begins a new table, whose second line must be its delimiter row."""
    lines = page.read_text(encoding="utf-8").splitlines()
    begins = [
        i for i, line in enumerate(lines) if line.startswith("|") and (i == 0 or not lines[i - 1].startswith("|"))
    ]
    assert [lines[i] for i in begins if not re.match(r"^\|[-: |]+\|$", lines[i + 1])] == []


def test_the_tree_is_what_the_files_say_of_themselves() -> None:
    """`make tree` writes it."""
    assert tree.TREE.read_text(encoding="utf-8") == tree.document()


def test_every_source_file_says_what_it_is_for() -> None:
    assert [path.relative_to(ROOT).as_posix() for path in SOURCES if not tree.summary(path)] == []


def test_the_tree_has_every_folder_of_sources() -> None:
    holding = {path.parts[-2] for path in (ROOT).glob("*/*.py")} | {path.parts[-3] for path in ROOT.glob("*/*/*.py")}
    assert {name for name in holding if not name.startswith(".")} <= tree.FOLDERS.keys()
