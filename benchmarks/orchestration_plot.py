"""Plot queue time and cost against the quota of training machines: docs/images/orchestration_day.svg."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

from benchmarks.orchestration_day import Day


def plot(quotas: Sequence[int], days: Sequence[Day], orchestration: Sequence[float], path: Path) -> None:
    """Write the plot, whole or not at all. `orchestration`: dollars per job besides the machines, one per quota."""
    matplotlib.rcParams |= {"svg.hashsalt": "spaceport", "font.size": 9}
    figure, (queue, cost) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for share, label in ((0.5, "half of the jobs wait less"), (0.95, "95 %"), (1.0, "the longest")):
        queue.plot(quotas, [day.wait(share) / 3600 for day in days], marker="o", markersize=3, label=label)
    queue.set(xlabel="training machines in the quota", ylabel="hours in queues", ylim=(0, None))
    queue.set_title("100,000 jobs in a day: wait for machines", fontsize=9)
    compute = [day.compute_dollars / day.jobs for day in days]
    cost.plot(quotas, compute, marker="o", markersize=3, label="machines, on demand")
    cost.plot(quotas, orchestration, marker="o", markersize=3, label="orchestration")
    cost.set(xlabel="training machines in the quota", ylabel="dollars a job", yscale="log")
    cost.set_title("cost of a job", fontsize=9)
    for axes in (queue, cost):
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    partial = path.with_suffix(".partial.svg")
    figure.savefig(partial, metadata={"Date": None})
    partial.rename(path)
    plt.close(figure)
