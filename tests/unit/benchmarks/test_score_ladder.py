"""Splats degraded step by step: each step is farther from the original splat, and the score's parts fall with it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from benchmarks.ruins import RUINS
from benchmarks.score import Rung, agreement
from deliver.report import Quality, score_parts
from splat.camera import look_at
from splat.gaussians import Gaussians
from splat.offpath import Surfaces, look_around, match_off_path
from splat.render import render
from tests.support.gaussians import gaussians_of
from trainer.evaluate import gmsd, psnr_over

UP = np.array([0.0, 0.0, 1.0])
DISTANCE = 9.0


def ground() -> tuple[Gaussians, Surfaces]:
    """Level ground, 12 by 12 units, in squares of two colours."""
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(-6, 6, 0.1), np.arange(-6, 6, 0.1)))
    light = (np.floor(x) + np.floor(y)) % 2
    colours = np.where(light[:, None] > 0, [0.8, 0.7, 0.6], [0.2, 0.4, 0.3])
    points = np.stack([x, y, np.zeros_like(x)], axis=1)
    splat = gaussians_of(
        means=points,
        quats=np.tile([1.0, 0, 0, 0], (len(x), 1)),
        scales=np.log(np.tile([0.06, 0.06, 0.01], (len(x), 1))),
        opacities=np.full(len(x), 3.5),
        sh0=(colours - 0.5) / 0.28209479,
        shN=np.zeros((len(x), 0, 3)),
    )
    return splat, Surfaces(points, np.tile(UP, (len(points), 1)), colours)


@pytest.mark.parametrize("kind", RUINS)
def test_the_score_falls_with_every_degree_of_ruin(kind: str) -> None:
    splat, surfaces = ground()
    camera = look_at((0, 0, DISTANCE), (0, 0, 0), (0, 1, 0), width=240, height=180)
    photo = render(splat, camera).clip(0, 1)
    around = look_around(surfaces.points, DISTANCE, UP)[:3]
    ruin, degrees = RUINS[kind]
    scores, everywhere = [], np.ones(photo.shape[:2], bool)
    for made in [splat, *(ruin(splat, degree, DISTANCE) for degree in degrees)]:
        picture = render(made, camera).clip(0, 1)
        match = match_off_path(made, surfaces, around)
        assert match is not None
        found = Quality(
            psnr_over(picture, photo, everywhere), gmsd(picture, photo), match.contrast_to_error, 1.0, 20, 20
        )
        scores.append(sum(part.points for part in score_parts(found)))
    assert scores[0] > 90
    assert all(lower < upper - 0.5 for upper, lower in pairwise(scores)), scores
    assert scores[-1] < 60


def test_a_ruin_leaves_its_splat_alone_and_repeats_itself() -> None:
    splat, _ = ground()
    before = replace(splat, means=splat.means.copy(), scales=splat.scales.copy())
    for ruin, degrees in RUINS.values():
        once, again = ruin(splat, degrees[-1], DISTANCE), ruin(splat, degrees[-1], DISTANCE)
        assert np.array_equal(once.means, again.means)
        assert np.array_equal(splat.means, before.means)
        assert np.array_equal(splat.scales, before.scales)


def test_a_step_down_that_the_score_does_not_notice_is_counted() -> None:
    def ladder(*rungs: tuple[float, float]) -> list[Rung]:
        return [Rung(f"{truth}", {}, score, truth) for truth, score in rungs]

    good = ladder((25, 90), (22, 70), (18, 40))
    assert agreement({"one": [good]}) == {"splats": 3, "spearman": 1.0, "steps": 2, "not_lowered": 0}
    blind = ladder((25, 90), (21, 90), (17, 95))
    found = agreement({"one": [good], "two": [blind]})
    assert found["not_lowered"] == 2
    assert found["spearman"] < 1
