"""`make up`: the commands that it prints can be pasted and work, and a second `make up` prints them again."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import down, up
from local.cloud import find_detached, stop_detached


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for module in (up, down):
        monkeypatch.setattr(module, "FOLDER", tmp_path / "cloud")
    yield tmp_path / "cloud"
    stop_detached(tmp_path / "cloud")


def test_the_printed_block_leads_to_the_api_and_a_second_start_prints_it_again(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert up.main() == 0
    first = capsys.readouterr().out
    assert up.main() == 0
    second = capsys.readouterr().out
    assert "runs already" in second.splitlines()[0]
    without_tokens = [re.sub(r"export TOKEN=.*", "", text).splitlines() for text in (first, second)]
    assert without_tokens[1][1:] == without_tokens[0]

    (curl,) = [line.removeprefix("#   ") for line in second.splitlines() if line.startswith("#   curl -H")]
    done = subprocess.run(["bash", "-c", f"{second}\n{curl}"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"jobs": [], "next": None}

    assert down.main() == 0
    assert find_detached(folder) is None
    assert down.main() == 0
    assert capsys.readouterr().out.split("\n")[:2] == ["stopped", "the local cloud was not running"]
