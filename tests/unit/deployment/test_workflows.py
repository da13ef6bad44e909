"""GitHub's workflows: every push and pull request runs .ci/run, and no image is built before it has passed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.conftest import SLOW

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / ".github" / "workflows"


def workflow(name: str) -> dict[str, Any]:
    """A workflow's content; YAML 1.1 reads its key `on` as true, so that it is given its name back."""
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


def test_ci_draws_the_same_examples_every_time() -> None:
    """tests/conftest.py derandomises hypothesis where CI is set."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.search(r"^set -euo pipefail$.*^export CI=1\b", script, re.M | re.S)
    assert re.findall(r"^make (\w+)$", script, re.M) == ["lint", "audit", "docs", "test"]


def test_a_script_stops_at_its_first_failure() -> None:
    scripts = [ROOT / ".ci" / "run", *(ROOT / "scripts").rglob("*.sh")]
    assert [path.name for path in scripts if "\nset -euo pipefail\n" not in path.read_text(encoding="utf-8")] == []


def test_what_is_listed_as_slow_is_there() -> None:
    for listed in SLOW:
        path, _, name = listed.partition("::")
        place = ROOT / "tests" / "unit" / path
        assert place.exists(), listed
        assert not name or f"def {name}" in place.read_text(encoding="utf-8"), listed


def test_the_nightly_commands_are_targets_of_the_makefile() -> None:
    commands = WORKFLOWS["nightly.yml"]["jobs"]["campaigns"]["strategy"]["matrix"]["command"]
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {command.split()[1] for command in commands} == {"campaign", "fuzz", "mutants"} <= targets
