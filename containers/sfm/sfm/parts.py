"""Report the progress of the stage's parts. How long they take is estimated elsewhere, once for the whole job."""

from __future__ import annotations

from collections.abc import Callable

from stage.contract import StageContext

# start of each part between 0 and 1, by measured shares of the time
PARTS = {
    "unpack": 0.0,
    "ingest": 0.01,
    "features": 0.03,
    "matching": 0.4,
    "mapping": 0.63,
    "undistort": 0.93,
    "end": 0.99,
}


def part_progress(context: StageContext, name: str, message: str, total: int = 1) -> Callable[[float], None]:
    """Return a callback for the progress of one part: it takes the share done, 0..1, of `total` items. The callback
    raises StageError(INTERRUPTED) once the stage was asked to stop.
    """
    names = list(PARTS)
    low, high = PARTS[name], PARTS[names[names.index(name) + 1]]

    def progress(share: float) -> None:
        context.check_stop()
        overall = low + (high - low) * min(share, 1.0)
        text = f"{message} {round(share * total)}/{total}" if total > 1 else message
        context.progress.report(overall, text)

    return progress
