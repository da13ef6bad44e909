"""`make bench-orchestration`: measure the orchestration itself. The last line is one line of JSON.

It measures the overhead of warm jobs and a load of many uploads on the local cloud with stub containers, and the cold
start of every function, and simulates a day of 100,000 jobs against AWS' service quotas, with the plot
docs/images/orchestration_day.svg.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.orchestration_cold import Bundle, ColdStart, cold_starts
from benchmarks.orchestration_day import BEAT_SECONDS, LOOK_ROUND, Day, machines_needed, simulate
from benchmarks.orchestration_load import Load, Overhead, measure_overhead, run_load, stub_stack
from benchmarks.orchestration_plot import plot
from benchmarks.orchestration_prices import GB_SECOND, PROGRESS_EVENTS, dollars_a_job
from contract.stages import Stage
from local.cloud import ROOT
from local.sample_photos import BUILD

JOBS_A_DAY = 100_000
# machines in the quota per machine that is busy on average
SHARES = (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6)
PLOT = ROOT / "docs" / "images" / "orchestration_day.svg"
Figures = dict[str, float | int]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--uploads", type=int, default=1000)
    parser.add_argument("--warm", type=int, default=20, help="jobs whose overhead is measured")
    arguments = parser.parse_args()
    starts, bundle = cold_starts(BUILD)
    print(cold_table(starts, bundle), flush=True)
    with tempfile.TemporaryDirectory(prefix="spaceport-bench-") as folder, stub_stack(Path(folder)) as stack:
        overhead = measure_overhead(stack, arguments.warm)
        print(f"overhead of a warm job: median {overhead.median:.2f} s of {len(overhead.seconds)}", flush=True)
        load = run_load(stack, arguments.uploads, show_progress)
    print(f"\n{load}", flush=True)
    figures = cold_figures(starts, bundle) | load_figures(overhead, load)
    print(json.dumps(figures | day_figures(overhead)))
    return 0 if load.all_well else 1


def cold_table(starts: list[ColdStart], bundle: Bundle) -> str:
    lines = [f"{'function':<16} {'import ms':>9} {'CPU ms':>7}"]
    lines += [f"{start.function:<16} {start.wall_ms:>9.0f} {start.cpu_ms:>7.0f}" for start in starts]
    return "\n".join([*lines, f"bundle {bundle.packed / 1e6:.1f} MB zipped, {bundle.unpacked / 1e6:.1f} MB unpacked"])


def cold_figures(starts: list[ColdStart], bundle: Bundle) -> Figures:
    return {
        **{f"import_ms_{start.function}": start.wall_ms for start in starts},
        "import_ms_longest": max(start.wall_ms for start in starts),
        "bundle_bytes": bundle.packed,
    }


def load_figures(overhead: Overhead, load: Load) -> Figures:
    dollars = dollars_a_job(overhead.transitions, overhead.invocations, overhead.gb_seconds, overhead.status_events)
    return {
        "overhead_s_median": round(overhead.median, 3),
        "overhead_s_longest": round(max(overhead.seconds), 3),
        "state_transitions_a_job": overhead.transitions,
        "invocations_a_job": round(overhead.invocations, 1),
        "gb_seconds_a_job": round(overhead.gb_seconds, 2),
        **{f"dollars_a_job_{part}": round(price, 7) for part, price in dollars.items()},
        "load_uploads": load.uploads,
        "load_succeeded": load.succeeded,
        "load_one_mail_each": load.mails[1],
        "load_jobs_a_minute": round(60 * load.uploads / load.seconds, 1),
    }


def day_figures(overhead: Overhead) -> Figures:
    """Simulate the day for each quota, draw the plot, print the table."""
    quotas, days, orchestration = [], [], []
    dollars = dollars_a_job(overhead.transitions, overhead.invocations, overhead.gb_seconds, overhead.status_events)
    print(
        f"\n{'training machines':>17} {'wait, median':>12} {'95 %':>7} {'queue':>7} {'idle, longest':>13} {'beats':>7}"
        f" {'machines $':>10} {'rest $':>8}"
    )
    for share in SHARES:
        quota = {stage: round(share * machines_needed(JOBS_A_DAY, stage)) for stage in Stage}
        published = overhead.status_events + PROGRESS_EVENTS
        day = simulate(JOBS_A_DAY, quota, transitions=overhead.transitions, status_events=published)
        waiting = day.beats * BEAT_SECONDS * 0.5 * GB_SECOND / day.jobs
        quotas.append(quota[Stage.TRAINING])
        days.append(day)
        orchestration.append(dollars["total"] + waiting)
        print(
            f"{quotas[-1]:>17} {day.wait(0.5) / 3600:>10.2f} h {day.wait(0.95) / 3600:>5.2f} h {day.longest_queue:>7} "
            f"{day.longest_idle:>11.1f} s {day.longest_beats:>5.0f} s "
            f"{day.compute_dollars / day.jobs:>10.3f} {orchestration[-1]:>8.5f}"
        )
    plot(quotas, days, orchestration, PLOT)
    enough = next(index for index, day in enumerate(days) if day.wait(0.95) < LOOK_ROUND)
    return {
        "day_jobs": JOBS_A_DAY,
        "day_training_machines_for_no_wait": quotas[enough],
        "day_longest_idle_s": round(max(day.longest_idle for day in days), 1),
        "day_longest_beats_s": round(max(day.longest_beats for day in days), 1),
        **throttle_figures(days),
        "day_dollars_a_job_machines": round(days[enough].compute_dollars / JOBS_A_DAY, 3),
        "day_dollars_a_job_orchestration": round(orchestration[enough], 5),
    }


def throttle_figures(days: list[Day]) -> Figures:
    """The longest wait at each of AWS' token buckets, over all quotas."""
    return {f"day_throttled_s_{name}": round(max(day.throttled[name] for day in days), 1) for name in days[0].throttled}


def show_progress(ended: int) -> None:
    """Print progress: in place on a terminal, otherwise a line every minute."""
    now = time.monotonic()
    if sys.stdout.isatty() or now - _shown[0] > 60:
        print(f"{ended} jobs have ended", end="\r" if sys.stdout.isatty() else "\n", flush=True)
        _shown[0] = now


_shown = [0.0]


if __name__ == "__main__":
    sys.exit(main())
