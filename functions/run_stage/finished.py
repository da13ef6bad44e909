"""Find blocks of a large flight that an earlier run of the job has finished: a rerun reuses them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from domain.compute import Compute
from domain.cost import NOTHING
from domain.job import earlier_job_ids
from domain.outcome import RunStatus, outcome_of
from domain.reporting import StageReporter
from domain.results import DamagedResult
from domain.sagemaker_requests import same_work
from domain.stage_runs import StageRuns
from domain.stages import StageOutput, StageRun


class FinishedBlocks:
    """Everything that it calls is passed in."""

    def __init__(self, runs: StageRuns, compute: Compute, reporter: StageReporter) -> None:
        self._runs, self._compute, self._reporter = runs, compute, reporter

    def find(self, run: StageRun, request: Mapping[str, Any]) -> StageOutput | None:
        """The output of an earlier run of the same block, at no cost; None unless that run had the same inputs and
        options, and its result still exists. `request`: the Create request of the training that this saves."""
        for earlier in self._before(run):
            described = self._compute.describe(earlier)
            outcome = outcome_of(earlier, described)
            if described is None or outcome.status is not RunStatus.COMPLETED or not same_work(request, described):
                continue
            try:
                output = self._reporter.output_of(earlier, outcome)
            except DamagedResult:
                continue
            if output is not None:
                return output.model_copy(update={"seconds": 0.0, "cost": dict(NOTHING)})
        return None

    def _before(self, run: StageRun) -> Iterator[StageRun]:
        """The earlier runs of the same block, newest first."""
        for job_id in earlier_job_ids(run.job_id):
            for waiting in reversed(self._runs.of_job(job_id)):
                if (waiting.run.stage, waiting.run.block) == (run.stage, run.block):
                    yield waiting.run
