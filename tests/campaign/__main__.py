"""Run many histories: `python -m tests.campaign --histories 2000 [--seed 1]`; the last line of output is JSON."""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter

import tests.conftest  # noqa: F401  no AWS account within reach
from tests.campaign.history import play


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument("--histories", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0, help="of the first history")
    parser.add_argument("--first", action="store_true", help="end with the first history that breaks an invariant")
    arguments = parser.parse_args()
    started, outcomes, jobs, invocations, dead, broken = time.process_time(), Counter[str](), 0, 0, 0, list[int]()
    for seed in range(arguments.seed, arguments.seed + arguments.histories):
        report = play(seed)
        outcomes += report.outcomes
        jobs, invocations, dead = jobs + report.jobs, invocations + report.invocations, dead + report.dead_letters
        if report.faults:
            broken.append(seed)
            print(f"seed {seed}:", *report.faults, sep="\n  ", flush=True)
            if arguments.first:
                break
    figures = {
        "histories": arguments.histories,
        "uploads": jobs,
        "invocations": invocations,
        "deadLettersRedriven": dead,
        "outcomes": dict(sorted(outcomes.items())),
        "broken": broken,
        "cpuSeconds": round(time.process_time() - started, 1),
    }
    print(json.dumps(figures))
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
