"""`python -m scripts.audit`: run the audit tools; exit code 1 for findings without an exception, 2 if a tool failed."""

from __future__ import annotations

import sys
from collections.abc import Callable

from scripts.audit import tools
from scripts.audit.findings import Finding, compare, load_accepted
from scripts.audit.sbom import write_sboms
from scripts.audit.tools import ROOT, ToolFailed

EXCEPTIONS = ROOT / "tests" / "audit" / "exceptions.yaml"
CHECKS: dict[str, Callable[[], list[Finding]]] = {
    "checkov": tools.checkov,
    "parliament": tools.parliament,
    "detect-secrets": tools.secrets,
}


def main() -> int:
    findings: list[Finding] = []
    ran: set[str] = set()
    try:
        for name, check in CHECKS.items():
            found = check()
            print(f"{name}: {len(found)} findings")
            findings += found
            ran.add(name)
        for path in write_sboms(ROOT / ".build" / "sbom"):
            print(f"bill of material: {path.relative_to(ROOT)}")
    except ToolFailed as failure:
        print(failure, file=sys.stderr)
        return 2
    try:  # a missing feed does not fail the audit
        found = tools.advisories()
        print(f"pip-audit: {len(found)} findings")
        findings += found
        ran.add("pip-audit")
    except ToolFailed as failure:
        print(f"pip-audit: {failure}")
    audit = compare(findings, load_accepted(EXCEPTIONS), ran)
    for finding in audit.open:
        print(f"open: {finding}")
    for accepted in audit.stale:
        print(f"no longer needed in {EXCEPTIONS.relative_to(ROOT)}: {accepted}")
    clean = not audit.open and not audit.stale
    print(f"{len(findings) - len(audit.open)} accepted, {len(audit.open)} open, {len(audit.stale)} stale")
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
