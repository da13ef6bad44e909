"""Points by which a benchmark's scene is aligned: where marks meet in the model, whatever the survey says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.check_points import places_in
from tests.unit.sfm.test_sfm_control import flight, surveyed


def test_places_in_the_model_are_where_marks_meet_and_not_where_the_survey_has_them() -> None:
    model = flight()
    points = surveyed(model)
    elsewhere = replace(points[4].position, altitude=430.0)
    points[4] = replace(points[4], position=elsewhere)
    found = places_in(model, points)
    expected = [model.point3D(number).xyz for number in sorted(model.points3D)]
    np.testing.assert_allclose([found[f"P{row}"] for row in range(5)], expected, atol=1e-5)
