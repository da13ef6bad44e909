"""The verdict: good, usable or poor, the reason, and one thing to do next."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.options import Quality as Option
from contract.stages import PipelineStep, Stage
from deliver.report import Quality, score_parts
from deliver.verdict import MIN_SCORE_GOOD, MIN_SCORE_USABLE, Verdict, verdict_of
from domain.job import JobOptions

GOOD = Quality(psnr=30.0, gmsd=0.1, off_path=16.0, seen=0.9, photos=20, registered=20)


def verdict(quality: Quality, option: Option = Option.STANDARD, step: PipelineStep = PipelineStep.FULL) -> Verdict:
    parts = score_parts(quality)
    found = verdict_of(round(sum(part.points for part in parts)), parts, JobOptions(quality=option, pipeline_step=step))
    assert found is not None
    return found


def test_a_good_scene_asks_for_nothing() -> None:
    assert (verdict(GOOD).grade, verdict(GOOD).next_step) == ("good", None)


def test_a_poor_preview_is_made_again_in_standard_quality_from_training_on() -> None:
    found = verdict(replace(GOOD, psnr=16.9, off_path=2.0, gmsd=0.3), Option.PREVIEW)
    assert found.grade == "poor"
    assert "Preview quality" in found.why
    assert found.next_step is not None
    assert (found.next_step.from_stage, found.next_step.quality) == (Stage.TRAINING, Option.STANDARD)
    assert found.next_step.label == "Make it again in Standard quality"


def test_what_more_training_cannot_mend_asks_for_photos() -> None:
    found = verdict(replace(GOOD, off_path=1.5))
    assert "from all sides" in found.why
    assert "Fly a ring" in found.why
    assert found.next_step is not None
    assert found.next_step.from_stage is None


def test_the_best_quality_has_no_better_one() -> None:
    found = verdict(replace(GOOD, psnr=14.0, gmsd=0.32), Option.HIGH)
    assert found.next_step is not None
    assert found.next_step.quality is None


def test_a_job_without_a_score_has_no_verdict() -> None:
    assert verdict_of(None, [], JobOptions()) is None


@pytest.mark.parametrize(
    ("score", "grade"),
    [
        (MIN_SCORE_GOOD, "good"),
        (MIN_SCORE_GOOD - 1, "usable"),
        (MIN_SCORE_USABLE, "usable"),
        (MIN_SCORE_USABLE - 1, "poor"),
    ],
)
def test_the_bounds_belong_to_the_better_grade(score: int, grade: str) -> None:
    found = verdict_of(score, score_parts(GOOD), JobOptions())
    assert found is not None
    assert found.grade == grade


@given(
    st.floats(0, 40), st.floats(0, 0.5), st.floats(-10, 30), st.floats(0, 1), st.sampled_from(Option),
    st.sampled_from([PipelineStep.FULL, PipelineStep.TRAINING]),
)  # fmt: skip
def test_there_is_one_next_step_unless_the_scene_is_good(
    psnr: float, gmsd: float, off_path: float, seen: float, option: Option, step: PipelineStep
) -> None:
    found = verdict(Quality(psnr, gmsd, off_path, seen, photos=20, registered=15), option, step)
    assert (found.next_step is None) == (found.grade == "good")
    assert found.sentence.endswith(".")
