"""docs/adding.md is complete: after changes to only the files that it names, a copy of the checkout is consistent.

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
FILES = [
    ".github", ".devcontainer", "benchmarks", "contract", "containers", "docs", "events", "functions", "local",
    "sample", "scripts", "spaceport", "statemachine", "tests", "web/src", "web/index.html", ".venv-build",
    *(path.name for path in ROOT.iterdir() if path.is_file()),
]  # fmt: skip
# the tests that compare parts with each other
CONSISTENCY = (
    "tests/unit/contracts/test_contract.py",
    "tests/unit/contracts/test_stage_contract.py",
    "tests/unit/functions/test_error_catalogue.py",
)
# the tests of what every stage must have
OF_STAGES = (
    "tests/unit/contracts/test_dockerfiles.py",
    "tests/unit/contracts/test_permissions.py",
    "tests/unit/contracts/test_status_events.py",
    "tests/unit/contracts/test_template.py",
    "tests/unit/contracts/test_template_lifecycle.py",
    "tests/unit/contracts/test_template_tables.py",
    "tests/unit/contracts/test_template_times.py",
    "tests/unit/contracts/test_worlds.py",
    "tests/unit/contracts/test_docs.py::test_the_tree_is_what_the_files_say_of_themselves",
    "tests/unit/functions/test_settings.py",
    "tests/unit/functions/test_stage_requests.py",
    "tests/unit/deployment/test_preflight.py",
    "tests/unit/deployment/test_setup.py::test_running_installs_no_tools",
    "tests/unit/statemachine/test_pipeline_asl.py",
)

Edits = Mapping[str, tuple[str, str]]  # file → text that occurs in it once, and its replacement

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
# a stage that inspects the finished scene and reports the sizes of its files
STAGE: Edits = {
    "contract/stages.py": (
        '    COMPRESSOR = "compressor"\n',
        '    COMPRESSOR = "compressor"\n    AUDIT = "audit"\n',
    ),
    "template.yaml": (
        "  JobBudgetDollars:\n",
        "  AuditInstanceTypes:\n"
        "    Type: String\n"
        "    Default: ml.c6i.4xlarge,ml.c6i.4xlarge,ml.c6i.4xlarge\n"
        '    AllowedPattern: "ml[.]c6i[.][48]xlarge([+]ml[.]c6i[.][48]xlarge)*'
        '(,ml[.]c6i[.][48]xlarge([+]ml[.]c6i[.][48]xlarge)*){2}"\n'
        "    Description: Machines of the audit stage for the qualities preview, standard and high\n"
        "  JobBudgetDollars:\n",
    ),
    "pyproject.toml": (
        '    "containers/compressor/requirements.in", "functions/requirements.in",\n',
        '    "containers/compressor/requirements.in", "containers/audit/requirements.in",\n'
        '    "functions/requirements.in",\n',
    ),
    "requirements-run.in": (
        "-r containers/compressor/requirements.in\n",
        "-r containers/compressor/requirements.in\n-r containers/audit/requirements.in\n",
    ),
    "docs/contracts.md": (
        "                 jobs/<jobId>/report.json, report.html\n",
        "                 jobs/<jobId>/audit/<attempt>/…\n                 jobs/<jobId>/report.json, report.html\n",
    ),
}
# further edits of the same files
STAGE_TOO: tuple[Edits, ...] = (
    {
        "contract/stages.py": (
            "        progress_share=0.1,\n        kept=True,\n    ),\n",
            "        progress_share=0.08,\n        kept=True,\n    ),\n"
            "    Stage.AUDIT: StageSpec(\n"
            '        key="audit",\n'
            '        title="Audit",\n'
            '        kind="Processing",\n'
            '        module="audit",\n'
            '        channel="scene",\n'
            "        max_runtime=1800,\n"
            "        volume_gb=50,\n"
            "        progress_share=0.02,\n"
            "        kept=True,\n"
            "    ),\n",
        ),
        "template.yaml": (
            "        SFM_INSTANCE_TYPES: !Ref SfmInstanceTypes\n",
            '        AUDIT_IMAGE: !Sub "${AWS::AccountId}.dkr.ecr.${AWS::Region}.${AWS::URLSuffix}/'
            'spaceport-${Stage}/audit:${ImageTag}"\n'
            "        AUDIT_INSTANCE_TYPES: !Ref AuditInstanceTypes\n"
            "        SFM_INSTANCE_TYPES: !Ref SfmInstanceTypes\n",
        ),
        "pyproject.toml": (
            'pythonpath = [".", "functions", "statemachine", "containers", "containers/sfm", ',
            'pythonpath = [".", "functions", "statemachine", "containers", "containers/audit", "containers/sfm", ',
        ),
    },
    {
        "template.yaml": (
            "  CompressorRepository:\n",
            "  AuditRepository:\n"
            "    Type: AWS::ECR::Repository\n"
            "    Properties:\n"
            "      EmptyOnDelete: true\n"
            '      RepositoryName: !Sub "spaceport-${Stage}/audit"\n'
            "      ImageTagMutability: *immutable\n"
            "      ImageScanningConfiguration: *scanned\n"
            "      EncryptionConfiguration: *imagesEncrypted\n"
            "      LifecyclePolicy: *lastTen\n\n"
            "  CompressorRepository:\n",
        ),
        "pyproject.toml": (
            'mypy_path = [".", "functions", "statemachine", "containers", "containers/sfm", ',
            'mypy_path = [".", "functions", "statemachine", "containers", "containers/audit", "containers/sfm", ',
        ),
    },
    {
        "template.yaml": (
            '                  - !Sub "${ResultsBucket.Arn}/jobs/*-????????????*/compressor/*"\n',
            '                  - !Sub "${ResultsBucket.Arn}/jobs/*-????????????*/compressor/*"\n'
            '                  - !Sub "${ResultsBucket.Arn}/jobs/*-????????????*/audit/*"\n',
        ),
    },
)
STAGE_FILES = {
    "containers/audit/audit/__init__.py": '"""Looks a finished scene over: how many bytes its files take."""\n',
    "containers/audit/audit/__main__.py": """\
