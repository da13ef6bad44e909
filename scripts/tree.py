"""Write docs/tree.md, one line per source file: `python -m scripts.tree` (`make tree`).

The line is the first sentence of the file's own docstring or opening comment. A test holds docs/tree.md equal to what
this script writes.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
TREE = ROOT / "docs" / "tree.md"
# The content of each top folder, in the order in which a job passes through the system, then the tools around it.
FOLDERS = {
    "contract": "what crosses borders between parts: stages, codes, archive rules, events",
    "functions": "the control plane: a folder per Lambda function, and the package that they share",
    "statemachine": "the pipeline as a state machine; `pipeline.asl.json` is written by it",
    "containers": "the three stages, the SageMaker contract that they share, Gaussians and the CPU rasteriser",
    "web": "the customer's page",
    "spaceport": "the command line, a thin skin over the same stages, and the API's Python client",
    "local": "the same template on one machine, with a SageMaker that runs stages as processes or containers",
    "sample": "renders the sample flight",
    "scripts": "operating, auditing, setting up",
    "benchmarks": "where the figures in README come from",
    "tests": "unit, integration, end to end; `support/` and `campaign/` are theirs",
}
SUFFIXES = (".py", ".js", ".mjs", ".sh")
NOT_SOURCE = {"node_modules", ".build", "__pycache__", "fixtures", "vendor", "dist"}
# parsing whole files took twenty times as long
DOCSTRING = re.compile(r'(?:\s|#.*\n)*(r?"""(?s:.*?)"""|"[^"\n]*")')
SENTENCE = re.compile(r"(.+?(?<!et al)\.)(?:\s|$)", re.S)


def files(folder: Path) -> Iterator[Path]:
    """The source files below a folder, without empty ones such as many `__init__.py`."""
    for path in sorted(folder.rglob("*"), key=lambda path: (path.parent, path.name)):
        inside = path.relative_to(folder).parts
        if path.suffix in SUFFIXES and not NOT_SOURCE & set(inside) and path.read_text(encoding="utf-8").strip():
            yield path


@cache
def summary(path: Path) -> str:
    """The first sentence of the file's docstring or opening comment; empty if it has none."""
    text = path.read_text(encoding="utf-8")
    opening = _docstring(text) if path.suffix == ".py" else _comment(text)
    paragraph = " ".join(opening.split("\n\n")[0].split())
    sentence = SENTENCE.match(paragraph)
    return (sentence[1] if sentence else paragraph).rstrip(".:")


def _docstring(text: str) -> str:
    found = DOCSTRING.match(text)
    return inspect.cleandoc(ast.literal_eval(found[1])) if found else ""


def _comment(text: str) -> str:
    """The comment lines at the top of a script, without comment marks and without a `#!` line."""
    lines = text.removeprefix("\ufeff").splitlines()
    lines = lines[1:] if lines and lines[0].startswith("#!") else lines
    taken = []
    for line in lines:
        mark = re.match(r"(?://|#)\s?", line)
        if mark is None:
            break
        taken.append(line[mark.end() :])
    return "\n".join(taken)


def document() -> str:
    """The text of docs/tree.md."""
    parts = ["# Source tree\n\nWritten by `make tree` from the first sentence of each file.\n"]
    for folder, purpose in FOLDERS.items():
        if not (ROOT / folder).is_dir():
            continue
        parts.append(f"\n## {folder}/\n\n{purpose[0].upper()}{purpose[1:]}.\n")
        within = ""
        for path in files(ROOT / folder):
            parent = path.parent.relative_to(ROOT).as_posix()
            if parent != within:
                parts.append(f"\n**{parent}/**\n\n")
                within = parent
            parts.append(f"- `{path.name}`" + (f": {line}\n" if (line := summary(path)) else "\n"))
    return "".join(parts)


if __name__ == "__main__":
    TREE.write_text(document(), encoding="utf-8")
