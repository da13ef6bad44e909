"""The command line that every container shares."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stage import __version__, cli
from stage.contract import StageContext
from stage.result import StageOutcome


def test_version_is_printed_without_running_the_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def work(_context: StageContext) -> StageOutcome:
        raise AssertionError("--version must not start the work")

    monkeypatch.setattr("sys.argv", ["sfm", "--version"])
    assert cli.main("sfm", lambda folders: folders.processing_output, work) == 0
    assert capsys.readouterr().out == f"spaceport sfm {__version__}\n"


def test_the_argument_train_is_accepted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.argv", ["3dgs", "train"])
    monkeypatch.setenv("ML_ROOT", str(tmp_path))
    monkeypatch.delenv("STATUS_BUS", raising=False)

    def work(_context: StageContext) -> StageOutcome:
        return StageOutcome(counts={"gaussians": 7}, metrics={}, timings={})

    assert cli.main("3dgs", lambda folders: folders.model, work) == 0
    assert json.loads((tmp_path / "model" / "result.json").read_text())["counts"] == {"gaussians": 7}


@pytest.mark.parametrize(
    ("arguments", "code"), [(["--help"], 0), (["-h"], 0), (["photos.zip"], 2), (["train", "photos.zip"], 2)]
)
def test_help_and_wrong_use_touch_nothing_and_name_the_command_that_takes_files(
    arguments: list[str],
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def work(_context: StageContext) -> StageOutcome:
        raise AssertionError("the work must not start")

    monkeypatch.setattr("sys.argv", ["3dgs", *arguments])
    monkeypatch.setenv("ML_ROOT", str(tmp_path))
    assert cli.main("3dgs", lambda folders: folders.model, work) == code
    said = capsys.readouterr()
    assert "usage: python -m trainer" in (said.err if code else said.out)
    assert "python -m spaceport FILE --only 3dgs" in said.err + said.out
    assert list(tmp_path.iterdir()) == []
