"""Large flights: the number of blocks, their boxes, and the files that describe them."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError

from contract.blocks import (
    MAX_BLOCKS,
    MIN_BLOCK_PHOTOS,
    UNDIVIDED_BELOW,
    BlockPhoto,
    BlockPlan,
    Box,
    blocks_for,
    parse_block,
    photos_file,
)
from contract.counts import MAX_PHOTOS
from contract.schemas import schemas
from tests.support.blocks import NUMBERS, plan_of, tilings

PLAN = Draft202012Validator(schemas()["blocks.schema.json"])
PHOTOS = Draft202012Validator(schemas()["block-photos.schema.json"])


@pytest.mark.parametrize(("photos", "blocks"), [(1, 1), (599, 1), (600, 2), (800, 2), (2013, 6), (5000, 13)])
def test_flights_are_divided_from_600_photos_on(photos: int, blocks: int) -> None:
    assert blocks_for(photos) == blocks


@given(photos=st.integers(1, MAX_PHOTOS), forced=st.none() | st.integers(1, 1000))
def test_no_number_of_blocks_leaves_one_too_few_photos(photos: int, forced: int | None) -> None:
    blocks = blocks_for(photos, forced)
    assert 1 <= blocks <= MAX_BLOCKS
    assert blocks == 1 or photos / blocks >= MIN_BLOCK_PHOTOS
    assert forced is None or blocks <= forced
    assert forced is not None or photos >= UNDIVIDED_BELOW or blocks == 1


def test_a_number_of_blocks_can_be_asked_for() -> None:
    assert blocks_for(120, forced=2) == 2
    assert blocks_for(2000, forced=1) == 1


@given(boxes=tilings(), place=st.tuples(NUMBERS, NUMBERS))
def test_every_place_lies_in_just_one_box(boxes: list[Box], place: tuple[float, float]) -> None:
    assert sum(box.holds(place) for box in boxes) == 1


@given(boxes=tilings(), chosen=st.integers(0, 50), along=NUMBERS)
def test_a_seam_belongs_to_the_box_above_it(boxes: list[Box], chosen: int, along: float) -> None:
    seams = [side for box in boxes for side in box.sides()]
    if seams:
        axis, value, _ = seams[chosen % len(seams)]
        place = (value, along) if axis == 0 else (along, value)
        (held,) = [box for box in boxes if box.holds(place)]
        assert held.high[axis] != value


@given(boxes=tilings(), place=st.tuples(NUMBERS, NUMBERS), margin=st.floats(0, 50))
def test_a_margin_adds_places_and_takes_none(boxes: list[Box], place: tuple[float, float], margin: float) -> None:
    for box in boxes:
        assert box.holds(place, margin) or not box.holds(place)
    x, y = place
    corners = [(x + dx, y + dy) for dx in (-margin / 2, margin / 2) for dy in (-margin / 2, margin / 2)]
    for box in boxes:
        if box.holds(place):
            assert all(box.holds(corner, margin) for corner in corners)


@given(boxes=tilings(), fade=st.floats(0.01, 100))
def test_a_plan_is_read_as_it_was_written(boxes: list[Box], fade: float) -> None:
    plan = plan_of(boxes, fade)
    document = json.loads(json.dumps(plan.as_json()))
    PLAN.validate(document)
    assert BlockPlan.from_json(document) == plan
    assert [plan.block(block.id) for block in plan.blocks] == list(plan.blocks)
    with pytest.raises(KeyError):
        plan.block(len(boxes) + 1)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2}, {"blocks": []}, {"blocks": None}, {"axes": [[1, 0, 0]]}, {"fade": 0}, {"fade": float("nan")},
        {"hull": {"low": [0, 0], "high": [1, 1, 1]}}, {"margin": float("inf")}, {"blocks": [{"id": 1}]},
    ],
)  # fmt: skip
def test_what_is_no_plan_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"not a plan|version|finite|unpack|hull"):
        BlockPlan.from_json(plan_of([Box((None, None), (None, None))]).as_json() | change)


def test_a_photo_of_a_block_is_read_as_it_was_written() -> None:
    photo = BlockPhoto("000123.jpg", "test", (512, 0, 3200, 2144), 1841)
    rows = json.loads(json.dumps([asdict(photo)]))
    PHOTOS.validate(rows)
    assert BlockPhoto.from_json(rows[0]) == photo
    for change in ({"split": "some"}, {"rect": [0, 0, 0, 10]}, {"rect": [0, 0, 10]}, {"rect": [-1, 0, 5, 5]}):
        with pytest.raises(ValueError, match="not a photo"):
            BlockPhoto.from_json(rows[0] | change)
    with pytest.raises(ValidationError):
        PHOTOS.validate([rows[0] | {"split": "some"}])


@pytest.mark.parametrize("change", [{"id": 2}, {"id": 0}, {"id": 41}, {"low": [float("nan"), None]}])
def test_blocks_need_numbers_of_their_own_and_finite_sides(change: dict[str, Any]) -> None:
    plan = plan_of([Box((None, None), (0.0, None)), Box((0.0, None), (None, None))])
    document = json.loads(json.dumps(plan.as_json()))
    assert BlockPlan.from_json(document) == plan
    document["blocks"][0] |= change
    with pytest.raises(ValueError, match=r"number of its own|not finite"):
        BlockPlan.from_json(document)


def test_the_variable_names_a_block_or_the_coarse_model() -> None:
    assert [parse_block(text) for text in ("", "coarse", "1", "07")] == [None, "coarse", 1, 7]
    for text in ("0", "41", "-1", "fine", "1.5", "²"):
        with pytest.raises(ValueError, match="BLOCK"):
            parse_block(text)
    assert str(photos_file("coarse")) == "coarse/photos.json"
    assert str(photos_file(7)) == "blocks/07/photos.json"
