"""A browser for each file of measuring tests, and the delivered page loaded anew for each test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compressor.deliver.limits import Limits
from compressor.deliver.survey import Absolute, ControlPoint, Survey, System
from compressor.deliver.viewer import BUNDLE, Journey, Page, write_page
from compressor.sog.container import pack_files, zip_files
from compressor.thumbnails import thumbnails_of
from tests.support.browser import chromium
from tests.support.slabs import slabs
from tests.support.splats import village_surroundings
from tests.support.yard import (
    EASTING,
    EYES,
    FIELD_OF_VIEW,
    GSD,
    HEIGHT,
    LEVEL,
    NORTHING,
    TARGET,
    UP,
    WIDTH,
    eye,
    photos,
    seen,
)


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "index.html"
    pictures = tmp_path_factory.mktemp("photos")
    for name in EYES:
        seen(name).save(pictures / name, quality=95)
    shown = replace(photos(), thumbnails=thumbnails_of(pictures, list(EYES)))
    terms = [[origin, *np.eye(3)[axis], 0, 0, 0, 0, 0] for axis, origin in enumerate((EASTING, NORTHING, LEVEL))]
    survey = Survey(
        gsd=GSD,
        scale=1e-4,
        absolute=Absolute(0.02, 0.03, "check points"),
        system=System("UTM 32N, EPSG:25832", terms),
        control=[ControlPoint("A1", (-1.0, -1.0, 0.0), False), ControlPoint("B2 <check>", (0.9, -1.2, 0.0), True)],
    )
    limits = Limits(nearest=0.1, farthest=50, lowest=None, clearance=0, margin=50)
    journey = Journey([eye(), -eye()], TARGET, FIELD_OF_VIEW, seconds=10)
    content = Page("Yard", journey, village_surroundings(UP), limits, metric=True, survey=survey, photos=shown)
    write_page(path, BUNDLE, zip_files(pack_files(slabs())), content)
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("chromium"), WIDTH, HEIGHT, has_touch=True) as context:
        yield context


@pytest.fixture
def page(browser: Any, page_file: Path) -> Iterator[Any]:
    page = browser.new_page()
    page.failures = []
    page.on("pageerror", lambda error: page.failures.append(str(error)))
    page.on("request", lambda request: request.url.startswith("http") and page.failures.append(request.url))
    page.goto(f"{page_file.as_uri()}?noanim")
    page.wait_for_function("document.documentElement.dataset.loaded === 'true'", timeout=120_000)
    page.evaluate("legend.style.transition = 'none'")  # while it fades, its text cannot be read
    page.wait_for_timeout(900)  # the poster fades, the first view settles
    yield page
    page.evaluate("localStorage.clear()")  # views that a test kept must not be those of the next
    assert page.failures == [], "the page loads nothing and raises nothing"
    page.close()