\"\"\"Entry point of the audit's container: `python -m audit`.\"\"\"

import sys
from pathlib import Path

from stage.cli import main
from stage.contract import Folders, StageContext
from stage.result import StageOutcome


def result_folder(folders: Folders) -> Path:
    return folders.processing_output


def work(context: StageContext) -> StageOutcome:
    scene = context.folders.processing_input("scene")
    sizes = [path.stat().st_size for path in scene.rglob("*") if path.is_file()]
    return StageOutcome(counts={"files": len(sizes), "bytes": sum(sizes)}, metrics={}, timings={}, warnings=[])


if __name__ == "__main__":
    sys.exit(main("audit", result_folder, work))
""",
    "containers/audit/requirements.in": "boto3==1.43.106\nzstandard==0.25.0\ninflate64==1.0.4\n",
    "containers/audit/Dockerfile": """\
ARG BASE=python:3.11-slim-bookworm
FROM --platform=linux/amd64 ${BASE}
ENV PYTHONUNBUFFERED=1 PYTHONPATH=/opt/spaceport
COPY containers/audit/requirements.txt /tmp/requirements.txt
RUN python -m pip install --no-cache-dir --require-hashes --requirement /tmp/requirements.txt
COPY contract /opt/spaceport/contract
COPY containers/stage /opt/spaceport/stage
COPY containers/audit/audit /opt/spaceport/audit
WORKDIR /opt/spaceport
ENTRYPOINT ["python", "-m", "audit"]
""",
}


def run(copy: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    left_out = shutil.ignore_patterns("__pycache__", "node_modules", ".build", "images")
    for name in FILES:
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if name == ".venv-build":
            target.symlink_to(ROOT / name)
        elif (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, symlinks=True, ignore=left_out)
        else:
            shutil.copy(ROOT / name, target)
    return tmp_path


def edit(copy: Path, edits: Edits) -> None:
    for name, (old, new) in edits.items():
        text = (copy / name).read_text(encoding="utf-8")
        assert text.count(old) == 1, name
        (copy / name).write_text(text.replace(old, new), encoding="utf-8")


def agrees(copy: Path, further: tuple[str, ...] = ()) -> bool:
    """Writes the generated files, and runs the copy's own tests of consistency."""
    python, build = sys.executable, ".venv-build/bin/python"
    for command in ([python, "-m", "contract"], [build, "statemachine/workflow.py"], [python, "-m", "scripts.tree"]):
        if run(copy, *command).returncode != 0:
            return False
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *CONSISTENCY, *further]
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


@pytest.mark.slow
def test_a_stage_takes_nine_files(copy: Path) -> None:
    for edits in (STAGE, *STAGE_TOO):
        edit(copy, edits)
    assert not agrees(copy, OF_STAGES)  # a stage without a container
    for name, text in STAGE_FILES.items():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text(text, encoding="utf-8")
    assert agrees(copy, OF_STAGES)
    assert len({*STAGE, *STAGE_FILES}) == 9
    assert {name for edits in STAGE_TOO for name in edits} <= {*STAGE}
