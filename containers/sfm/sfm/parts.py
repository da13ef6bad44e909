"""Report the progress of the stage's parts and the time left."""

from __future__ import annotations

from collections.abc import Callable

from sfm.budget import TimeBudget
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
ESTIMATE_FROM = 0.05  # below it, one slow photo would dominate the estimate


def part_progress(
    context: StageContext, budget: TimeBudget, name: str, message: str, total: int = 1
) -> Callable[[float], None]:
    """Return a callback for the progress of one part: it takes the share done, 0..1, of `total` items. The callback
    raises StageError(INTERRUPTED) once the stage was asked to stop.
    """
    names = list(PARTS)
    low, high = PARTS[name], PARTS[names[names.index(name) + 1]]

    def progress(share: float) -> None:
        context.check_stop()
        overall = low + (high - low) * min(share, 1.0)
        text = f"{message} {round(share * total)}/{total}" if total > 1 else message
        seconds = seconds_left(budget.elapsed, overall)
        if seconds is None:
            context.progress.report(overall, text)
        else:
            context.progress.report(overall, f"{text}, {in_words(seconds)}", {"secondsLeft": round(seconds)})

    return progress


def seconds_left(elapsed: float, share: float) -> float | None:
    """Seconds until the stage is done, `share` of which took `elapsed` seconds; None where it is too early to say."""
    return elapsed * (1 - share) / share if share >= ESTIMATE_FROM else None


def in_words(seconds: float) -> str:
    """Seconds in words, rounded to what the estimate is worth."""
    if seconds < 50:
        return f"about {max(round(seconds, -1), 10):.0f} s left"
    if seconds < 5400:
        return f"about {max(round(seconds / 60), 1)} min left"
    return f"about {seconds / 3600:.1f} h left"
