"""Prepare the manifest of a streamed scene (lod-meta.json) for viewers: its parts are given by links, not names."""

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
    """The URL of the job's manifest with a ticket that is valid until `until`; None for a job without tickets."""
    ticket = ticket_of(item, until)
    return None if ticket is None else manifest_url(api, ticket)


def page_link(page: str, manifest: str) -> str:
    """A link to the streaming page that contains the URL of the manifest."""
    return f"{page}#scene={quote(manifest, safe='')}"


def with_links(manifest: dict[str, Any], link_of: Callable[[str], str], until: datetime) -> dict[str, Any]:
    """The manifest with `link_of(name)` in place of the name of each part; the links are valid until `until`.

    Raises ValueError for an invalid part name; the compressor, which writes manifests, uses only valid ones.
    """

    def link(name: str) -> str:
        if not _PART.fullmatch(name):
            raise ValueError(f"no part of a scene: {name[:80]!r}")
        return link_of(name)

    linked = {**manifest, "filenames": [link(name) for name in manifest["filenames"]]}
    linked |= {name: link(manifest[name]) for name in _SINGLE if name in manifest}
    return linked | {"expiresAt": until.isoformat()}
