"""A hook for the documentation's site, which replaces links to files outside docs/ by the names of these files."""

from __future__ import annotations

import re
from typing import Any

OUTSIDE = re.compile(r"(?<!!)\[([^\]]+)\]\((\.\./[^)\s]+)\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by MkDocs with each page's text."""
    return OUTSIDE.sub(_named, markdown)


def _named(link: re.Match[str]) -> str:
    text, path = link[1], link[2].removeprefix("../").partition("#")[0]
    return f"`{path}`" if path in text or text in path else f"{text} (`{path}`)"
