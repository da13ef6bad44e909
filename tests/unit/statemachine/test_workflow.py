"""workflow.py writes the committed pipeline.asl.json. It needs the Data Science SDK, which has its own environment."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import coverage
import pytest

ROOT = Path(__file__).parents[3]
STATEMACHINE = ROOT / "statemachine"


@pytest.fixture(scope="module")
def build_python() -> Path:
    """The interpreter of the build environment. Without it the test fails: a skipped check protects nobody."""
    python = Path(os.environ.get("SPACEPORT_BUILD_PYTHON", ROOT / ".venv-build" / "bin" / "python"))
    if not python.is_file():
        pytest.fail(f"There is no build environment at {python}: run `make setup`.", pytrace=False)
    return python


def run(command: list[str | Path], folder: Path) -> subprocess.CompletedProcess[str]:
    quiet = {**os.environ, "SAGEMAKER_SUPPRESS_V2_WARNING": "1"}
    return subprocess.run(command, cwd=folder, env=quiet, capture_output=True, text=True, timeout=120, check=False)


def measured() -> list[str]:
    """Coverage of workflow.py belongs to this test run's: its data file is combined with the others at the end."""
    if coverage.Coverage.current() is None:
        return []
    return ["-m", "coverage", "run", "--parallel-mode", f"--data-file={ROOT / '.coverage'}"]


def test_the_committed_definition_is_what_workflow_writes(build_python: Path) -> None:
    checked = run([build_python, *measured(), "statemachine/workflow.py", "--check"], ROOT)
    assert checked.returncode == 0, f"workflow.py writes another pipeline.asl.json; run it\n{checked.stderr}"


def test_check_refuses_a_stale_definition_and_writing_mends_it(build_python: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(STATEMACHINE, tmp_path / "statemachine"))
    committed = (folder / "pipeline.asl.json").read_text()
    stale = json.loads(committed)
    stale["TimeoutSeconds"] += 1
    (folder / "pipeline.asl.json").write_text(json.dumps(stale, indent=2) + "\n")
    script = (
        "import json, workflow; stale = workflow.main(['--check']); workflow.main([]); "
        "print(json.dumps([stale, workflow.main(['--check'])]))"
    )
    answered = run([build_python, "-c", script], folder)
    assert answered.returncode == 0, answered.stderr
    assert json.loads(answered.stdout.splitlines()[-1]) == [1, 0]
    assert (folder / "pipeline.asl.json").read_text() == committed
