"""Send many hostile inputs: `python -m tests.fuzz --inputs 10000 [--seed 1]`; the last line of output is JSON."""

from __future__ import annotations

import argparse
import json
import time

import tests.conftest  # noqa: F401  no AWS account within reach
from tests.fuzz.campaign import play


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0, help="of the first input")
    arguments = parser.parse_args()
    started = time.process_time()
    report = play(range(arguments.seed, arguments.seed + arguments.inputs))
    print(*report.faults, sep="\n", flush=True)
    figures = {
        "inputs": report.inputs,
        "outcomes": dict(sorted(report.outcomes.items())),
        "refusals": {door: len(refusals) for door, refusals in report.refusals.items()},
        "faults": len(report.faults),
        "cpuSeconds": round(time.process_time() - started, 1),
    }
    print(json.dumps(figures))
    return 1 if report.faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
