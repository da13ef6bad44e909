"""Frames are chosen by how far the picture moves, and by sharpness among neighbours."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sfm.film.choose import MIDDLE, USUAL_STEP, Look, choose, step_for


def looks(moved: list[float], sharpness: list[float] | None = None) -> list[Look]:
    sharp = sharpness or [1.0] * len(moved)
    return [Look(index, index / 12, way, value) for index, (way, value) in enumerate(zip(moved, sharp, strict=True))]


MOTIONS = st.lists(st.lists(st.floats(0, 0.5), min_size=1, max_size=60), min_size=1, max_size=4)


@given(MOTIONS, st.integers(10, 40))
def test_films_together_give_at_most_so_many_frames_in_order(films: list[list[float]], most: int) -> None:
    seen = [looks(moved) for moved in films]
    step = step_for(seen, most)
    chosen = [choose(film, step) for film in seen]
    assert 1 <= sum(len(frames) for frames in chosen) <= most
    for frames in chosen:
        stamps = [frame.stamp for frame in frames]
        assert stamps == sorted(set(stamps))


@given(st.lists(st.floats(0, 0.02), min_size=60, max_size=200))
def test_neighbours_are_at_least_half_a_step_apart(moved: list[float]) -> None:
    """If there are enough frames that each step has some near its middle."""
    chosen = choose(looks(moved), USUAL_STEP)
    way = np.cumsum(moved) / USUAL_STEP
    gaps = np.diff([way[frame.stamp] for frame in chosen])
    assert np.all(gaps[:-1] >= (1 - (MIDDLE[1] - MIDDLE[0])) - 1e-9)


def test_a_camera_that_hovers_gives_one_view() -> None:
    assert len(choose(looks([0.0] * 500), USUAL_STEP)) == 1


def test_the_sharpest_of_a_step_is_taken_where_it_is_near_the_middle() -> None:
    moved = [0.0] + [0.01] * 39
    sharp = [1.0] * 40
    sharp[6], sharp[1] = 9.0, 99.0  # the one in the middle of the first step, the other at its edge
    assert choose(looks(moved, sharp), 0.1)[0].stamp == 6


def test_a_fast_camera_gives_a_frame_wherever_there_is_one() -> None:
    assert len(choose(looks([0.0] + [0.3] * 9), USUAL_STEP)) == 10


def test_a_short_film_is_sampled_more_closely_and_a_long_one_more_sparsely() -> None:
    short, usual, long = ([looks([0.01] * count)] for count in (300, 900, 9000))
    assert step_for(short) < step_for(usual) == USUAL_STEP < step_for(long)
