"""Findings of the audit tools, and the exceptions for them in tests/audit/exceptions.yaml."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import yaml


@dataclass(frozen=True)
class Finding:
    """`rule`: the tool's own name of it; `resource`: a logical name of the template, a file, a package."""

    tool: str
    rule: str
    resource: str
    text: str

    def __str__(self) -> str:
        return f"{self.tool} {self.rule} {self.resource}: {self.text}"


@dataclass(frozen=True)
class Argued:
    """An exception: `resource` may hold the wildcards of fnmatch."""

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
class Verdict:
    """`open`: what nobody has argued. `stale`: exceptions that no longer except anything."""

    open: tuple[Finding, ...]
    stale: tuple[Argued, ...]


def load_argued(path: Path) -> list[Argued]:
    """The exceptions, one for each of an entry's resources. Raises ValueError for an entry that is not whole."""
    argued = []
    for entry in yaml.safe_load(path.read_text(encoding="utf-8")):
        if (
            set(entry) != {"tool", "rule", "resources", "reason"}
            or not entry["resources"]
            or not entry["reason"].strip()
        ):
            raise ValueError(f"an exception has a tool, a rule, resources and a reason: {entry}")
        argued += [Argued(entry["tool"], entry["rule"], name, entry["reason"]) for name in entry["resources"]]
    return argued


def judge(findings: Iterable[Finding], argued: Iterable[Argued], ran: set[str]) -> Verdict:
    """`ran`: the tools that came to a result; of the others nobody knows whether an exception still applies."""
    findings, argued = list(findings), list(argued)
    unargued = tuple(finding for finding in findings if not any(one.covers(finding) for one in argued))
    idle = (one for one in argued if one.tool in ran and not any(one.covers(finding) for finding in findings))
    return Verdict(unargued, tuple(idle))
