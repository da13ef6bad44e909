"""The environment of all tests: no real AWS account can be reached, and Powertools does not report to X-Ray."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator

import pytest
from hypothesis import settings

# Tests that take minutes, of what seldom breaks or has faster tests, too: `make test` leaves them out, and
# `make nightly` runs them. Node ids relative to tests/.
NIGHTLY = (
    "e2e/test_bad_uploads.py::test_a_corrupt_photo",
    "integration/test_film.py",
    "integration/test_many_uploads.py",
    "integration/test_sam.py::test_every_function",
    "integration/test_sam.py::test_the_built_stack",
    "integration/test_sam.py::test_a_function_starts",
    "unit/benchmarks/test_train_fold.py",
    "unit/compressor/test_compressor_warm.py::test_a_job",
    "unit/contracts/test_adding.py::test_a_stage",
    "unit/sfm/test_clusters.py::test_clusters_merge",
    "unit/sfm/test_sfm_campaign.py::test_the_part",
    "unit/sfm/test_sfm_campaign.py::test_turned_photos",
    "unit/sfm/test_sfm_campaign.py::test_two_places",
)

# set before anything is imported: Powertools and boto3 read some of these at import
os.environ |= {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_SESSION_TOKEN": "testing",
    "AWS_REGION": "eu-west-1",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "POWERTOOLS_TRACE_DISABLED": "1",
    "POWERTOOLS_SERVICE_NAME": "spaceport",
    "POWERTOOLS_METRICS_NAMESPACE": "Spaceport",
}
for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
    os.environ.pop(name, None)

# CI draws the same examples every time, so that a change is judged by itself; a developer's machine draws new ones.
# No deadline for an example: a busy machine would fail tests of code that is right.
settings.register_profile("developer", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "developer")


def pytest_configure(config: pytest.Config) -> None:
    """Where coverage is measured, libraries run untraced."""
    if config.getoption("cov_source", None):
        from tests.support.untraced import leave_out_libraries

        leave_out_libraries()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    nightly = tuple(f"tests/{test}" for test in NIGHTLY)
    for item in items:
        if item.nodeid.startswith(nightly):
            item.add_marker("nightly")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Freezes what collecting imports, because it lives as long as the process: the garbage collector need not scan
    it. During collection, scanning took a third of the CPU seconds."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
