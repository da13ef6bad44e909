"""Findings of the audit tools, and the exceptions for them in tests/audit/exceptions.yaml."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import yaml


@dataclass(frozen=True)
class Finding:
    """A finding. `rule`: the tool's name for it; `resource`: a logical name in the template, a file or a package."""

    tool: str
    rule: str
    resource: str
    text: str

    def __str__(self) -> str:
        return f"{self.tool} {self.rule} {self.resource}: {self.text}"


@dataclass(frozen=True)
class Accepted:
    """An accepted finding; `resource` may contain the wildcards of fnmatch."""

    tool: str
    rule: str
    resource: str
    reason: str

    def covers(self, finding: Finding) -> bool:
        same = (self.tool, self.rule) == (finding.tool, finding.rule)
        return same and fnmatchcase(finding.resource, self.resource)

    def __str__(self) -> str:
        return f"{self.tool} {self.rule} {self.resource}"


@dataclass(frozen=True)
class Audit:
    """`open`: findings without an exception. `stale`: exceptions that match no finding."""

    open: tuple[Finding, ...]
    stale: tuple[Accepted, ...]


def load_accepted(path: Path) -> list[Accepted]:
    """The exceptions, one for each resource of an entry. Raises ValueError for an incomplete entry."""
    accepted = []
    for entry in yaml.safe_load(path.read_text(encoding="utf-8")):
        if (
            set(entry) != {"tool", "rule", "resources", "reason"}
            or not entry["resources"]
            or not entry["reason"].strip()
        ):
            raise ValueError(f"an exception has a tool, a rule, resources and a reason: {entry}")
        accepted += [Accepted(entry["tool"], entry["rule"], name, entry["reason"]) for name in entry["resources"]]
    return accepted


def compare(findings: Iterable[Finding], accepted: Iterable[Accepted], ran: set[str]) -> Audit:
    """Compare findings with the exceptions. Only exceptions for tools that `ran` can be stale."""
    findings, accepted = list(findings), list(accepted)
    without = tuple(finding for finding in findings if not any(one.covers(finding) for one in accepted))
    idle = (one for one in accepted if one.tool in ran and not any(one.covers(finding) for finding in findings))
    return Audit(without, tuple(idle))
