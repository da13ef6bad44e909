"""Serve the queues of stage runs that wait for a machine."""

from __future__ import annotations

from contract.stages import Stage
from domain.capacity import Queue
from domain.stages import StageRun


class Dispatcher:
    """Everything that it calls is passed in."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def machine_freed(self, stage: Stage) -> list[StageRun]:
        """A job of this stage has ended: serve the runs that wait for such a machine. Returns those that got one."""
        return self._queue.serve(stage)

    def look_round(self) -> list[StageRun]:
        """Serve every queue, in case an event was lost."""
        kinds = {stage.kind: stage for stage in Stage}
        return [run for stage in kinds.values() for run in self._queue.serve(stage)]
