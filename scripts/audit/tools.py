"""Run the audit tools of .venv-audit and read their reports as findings."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from local.template import load_template
from scripts.audit.findings import Finding
from scripts.audit.policies import policies_of

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / ".venv-audit" / "bin"
# lists of hashes, which would be reported as secrets
LOCKS = ("requirements.txt", "requirements-cuda.txt", "torch-cuda.txt", "cuda-toolkit.txt", "package-lock.json")
FEED_WORKERS = 4


class ToolFailed(Exception):
    """A tool returned no result."""


def run(tool: str, *arguments: str, given: str = "", accepted: Sequence[int] = (0,)) -> str:
    """Run a tool; returns its standard output. Raises ToolFailed for an exit code that is not `accepted`."""
    done = subprocess.run([str(BIN / tool), *arguments], cwd=ROOT, input=given, capture_output=True, text=True)
    if done.returncode not in accepted:
        raise ToolFailed(f"{tool} ended with {done.returncode}: {(done.stderr or done.stdout)[-1000:]}")
    return done.stdout


def checkov() -> list[Finding]:
    """Check the template, the Dockerfiles and the workflows against checkov's rules."""
    files = [
        "template.yaml",
        "scripts/deployment/deploy-role.yaml",
        *(str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("containers/*/Dockerfile"))),
    ]
    files += [str(path.relative_to(ROOT)) for path in sorted(ROOT.glob(".github/workflows/*.yml"))]
    frameworks = ("cloudformation", "dockerfile", "github_actions")
    output = run(
        *("checkov", "--framework", *frameworks, "--file", *files),
        *("--compact", "--quiet", "--skip-download", "--output", "json"),
        accepted=(0, 1),
    )
    reports: Any = json.loads(output)
    findings = []
    for report in reports if isinstance(reports, list) else [reports]:
        for failed in report["results"]["failed_checks"]:
            named = failed["resource"].rpartition(".")[2] if report["check_type"] == "cloudformation" else ""
            resource = named or failed["file_path"].lstrip("/")
            findings.append(Finding("checkov", failed["check_id"], resource, failed["check_name"]))
    return findings


def parliament() -> list[Finding]:
    """Check every policy of the template against AWS's list of actions, resources and conditions."""
    with tempfile.TemporaryDirectory() as folder:
        for name, policy in policies_of(load_template(ROOT / "template.yaml")).items():
            (Path(folder) / f"{name}.json").write_text(json.dumps(policy, indent=1), encoding="utf-8")
        output = run(
            *("parliament", "--directory", folder, "--include_policy_extension", "json", "--json"), accepted=(0, 1)
        )
    findings = []
    for line in output.splitlines():
        said = json.loads(line)
        name = Path(said["location"].get("filepath", "")).name.partition(".")[0]
        findings.append(Finding("parliament", said["issue"], name, f"{said['title']} {json.dumps(said['detail'])}"))
    return findings


def secrets() -> list[Finding]:
    """Find text that looks like a secret in the files that git tracks."""
    known = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [name for name in known.split("\0") if name and not name.endswith(LOCKS) and (ROOT / name).is_file()]
    results = json.loads(run("detect-secrets", "scan", *files))["results"]
    return [
        Finding("detect-secrets", seen["type"], name, f"line {seen['line_number']}")
        for name, found in results.items()
        for seen in found
    ]


def advisories() -> list[Finding]:
    """Find known vulnerabilities in the locked packages. Raises ToolFailed if the feed cannot be reached."""
    lists = sorted({path for path in map(Path, _tracked()) if path.name == "requirements.txt"})
    with ThreadPoolExecutor(FEED_WORKERS) as pool:
        answers = list(pool.map(_advisories_of, lists))
    dependencies = [(path, each) for path, answer in zip(lists, answers, strict=True) for each in answer]
    if all("skip_reason" in each for _, each in dependencies):
        raise ToolFailed(f"the advisory feed is out of reach: {len(lists)} locked lists went unchecked")
    return [
        Finding("pip-audit", hole["id"], each["name"], f"{each['version']} in {path}, mended in {hole['fix_versions']}")
        for path, each in dependencies
        for hole in each.get("vulns", [])
    ]


def _advisories_of(path: Path) -> list[dict[str, Any]]:
    options = ("--disable-pip", "--no-deps", "--progress-spinner", "off", "--format", "json")
    output = run("pip-audit", "--requirement", str(path), *options, accepted=(0, 1))
    try:
        dependencies: list[dict[str, Any]] = json.loads(output)["dependencies"]
    except json.JSONDecodeError as error:
        raise ToolFailed(f"the advisory feed is out of reach: {path} went unchecked") from error
    return dependencies


def _tracked() -> list[str]:
    return subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
