"""docs/adding.md keeps its word: after touching the files that it names, a copy of the checkout agrees with itself.

Each addition is made in a copy, by the edits that docs/adding.md lists and by what `make contract asl` writes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FOLDERS = ["contract", "functions", "containers", "statemachine", "web/src", "events", "docs", "scripts", "local"]
FILES = ("template.yaml", "pyproject.toml", "samconfig.toml", "Makefile", "README.md", "web/index.html", ".venv-build")
# what of the suite holds parts to each other
CONSISTENCY = (
    "tests/unit/contracts/test_contract.py",
    "tests/unit/contracts/test_stage_contract.py",
    "tests/unit/functions/test_error_catalogue.py",
    "tests/unit/statemachine/test_workflow.py",
)

Edits = Mapping[str, tuple[str, str]]  # file → text that occurs in it once, and what replaces it

ERROR_CODE: Edits = {
    "contract/codes.py": (
        '    INTERNAL = "INTERNAL"\n',
        '    INTERNAL = "INTERNAL"\n    TOO_DARK = "TOO_DARK"\n',
    ),
    "containers/sfm/sfm/gate.py": (
        "def check_photos(",
        "def check_light(brightness: float) -> None:\n"
        '    """Raises StageError(TOO_DARK)."""\n'
        "    if brightness < 0.02:\n"
        '        raise StageError(ErrorCode.TOO_DARK, f"{brightness:.3f} of white")\n\n\n'
        "def check_photos(",
    ),
}
CATALOGUE = (
    "FAILURES: dict[ErrorCode, Failure] = {\n",
    "FAILURES: dict[ErrorCode, Failure] = {\n"
    '    ErrorCode.TOO_DARK: Failure("The photos are too dark.", "Fly by daylight, and send the new photos."),\n',
)
OPTION: Edits = {
    "contract/options.py": (
        "    sh_degree: Annotated[",
        '    early_stop: Annotated[int, WholeNumber("EARLY_STOP", 1, 50)] | None = None\n    sh_degree: Annotated[',
    ),
    "containers/3dgs/trainer/schedule.py": (
        "        sh_degree=MAX_SH_DEGREE if options.sh_degree is None else options.sh_degree,",
        "        sh_degree=MAX_SH_DEGREE if options.early_stop or options.sh_degree is None else options.sh_degree,",
    ),
    "docs/contracts.md": ("| `TRAINING_STEPS`, ", "| `TRAINING_STEPS`, `EARLY_STOP`, "),
    "README.md": ("`maxGaussians`, ", "`maxGaussians`, `earlyStop`, "),
}


def run(copy: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    left_out = shutil.ignore_patterns("__pycache__", "node_modules", ".build", "images")
    for name in [*FOLDERS, "tests"]:
        shutil.copytree(ROOT / name, tmp_path / name, symlinks=True, ignore=left_out)
    for name in FILES:
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            target.symlink_to(ROOT / name)
        else:
            shutil.copy(ROOT / name, target)
    return tmp_path


def edit(copy: Path, edits: Edits) -> None:
    for name, (old, new) in edits.items():
        text = (copy / name).read_text(encoding="utf-8")
        assert text.count(old) == 1, name
        (copy / name).write_text(text.replace(old, new), encoding="utf-8")


def agrees(copy: Path) -> bool:
    """Write what is generated, and ask the copy's own tests whether its parts agree."""
    for command in ([sys.executable, "-m", "contract"], [".venv-build/bin/python", "statemachine/workflow.py"]):
        if run(copy, *command).returncode != 0:
            return False
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *CONSISTENCY]
    return run(copy, *command).returncode == 0


def test_an_error_code_takes_two_files(copy: Path) -> None:
    edit(copy, ERROR_CODE)
    assert not agrees(copy)  # a code without its sentence
    edit(copy, {"contract/codes.py": CATALOGUE})
    assert agrees(copy)
    assert set(ERROR_CODE) == {"contract/codes.py", "containers/sfm/sfm/gate.py"}


def test_an_option_takes_four_files(copy: Path) -> None:
    edit(copy, OPTION)
    assert agrees(copy)
    assert len(OPTION) == 4
