"""The local cloud does not start where a job could not end."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from local.cloud import CloudError, start_detached


def test_a_full_disk_is_said_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=30 * 10**6))
    with pytest.raises(CloudError, match="free, and a job needs 2 GB"):
        start_detached(tmp_path / "cloud")
    assert not (tmp_path / "cloud" / "cloud.log").exists()
