"""README's commands run: each is one that a test runs, and each of its figures and names is what the code says."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest

from contract.archive import LIMITS
from contract.counts import MAX_PHOTOS, MAX_PIXELS, MAX_UPLOAD_BYTES, MIN_PHOTOS
from contract.stages import STAGES, Stage
from domain.cost import DEFAULT_REGION, DOLLARS_PER_HOUR
from spaceport.cli import parser
from tests.support.sam_template import Template

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# what a run prints, and nobody types
PRINTED = re.compile(r"(viewer|splat|products|report|orbit|mail) +out/")
# each command of README → the test that runs it, or the same with other files
WHERE = {
    "make demo": "tests/unit/local/test_demo.py",
    "make demo ZIP=photos.zip": "tests/unit/local/test_demo.py",
    "python -m spaceport photos.zip": "tests/unit/spaceport/test_run.py",
    "python -m spaceport photos/ --quality preview --out result --open": "tests/unit/spaceport/test_cli.py",
    "python -m spaceport photos.zip --only sfm": "tests/unit/spaceport/test_run.py",
    "python -m spaceport photos.zip --blocks 4": "tests/unit/spaceport/test_divided_flights.py",
    "python -m spaceport doctor": "tests/integration/test_installed.py",
    "python -m spaceport cloud up": "tests/unit/spaceport/test_cli.py",
    "python -m spaceport cloud down": "tests/unit/spaceport/test_cli.py",
    "make up": "tests/integration/test_up.py",
    "make down": "tests/integration/test_up.py",
    "aws s3 cp photos.zip s3://$UPLOADS_BUCKET/ --metadata email=you@example.com,quality=high": (
        "tests/integration/test_client.py"
    ),
    'curl -H "Authorization: Bearer $TOKEN" "$API/jobs"': "tests/integration/test_up.py",
    "STAGE=dev SENDER=you@example.com scripts/deployment/preflight.sh": "tests/unit/deployment/test_preflight.py",
    "sam build && sam deploy --config-env dev": "tests/integration/test_sam.py",
    "STAGE=dev scripts/deployment/deploy.sh all": "tests/unit/deployment/test_deploy_script.py",
    "sam deploy --config-env dev --parameter-overrides Stage=dev ImageTag=<that tag>": "tests/integration/test_sam.py",
    "scripts/deployment/web.sh spaceport-dev": "tests/unit/deployment/test_deploy_script.py",
    "sam build && sam local invoke StartJobFunction --event events/start_job/object-created.json": (
        "tests/integration/test_sam.py"
    ),
}


def shown(text: str) -> list[str]:
    """The lines that README shows as commands, without what stands behind them as a comment."""
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    lines = re.findall(r"^    (\S.*)$", outside.replace("\\\n", " "), re.M)
    typed = [re.sub(r"\s+", " ", line.partition("  #")[0].rstrip()) for line in lines if not PRINTED.match(line)]
    return [line.partition(" # ")[0] for line in typed]


COMMANDS = shown(README)


def test_each_command_has_a_test_that_runs_it() -> None:
    assert set(COMMANDS) == set(WHERE)
    assert {test for test in WHERE.values() if not (ROOT / test).is_file()} == set()


def test_a_test_that_is_said_to_run_a_command_names_its_program() -> None:
    """What a command's own test calls: the script, the module's function, the command itself."""
    calls = {
        "make": "demo|up\\.main|down\\.main|attached_cloud",
        "python": "go\\(|main\\(|spaceport\\(",
        "aws": "aws s3 cp",
        "curl": "curl",
        "STAGE": "preflight.sh|deploy.sh",
        "sam": r'sam\(\s*"(build|deploy|local)"',
        "scripts/deployment/web.sh": "web.sh",
    }
    for command, test in WHERE.items():
        program = re.split(r"[ =]", command)[0]
        assert re.search(calls[program], (ROOT / test).read_text(encoding="utf-8")), (command, test)


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("python -m spaceport")])
def test_the_command_line_takes_what_readme_types(command: str) -> None:
    arguments = shlex.split(command)[3:]
    if arguments[0] not in ("doctor", "cloud"):
        parser().parse_args(arguments)


def test_make_has_every_target_that_readme_names() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.M))
    named = set(re.findall(r"(?:^    |`)make ([a-z-]+)", README, re.M))
    assert {name.rstrip("-") for name in named} - {"bench"} <= targets
    for command in COMMANDS:
        if command.startswith("make "):
            dry = subprocess.run([*shlex.split(command), "-n"], cwd=ROOT, capture_output=True, text=True)
            assert dry.returncode == 0, dry.stderr


def test_the_limits_are_the_codes() -> None:
    assert f"{MIN_PHOTOS} to {MAX_PHOTOS:,}, up to {MAX_PIXELS // 10**6} megapixels each" in README
    assert f"{MAX_UPLOAD_BYTES // 1000**3} GB; {LIMITS.bytes // 1024**3} GB unpacked" in README
    hours = {stage: STAGES[stage].max_runtime // 3600 for stage in Stage}
    assert (
        f"{hours[Stage.SFM]} h for the cameras, {hours[Stage.TRAINING]} h for training, "
        f"{hours[Stage.COMPRESSOR]} h for compression" in README
    )


def test_the_price_is_that_of_the_default_machines() -> None:
    minutes = {
        name: int(number)
        for number, name in re.findall(r"(\d+) (?:minutes )?of (cameras|training|compression)", README)
    }
    defaults = Template.load().parameters
    machine = {
        "cameras": defaults["SfmInstanceTypes"]["Default"].split(",")[1],
        "training": defaults["TrainingInstanceTypes"]["Default"].split(",")[1],
        "compression": defaults["CompressorInstanceTypes"]["Default"].split(",")[1],
    }
    price = sum(DOLLARS_PER_HOUR[DEFAULT_REGION][machine[part]] * taken / 60 for part, taken in minutes.items())
    assert minutes.keys() == machine.keys()
    assert f"would be ${price:.2f}" in README
    assert all(f"`{name}`" in README for name in machine.values())


def test_the_badges_are_true() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    badges = dict(re.findall(r"^!\[([^\]:]+?)(?:: ?([^\]]*))?\]\(https://img\.shields\.io", README, re.M))
    assert project["requires-python"] == ">=3.11,<3.14"
    assert badges == {"Python 3.11 to 3.13": "", "Licence": project["license"]}
