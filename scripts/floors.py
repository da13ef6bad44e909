"""Check each part's test coverage against its floor: `python -m scripts.floors`, after a test run with --cov.

A floor is the share of lines and branches that the whole suite covered when the floor was last raised, minus one point
for differences between machines. Code in child processes and in the local cloud's own process is not traced, nor are
kernels, which numba compiles (pyproject.toml).
"""

from __future__ import annotations

import io
import sys

import coverage

FLOORS = {
    "contract": (["contract/*"], 97),
    "functions and state machine": (["functions/*", "statemachine/*"], 98),
    "containers": (["containers/*"], 95),
    "local": (["local/*"], 72),
    "command line and client": (["spaceport/*"], 90),
}


def main() -> int:
    """Print each part's coverage; returns 1 if one is below its floor."""
    data = coverage.Coverage()
    data.load()
    below = False
    for part, (files, floor) in FLOORS.items():
        reached = data.report(include=files, file=io.StringIO())
        below |= reached < floor
        print(f"coverage of {part}: {reached:.1f} % (floor {floor} %)")
    return int(below)


if __name__ == "__main__":
    sys.exit(main())
