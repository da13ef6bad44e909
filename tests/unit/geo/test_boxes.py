"""Which block owns a place, and with what weight: the weights of a place add up to one."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from contract.blocks import Box, Hull
from geo.boxes import along_axes, box_shares, hull_share, in_box, in_hull
from splat.fading import faded
from tests.support.blocks import NUMBERS, plan_of, tilings

PLACES = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=20)
T_JUNCTION = [Box((None, None), (0.0, None)), Box((0.0, None), (None, 5.0)), Box((0.0, 5.0), (None, None))]


def near_seams(boxes: list[Box]) -> list[tuple[float, float]]:
    """Corners and ends of seams, where three or four boxes meet, and places beside them."""
    values = [
        sorted({side.value for box in boxes for side in box.sides() if side.axis == axis} or {0.0}) for axis in (0, 1)
    ]
    return [(x + dx, y + dy) for x in values[0] for y in values[1] for dx in (-0.7, 0, 0.7) for dy in (-0.7, 0, 0.7)]


@given(boxes=tilings(), places=PLACES, fade=st.floats(0.1, 200))
def test_the_blocks_shares_of_a_place_add_up_to_one(
    boxes: list[Box], places: list[tuple[float, float]], fade: float
) -> None:
    anywhere = np.array([*places, *near_seams(boxes)])
    shares = box_shares(plan_of(boxes, fade), anywhere)
    np.testing.assert_allclose(shares.sum(axis=0), 1, atol=1e-12)
    assert (shares >= 0).all()


@given(boxes=tilings(), places=PLACES)
def test_arrays_are_held_as_single_places_are(boxes: list[Box], places: list[tuple[float, float]]) -> None:
    for box in boxes:
        assert in_box(box, np.array(places), 3.0).tolist() == [box.holds(place, 3.0) for place in places]


def test_a_share_falls_across_the_band_and_is_a_half_on_the_seam() -> None:
    plan = plan_of([Box((None, None), (0.0, None)), Box((0.0, None), (None, None))], fade=2.0)
    places = np.array([[-3.0, 9.0], [-2.0, 9.0], [-1.0, 9.0], [0.0, 9.0], [1.0, 9.0], [2.0, 9.0]])
    np.testing.assert_allclose(box_shares(plan, places)[0], [1, 1, 0.75, 0.5, 0.25, 0])


def test_shares_are_continuous_where_a_seam_ends_at_another() -> None:
    line = np.stack([np.linspace(-4, 4, 2001), np.full(2001, 5.3)], axis=1)
    steps = np.abs(np.diff(box_shares(plan_of(T_JUNCTION), line), axis=1))
    assert steps.max() < 0.01


def test_what_is_beyond_the_hull_is_the_coarse_models() -> None:
    plan = plan_of([Box((None, None), (None, None))], hull=Hull((-10.0, -10.0, -1.0), (10.0, 10.0, 30.0)))
    places = np.array([[0.0, 0.0, 5.0], [50.0, 0.0, 5.0], [0.0, 0.0, 90.0], [10.0, 0.0, 5.0]])
    np.testing.assert_allclose(hull_share(plan, places), [1, 0, 0, 0.5])
    assert in_hull(plan, places).tolist() == [True, False, False, False]
    assert in_hull(plan, places, 0.5).tolist() == [True, False, False, True]


def test_positions_are_turned_into_the_plans_axes() -> None:
    plan = plan_of([Box((None, None), (None, None))])
    turned = type(plan)(**{**vars(plan), "axes": ((0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0))})
    np.testing.assert_allclose(along_axes(turned, np.array([[1.0, 2.0, 3.0]])), [[3.0, 1.0, 2.0]])


@given(opacity=st.floats(0, 0.99), share=st.floats(0, 1))
def test_two_faded_layers_cover_as_the_one_did(opacity: float, share: float) -> None:
    opacities = np.array([opacity, opacity])
    first, second = faded(opacities, np.array([share, 1 - share]))
    np.testing.assert_allclose(1 - (1 - first) * (1 - second), opacity, atol=1e-9)
