"""Apply a status event to its job's item, and learn from it how long stages take."""

from __future__ import annotations

from domain.block_progress import BlocksSoFar, in_blocks, own_moments, own_updates, stage_event
from domain.job_item import ItemUpdate, JobItem, applied, updates_for
from domain.jobs_table import JobsTable
from domain.status import StatusEvent
from track_progress.estimate import Estimator, moments


class Tracker:
    """Everything that it calls is passed in. Late and repeated events change nothing."""

    def __init__(self, jobs: JobsTable, estimator: Estimator) -> None:
        self._jobs, self._estimator = jobs, estimator

    def track(self, event: StatusEvent) -> int:
        """Returns how many updates of the item were new."""
        job_id = event.detail.job_id
        attributes, own, began = self._jobs.attributes(job_id), list[ItemUpdate](), dict[str, str]()
        blocks: BlocksSoFar | None = None
        if event.detail.block is not None:
            own, began = own_updates(event), own_moments(event)
            attributes = applied(attributes, own, began)
            blocks = BlocksSoFar.of(attributes)
            event = stage_event(event, blocks)
        updates, reached = updates_for(event), moments(event)
        item = JobItem.of(applied(attributes, updates, reached))
        eta = self._estimator.estimate(event, item, blocks)
        # one write: a stage reports its progress every few seconds
        news = self._jobs.apply(job_id, [*own, *updates, *([eta] if eta else [])], {**began, **reached})
        if not in_blocks(attributes):  # blocks that run side by side do not show the pace of one training
            self._estimator.learn(event, item)
        return news
