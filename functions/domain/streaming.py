"""The manifest of a streamed scene (lod-meta.json) for whoever shows it: with links to its parts in place of names."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import quote

from domain.job_item import JobItem
from domain.tickets import ticket_of

MANIFEST = "lod/lod-meta.json"
_PART = re.compile(r"[a-z0-9_]{1,40}\.(sog|bin)")
_SINGLE = ("environment", "thumbnails")  # parts that a manifest may name beside its files


def manifest_url(api: str, token: str) -> str:
    """The URL of a manifest for a ticket or a share's token; `api` is the API's URL."""
    return f"{api}/shared/{token}/lod-meta.json"


def manifest_of(api: str, item: JobItem, until: datetime) -> str | None:
    """The same with a ticket that is valid until then; None for a job that has no tickets."""
    ticket = ticket_of(item, until)
    return None if ticket is None else manifest_url(api, ticket)


def page_link(page: str, manifest: str) -> str:
    """A link to the streaming page that also tells it where the manifest is."""
    return f"{page}#scene={quote(manifest, safe='')}"


def with_links(manifest: dict[str, Any], link_of: Callable[[str], str], until: datetime) -> dict[str, Any]:
    """The manifest with `link_of(name)` for each of its parts; these links are valid until then.

    Raises ValueError for a name that is not a part's: only the compressor writes manifests, and it uses no such name.
    """

    def link(name: str) -> str:
        if not _PART.fullmatch(name):
            raise ValueError(f"no part of a scene: {name[:80]!r}")
        return link_of(name)

    linked = {**manifest, "filenames": [link(name) for name in manifest["filenames"]]}
    linked |= {name: link(manifest[name]) for name in _SINGLE if name in manifest}
    return linked | {"expiresAt": until.isoformat()}
