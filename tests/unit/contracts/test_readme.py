"""The commands of README and guides work: a test runs each. README's figures and names are those of the code."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
from pydantic.alias_generators import to_camel

from contract.archive import LIMITS
from contract.codes import FAILURES, ErrorCode
from contract.counts import MAX_PHOTOS, MAX_PIXELS, MAX_UPLOAD_BYTES, MIN_PHOTOS
from contract.options import MAX_NAME, TEXTS, WHOLE_NUMBERS
from contract.stages import STAGES, Stage
from deliver.deliver import DELIVERED
from domain.cost import DEFAULT_REGION, DOLLARS_PER_HOUR
from domain.links import SAVED_VIEWER
from local import demo
from local.folders import SHOWN
from spaceport.cli import parser
from tests.support.sam_template import Template

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDES = ("README.md", "CONTRIBUTING.md", "docs/api.md", "docs/tutorial.md", "events/README.md")
# output of a run, or an example of a file's contents, which nobody types
PRINTED = re.compile(r"\w+ +/home/you/|[A-Z_]+: |What to do: |\{ ")
# each command → the file that runs it, or runs it with other files, and the call there
WHERE = {
    "make demo": ("tests/e2e/test_sample.py", r"customer\.send\(sample"),
    "make demo ZIP=photos.zip": ("tests/integration/test_client.py", r"demo\.main\(\)"),
    "make demo ZIP=path/to/photos": ("tests/unit/local/test_demo.py", r"packed\("),
    "make up": ("tests/integration/test_up.py", r"up\.main\(\)"),
    "make down": ("tests/integration/test_up.py", r"down\.main\(\)"),
    "make setup": (".ci/run", r"make .*\bsetup\b"),
    "make lint": (".ci/run", r"make .*\blint\b"),
    "make docs": (".ci/run", r"make .*\bdocs\b"),
    "make test": (".ci/run", r"^make test$"),
    "make unit": ("Makefile", r"pytest -n 2 --dist loadfile tests/unit -m"),  # a subset of `make test`
    ".venv/bin/python -m spaceport photos.zip": ("tests/unit/spaceport/test_run.py", r"go\("),
    ".venv/bin/python -m spaceport photos/ --quality preview --out result --open": (
        *("tests/unit/spaceport/test_cli.py", r"main\(\[str\(photos\), \"--quality\", \"preview\".*\"--open\""),
    ),
    ".venv/bin/python -m spaceport path/to/photos --quality preview --open": (
        *("tests/unit/spaceport/test_cli.py", r"main\(\[str\(photos\), \"--quality\", \"preview\".*\"--open\""),
    ),
    ".venv/bin/python -m spaceport photos.zip --only sfm": ("tests/unit/spaceport/test_run.py", r"Stage\.SFM"),
    '.venv/bin/python -m spaceport photos.zip --project "Bridge 7" --customer "City of Ulm" --site "Mill Lane 4"': (
        *("tests/unit/spaceport/test_cli.py", r"\"--customer\", \"City of Ulm\", \"--site\", \"Mill Lane 4\""),
    ),
    '.venv/bin/python -m spaceport photos.zip --company "Survey Ltd" --logo logo.png': (
        *("tests/unit/spaceport/test_cli.py", r"\"--company\", \"Survey Ltd\", \"--logo\""),
    ),
    ".venv/bin/python -m spaceport photos.zip --blocks 4": ("tests/unit/spaceport/test_divided_flights.py", r"blocks"),
    ".venv/bin/python -m spaceport doctor": ("tests/integration/test_installed.py", r"spaceport\(.*\"doctor\"\)"),
    ".venv/bin/python -m spaceport cloud up": ("tests/unit/spaceport/test_cli.py", r"main\(\[\"cloud\", \"up\"\]"),
    ".venv/bin/python -m spaceport cloud down": ("tests/unit/spaceport/test_cli.py", r"main\(\[\"cloud\", \"down\"\]"),
    "aws s3 cp photos.zip s3://$UPLOADS_BUCKET/ --metadata email=you@example.com,quality=high": (
        *("tests/integration/test_client.py", r"aws s3 cp photos\.zip"),
    ),
    "aws events put-rule --event-bus-name $BUS --name ledger --event-pattern file://pattern.json": (
        *("tests/integration/test_client.py", r"aws events put-"),
    ),
    "aws events put-targets --event-bus-name $BUS --rule ledger --targets Id=queue,Arn=$QUEUE_ARN": (
        *("tests/integration/test_client.py", r"aws events put-"),
    ),
    "aws events start-replay --replay-name ledger-1 --event-source-arn $STATUS_ARCHIVE_ARN "
    "--event-start-time 2026-05-01T00:00:00Z --event-end-time 2026-05-04T00:00:00Z "
    '--destination "Arn=$BUS_ARN,FilterArns=[$RULE_ARN]"': ("tests/integration/test_subscriber.py", r"start_replay\("),
    'curl -H "Authorization: Bearer $TOKEN" "$API/jobs"': ("tests/integration/test_up.py", r"curl -H"),
    "STAGE=dev SENDER=you@example.com scripts/deployment/preflight.sh": (
        *("tests/unit/deployment/test_preflight.py", r"preflight\.sh"),
    ),
    "STAGE=dev scripts/deployment/deploy.sh all": ("tests/unit/deployment/test_deploy_script.py", r"deploy\.sh"),
    "scripts/deployment/web.sh spaceport-dev": ("tests/unit/deployment/test_deploy_script.py", r"web\.sh"),
    "sam build && sam deploy --config-env dev --parameter-overrides Stage=dev SenderEmail=you@example.com "
    "AlarmEmail=you@example.com": ("tests/integration/test_sam.py", r'sam\(\s*\*\("deploy"'),
    "sam deploy --config-env dev --parameter-overrides Stage=dev ImageTag=<that tag>": (
        *("tests/integration/test_sam.py", r"--parameter-overrides"),
    ),
    "sam build && sam local invoke StartJobFunction --event events/start_job/object-created.json": (
        *("tests/integration/test_sam.py", r'"local",\s*"invoke"'),
    ),
    "sam local invoke StartJobFunction --event events/start_job/object-created.json": (
        *("tests/integration/test_sam.py", r'"local",\s*"invoke"'),
    ),
}


def shown(text: str) -> list[str]:
    """The lines that a page shows as commands, without trailing comments."""
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    lines = re.findall(r"^(?: {4}| {7})(\S.*)$", re.sub(r"\\\n\s*", " ", outside), re.M)
    typed = [re.sub(r"\s+", " ", line.partition("  #")[0].rstrip()) for line in lines if not PRINTED.match(line)]
    return [line.partition(" # ")[0] for line in typed]


COMMANDS = list(dict.fromkeys(command for guide in GUIDES for command in shown((ROOT / guide).read_text("utf-8"))))


def test_each_command_has_a_test_that_runs_it() -> None:
    assert set(COMMANDS) == set(WHERE)


@pytest.mark.parametrize("command", WHERE)
def test_a_file_that_is_said_to_run_a_command_does(command: str) -> None:
    file, call = WHERE[command]
    assert re.search(call, (ROOT / file).read_text(encoding="utf-8"), re.M), (command, file)


def test_no_other_page_shows_commands() -> None:
    """The runbook's commands are checked against AWS's own models (tests/unit/deployment/test_runbook.py)."""
    for pattern in ("*.md", "docs/*.md", "benchmarks/*.md"):
        for page in ROOT.glob(pattern):
            name = page.relative_to(ROOT).as_posix()
            if name not in (*GUIDES, "docs/runbook.md", "docs/decisions.md"):
                assert shown(page.read_text(encoding="utf-8")) == [], name


@pytest.mark.parametrize("command", [command for command in COMMANDS if " -m spaceport " in command])
def test_the_command_line_takes_what_the_guides_type(command: str) -> None:
    arguments = shlex.split(command)[3:]
    if arguments[0] not in ("doctor", "cloud"):
        parser().parse_args(arguments)


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("make demo")])
def test_the_demo_takes_what_make_makes_of_it(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dry = subprocess.run([*shlex.split(command), "-n"], cwd=ROOT, capture_output=True, text=True)
    (line,) = [line for line in dry.stdout.splitlines() if "-m local.demo" in line]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos.zip").touch()
    (tmp_path / "path" / "to" / "photos").mkdir(parents=True)
    given = demo.parse(shlex.split(line.partition("-m local.demo")[2]))
    assert given.zip == (Path(command.partition("ZIP=")[2]) if "ZIP=" in command else None)


def test_the_tutorials_failure_is_what_the_catalogue_says() -> None:
    tutorial = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    failure = FAILURES[ErrorCode.NO_OVERLAP]
    assert f"    NO_OVERLAP: {failure.sentence}\n    What to do: {failure.hint}\n" in tutorial


def test_the_demos_list_is_what_it_prints() -> None:
    listed = re.findall(r"^    (\w+) +/home/you/spaceport/out/sample/(\S+) ", README, re.M)
    assert listed == [*((label, name) for name, label in SHOWN.items()), ("mail", "mail.html")]


def test_the_first_deploy_sends_from_the_address_that_preflight_checked() -> None:
    checked = re.findall(r"^    .*\bSENDER=(\S+) scripts/deployment/preflight\.sh", README, re.M)
    deploys = re.findall(r"^    .*\bsam deploy (.*)$", README, re.M)
    assert re.findall(r"SenderEmail=(\S+)", deploys[0]) == checked != []
    assert "AlarmEmail=" in deploys[0]


def interpreters(folder: Path) -> set[str]:
    """What set-up makes, as a command names it: `.venv/bin/python`, …"""
    script = (folder / "scripts" / "setup.sh").read_text(encoding="utf-8")
    return {f"{made}/bin/python" for made in re.findall(r"\benvironment (\.venv[\w-]*) ", script)}


def test_a_command_names_an_interpreter_that_set_up_makes() -> None:
    """Set-up installs nothing outside its environments, so a bare `python -m` finds no package. Only the containers'
    entry points have no path: an image has one Python."""
    ours = r"([^\s`(]*\bpython3?) (?:-m (?:spaceport|scripts|products\.volume|benchmarks|tests)\b|scripts/)"
    for pattern in ("*.md", "docs/*.md", "benchmarks/*.md", "events/*.md"):
        for page in ROOT.glob(pattern):
            if page.name not in ("CHANGELOG.md", "tree.md"):
                assert set(re.findall(ours, page.read_text(encoding="utf-8"))) <= interpreters(ROOT), page


def test_make_has_every_target_that_the_guides_name() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.M))
    guides = "\n".join((ROOT / guide).read_text(encoding="utf-8") for guide in GUIDES)
    named = set(re.findall(r"(?:^    |`)make ([a-z-]+)", guides, re.M))
    assert {name.rstrip("-") for name in named} - {"bench"} <= targets


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


def test_the_operators_guide_lists_the_limits_with_the_templates_defaults() -> None:
    guide = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", guide, re.M))
    parameters = Template.load().parameters
    assert {"JobBudgetDollars", "DailySpendDollars", "LinkHours"} <= listed.keys()
    assert listed == {name: str(parameters[name]["Default"]) for name in listed}


def test_the_user_guide_lists_what_the_page_offers() -> None:
    page = (ROOT / "web" / "src" / "result.js").read_text(encoding="utf-8")
    offered = re.findall(r"^    \['([\w./]+)', '", page.partition("OFFERED = [")[2].partition("];")[0], re.M)
    listed = (ROOT / "docs" / "user-guide.md").read_text(encoding="utf-8").partition("## The result\n")[2]
    files = [file for file in offered if file != SAVED_VIEWER]
    assert set(files) <= DELIVERED.keys() | {"report.html"}
    assert [file for file in files if f"`{file}`" not in listed.partition("\n\n**")[0]] == []


def test_the_api_guide_has_every_option_with_its_range() -> None:
    guide = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", guide, re.M))
    for name, number in WHOLE_NUMBERS.items():
        row = rows[to_camel(name)]
        assert [int(end.replace(",", "")) for end in re.findall(r"[\d,]*\d", row)][:2] == [number.low, number.high]
    assert f"at most {MAX_NAME} characters" in guide
    assert all(f"`{name}`" in guide for name in TEXTS)
