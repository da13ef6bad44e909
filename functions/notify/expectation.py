"""How long a job that starts is likely to take, by what earlier jobs took."""

from __future__ import annotations

from collections.abc import Mapping

from contract.options import DEFAULT_QUALITY, Quality
from contract.stages import Stage
from domain.job_item import JobItem
from domain.pace import PaceTable, in_words, whole_job


class Expectation:
    """`machines`: the instance type of each stage and quality, since a pace is a machine's."""

    def __init__(self, paces: PaceTable, machines: Mapping[Stage, Mapping[Quality, str]]) -> None:
        self._paces, self._machines = paces, machines

    def of(self, item: JobItem) -> str | None:
        """A range in words; None for a job of which nothing was recorded, and for one that reuses earlier results."""
        if item.pipeline_step is None or item.rerun_of is not None:
            return None
        quality = Quality(item.quality or DEFAULT_QUALITY)
        stages = item.pipeline_step.stages
        paces = {stage: self._paces.read(stage, self._machines[stage][quality], quality) for stage in stages}
        return in_words(*whole_job(stages, paces, item))
