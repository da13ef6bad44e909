"""The command line as pip installs it: it includes everything that it runs, and needs no checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's files: its dependencies are those of this environment."""
    folder = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "wheel", str(ROOT), "--no-deps", "--no-build-isolation", "--quiet"]
    subprocess.run([*command, "--wheel-dir", str(folder)], check=True, cwd=folder)
    (wheel,) = folder.glob("spaceport-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def spaceport(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1", "HOME": str(folder)}
    command = [sys.executable, "-m", "spaceport", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_it_finds_everything_outside_of_a_checkout(installed: Path, tmp_path: Path) -> None:
    doctor = spaceport(installed, tmp_path, "doctor")
    assert "ok       viewer     built" in doctor.stdout, doctor.stderr
    assert "ok       packages" in doctor.stdout


def test_a_stage_runs_and_gives_its_coded_reason(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "house.ply").write_text("not a splat")
    ended = spaceport(installed, tmp_path, "house.ply")
    assert ended.returncode == 1
    assert json.loads(ended.stdout)["error"] == "INVALID_SPLAT", ended.stderr
    assert (tmp_path / "out" / "house.failed" / "compressor-1.log").is_file()


def test_the_cloud_asks_for_a_checkout(installed: Path, tmp_path: Path) -> None:
    ended = spaceport(installed, tmp_path, "cloud", "up")
    assert ended.returncode == 2
    assert "needs a checkout" in ended.stderr
