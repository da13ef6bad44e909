"""`python -m spaceport`, and the command `spaceport` of an installation."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# an installation brings the project's other folders along (setup.py); in a checkout they lie beside this one
ROOT = HERE / "_project" if (HERE / "_project").is_dir() else HERE.parent


def main() -> int:
    """Run the command line; returns the exit code."""
    for folder in (ROOT, ROOT / "functions"):
        if str(folder) not in sys.path:
            sys.path.append(str(folder))  # what is imported below is found there
    if sys.argv[1:2] == ["doctor"]:
        from spaceport import doctor  # which needs none of the packages that it looks for

        return doctor.report(doctor.checks(ROOT), sys.stdout)
    from spaceport.cli import main as run

    return run(sys.argv[1:], ROOT)


if __name__ == "__main__":
    sys.exit(main())
