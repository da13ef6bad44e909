"""How long a job that has not begun is likely to take, and what its machines cost, estimated from earlier jobs."""

from __future__ import annotations

from collections.abc import Mapping

from contract.options import DEFAULT_QUALITY, Quality
from contract.stages import PipelineStep, Stage
from domain.cost import Prices
from domain.job_item import JobItem
from domain.pace import Pace, PaceTable, around, in_words, machine_seconds, whole_job
from domain.preflight import divided_from

Range = tuple[float, float]


class Expectation:
    """`machines`: the instance type of each stage and quality, because each type has its own pace."""

    def __init__(self, paces: PaceTable, machines: Mapping[Stage, Mapping[Quality, str]]) -> None:
        self._paces, self._machines = paces, machines

    def of(self, item: JobItem) -> str | None:
        """A range in words; None if nothing was recorded about the job, or if it reuses earlier results."""
        if item.pipeline_step is None or item.rerun_of is not None:
            return None
        paces = self._of(item.pipeline_step, Quality(item.quality or DEFAULT_QUALITY))
        return in_words(*whole_job(item.pipeline_step.stages, paces, item))

    def of_each_quality(
        self, step: PipelineStep, photos: int | None, prices: Prices
    ) -> dict[Quality, tuple[Range, Range | None]]:
        """The shortest and longest time in seconds of a job that has not been sent yet, and its dollars (None if a
        price is unknown). `photos`: None for the usual number."""
        step = divided_from(step, photos or 0)
        item = JobItem(job_id="", pipeline_step=step, photos=photos)
        found = {}
        for quality in Quality:
            paces = self._of(step, quality)
            found[quality] = whole_job(step.stages, paces, item), self._dollars(item, paces, quality, prices)
        return found

    def _dollars(self, item: JobItem, paces: Mapping[Stage, Pace], quality: Quality, prices: Prices) -> Range | None:
        each = [
            prices.dollars(self._machines[stage][quality], machine_seconds(stage, item, pace))
            for stage, pace in paces.items()
        ]
        known = [dollars for dollars in each if dollars is not None]
        return around(sum(known), list(paces), paces) if len(known) == len(each) else None

    def _of(self, step: PipelineStep, quality: Quality) -> dict[Stage, Pace]:
        return {stage: self._paces.read(stage, self._machines[stage][quality], quality) for stage in step.stages}
