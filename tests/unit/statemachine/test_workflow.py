"""workflow.py writes the committed pipeline.asl.json. It needs the Data Science SDK, which has its own environment."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import coverage
import pytest

ROOT = Path(__file__).parents[3]
COMMITTED = ROOT / "statemachine" / "pipeline.asl.json"


@pytest.fixture(scope="module")
def build_python() -> Path:
    """The interpreter of the build environment. Without it, the test fails instead of being skipped, because a skipped
    check protects nobody."""
    python = Path(os.environ.get("SPACEPORT_BUILD_PYTHON", ROOT / ".venv-build" / "bin" / "python"))
    if not python.is_file():
        pytest.fail(f"There is no build environment at {python}: run `make setup`.", pytrace=False)
    return python


def run(command: list[str | Path]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SAGEMAKER_SUPPRESS_V2_WARNING": "1", "PYTHONPATH": str(ROOT / "statemachine")}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1200, check=False)


def measured() -> list[str]:
    """Adds the coverage of workflow.py to this test run's: its data file is combined with the others at the end."""
    if coverage.Coverage.current() is None:
        return []
    return ["-m", "coverage", "run", "--parallel-mode", f"--data-file={ROOT / '.coverage'}"]


# the SDK's import takes ten seconds of CPU time, so one process answers all questions
SCRIPT = """\
import json, pathlib, sys
import workflow
committed = workflow.main(["--check"])
workflow.PIPELINE = pathlib.Path(sys.argv[1])
stale = workflow.main(["--check"])
workflow.main([])
print(json.dumps([committed, stale, workflow.main(["--check"])]))
"""


@pytest.fixture(scope="module")
def written(build_python: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[int], str]:
    """The output of `--check` for the committed definition, for a stale one and for the file written over that; and
    that file."""
    folder = tmp_path_factory.mktemp("statemachine")
    (folder / "script.py").write_text(SCRIPT)
    stale = json.loads(COMMITTED.read_text())
    stale["TimeoutSeconds"] += 1
    (folder / COMMITTED.name).write_text(json.dumps(stale, indent=2) + "\n")
    answered = run([build_python, *measured(), folder / "script.py", folder / COMMITTED.name])
    assert answered.returncode == 0, answered.stderr
    return json.loads(answered.stdout.splitlines()[-1]), (folder / COMMITTED.name).read_text()


def test_the_committed_definition_is_what_workflow_writes(written: tuple[list[int], str]) -> None:
    (committed, *_), text = written
    assert committed == 0, "workflow.py writes another pipeline.asl.json: run make asl"
    assert text == COMMITTED.read_text()


def test_check_refuses_a_stale_definition_and_writing_mends_it(written: tuple[list[int], str]) -> None:
    (_, stale, mended), _ = written
    assert (stale, mended) == (1, 0)
