"""Decide whether a scene is good, usable or poor, why, and what to do next. Pure."""

from __future__ import annotations

from typing import Literal

from contract.options import Quality
from contract.stages import Stage
from deliver.report import MATCH, SHARPNESS, ScorePart
from domain.job import Camel, JobOptions

Grade = Literal["good", "usable", "poor"]
MIN_SCORE_GOOD, MIN_SCORE_USABLE = 75, 55
_BETTER = {Quality.PREVIEW: Quality.STANDARD, Quality.STANDARD: Quality.HIGH}


class NextStep(Camel):
    """The button beside the verdict: make the scene again from a stage on in a better quality; without stage and
    quality, upload more photos."""

    label: str
    from_stage: Stage | None = None
    quality: Quality | None = None


class Verdict(Camel):
    """`sentence`: what the scene is good for; `why`: its weakest part; `next_step`: None if there is nothing to do."""

    grade: Grade
    sentence: str
    why: str
    next_step: NextStep | None = None


_SENTENCES: dict[Grade, str] = {
    "good": "A good scene: suitable for presentation and for measuring.",
    "usable": "A usable scene: fine for an overview; look closely before you rely on details.",
    "poor": "A poor scene: do not rely on what it shows.",
}


def verdict_of(score: int | None, parts: list[ScorePart], options: JobOptions) -> Verdict | None:
    """The verdict by the score and its parts; None if the job has no score."""
    if score is None or not parts:
        return None
    grade: Grade = "good" if score >= MIN_SCORE_GOOD else "usable" if score >= MIN_SCORE_USABLE else "poor"
    if grade == "good":
        return Verdict(grade=grade, sentence=_SENTENCES[grade], why="")
    weakest = min(parts, key=lambda part: part.points / part.most)
    why = f"Weakest part: {weakest.name.lower()} ({weakest.points:.0f} of {weakest.most} points). {weakest.cause}"
    if options.quality is Quality.PREVIEW:
        why = f"It was made in Preview quality, which only checks the coverage. {why}"
    return Verdict(grade=grade, sentence=_SENTENCES[grade], why=why, next_step=_next(weakest, options))


def _next(weakest: ScorePart, options: JobOptions) -> NextStep:
    """More training if that can help, and always after a preview; otherwise more photos."""
    better = _BETTER.get(options.quality)
    if better is not None and (options.quality is Quality.PREVIEW or weakest.name in (MATCH, SHARPNESS)):
        return NextStep(
            label=f"Make it again in {better.value.capitalize()} quality",
            from_stage=max(Stage.TRAINING, options.pipeline_step.stages[0], key=lambda stage: stage.ordinal),
            quality=better,
        )
    return NextStep(label="Upload more photos")
