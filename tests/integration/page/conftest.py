"""One browser for the tests of the customer's page, and for each test a fresh page with its own API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.browser import chromium
from tests.support.page import TOKENS, FakeApi, page_of


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("chromium"), 1200, 900) as context:
        yield context


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def page(browser: Any, api: FakeApi, tmp_path: Path) -> Iterator[Any]:
    with page_of(browser, api, tmp_path, TOKENS) as (fresh, url):
        fresh.home = url
        yield fresh
