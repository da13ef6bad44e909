"""When a model is good enough to continue, and the message when it is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sfm.account import Evidence, account
from sfm.exif import Metadata
from sfm.gate import Registration, check_features, check_photos, check_registration
from sfm.georegister import Georegistration
from sfm.photos import Photo, SkippedPhoto
from sfm.position import GeoPosition
from sfm.remarks import photo_warnings, place_warnings
from stage.errors import ErrorCode, StageError


def registration(usable: int, *models: int) -> Registration:
    missing = [f"photo{i}.jpg" for i in range(usable - (models[0] if models else 0))]
    return Registration(usable, 12, models, missing)


@pytest.mark.parametrize(("usable", "registered"), [(3, 3), (4, 4), (5, 5), (10, 8), (100, 80)])
def test_good_models_pass_without_a_word(usable: int, registered: int) -> None:
    assert check_registration(registration(usable, registered)) == []


@pytest.mark.parametrize(("usable", "registered"), [(10, 7), (10, 5), (100, 50)])
def test_middling_models_warn_and_name_what_is_missing(usable: int, registered: int) -> None:
    (warning,) = check_registration(registration(usable, registered))
    assert warning.code == "LOW_REGISTRATION"
    assert len(warning.names) == usable - registered
    assert f"{registered} of {usable}" in warning.message


@pytest.mark.parametrize(("usable", "registered"), [(3, 2), (4, 3), (6, 4), (9, 4), (100, 49)])
def test_poor_models_fail_with_facts(usable: int, registered: int) -> None:
    with pytest.raises(StageError) as caught:
        check_registration(registration(usable, registered))
    assert caught.value.code is ErrorCode.LOW_REGISTRATION
    assert f"{registered} of {usable}" in caught.value.message
    assert "photo0.jpg" in caught.value.message


def test_no_model_is_no_overlap() -> None:
    with pytest.raises(StageError) as caught:
        check_registration(registration(8))
    assert caught.value.code is ErrorCode.NO_OVERLAP


def test_separate_groups_are_mentioned() -> None:
    (warning,) = check_registration(registration(20, 11, 6, 3))
    assert "other groups of 6 and 3 photos" in warning.message


@pytest.mark.parametrize(
    ("found", "usable", "code"),
    [(0, 0, ErrorCode.NO_PHOTOS), (2, 2, ErrorCode.TOO_FEW_PHOTOS), (9, 1, "TOO_FEW_PHOTOS")],
)
def test_too_few_photos(found: int, usable: int, code: str) -> None:
    skipped = [SkippedPhoto("000001.jpg", "IMG.JPG", "is cut off")] if found > usable else []
    with pytest.raises(StageError) as caught:
        check_photos(found, usable, skipped)
    assert caught.value.code == code
    if skipped:
        assert "IMG.JPG: is cut off" in caught.value.message


def test_enough_photos_and_features_pass() -> None:
    check_photos(3, 3, [])
    check_features([100, 100, 100, 0])
    with pytest.raises(StageError, match=r"NO_FEATURES: 2 of 4 photos"):
        check_features([100, 5000, 99, 0])


def test_separate_places_without_half_of_the_photos_are_disconnected() -> None:
    with pytest.raises(StageError) as caught:
        check_registration(registration(20, 8, 7))
    assert caught.value.code is ErrorCode.DISCONNECTED
    assert "other groups of 7 photos" in caught.value.message


def test_a_partial_model_is_delivered_when_it_has_half_of_the_photos_and_time_ran_out() -> None:
    (warning,) = check_registration(Registration(10, 12, [6], ["a.jpg"], cut_short=True))
    assert warning.code == "TIME_BUDGET"
    assert "6 of 10" in warning.message
    assert check_registration(Registration(10, 12, [10], [], cut_short=True)) == []
    for models in ([4], []):
        with pytest.raises(StageError) as caught:
            check_registration(Registration(10, 12, models, ["a.jpg"], cut_short=True))
        assert caught.value.code is ErrorCode.TIME_BUDGET


def photo(number: int, position: GeoPosition | None = None) -> Photo:
    return Photo(f"{number}.jpg", f"IMG_{number}.JPG", Path(), 10, 10, Metadata(position=position))


def test_the_account_names_every_photo_and_why() -> None:
    home, away = GeoPosition(47.0, 8.0, 400.0), GeoPosition(47.1, 8.0, 400.0)
    photos = [photo(1, home), *(photo(i, home) for i in (3, 4, 5, 6, 7)), photo(8, away)]
    features = dict.fromkeys([p.name for p in photos], 500) | {"4.jpg": 12}
    evidence = Evidence(features, {"6.jpg"}, [("1.jpg", "5.jpg"), ("1.jpg", "3.jpg")], [["1.jpg"], ["3.jpg", "9.jpg"]])
    rows = account(photos, [SkippedPhoto("2.jpg", "IMG_2.JPG", "is cut off")], evidence)
    assert [row["name"] for row in rows] == [f"{i}.jpg" for i in range(1, 9)]
    assert [row["registered"] for row in rows] == [True] + 7 * [False]
    assert [row.get("reason") for row in rows] == [
        None,
        "is cut off",
        "overlaps only with a separate group of 2 photos",
        "shows too little detail (12 features): blurred, dark or uniform",
        "overlaps too little: it matches only 1 other photo",
        "is blurred",
        "matches no other photo: it shows another place, or overlaps too little",
        "was taken 11.1 km from the other photos, by its GPS",
    ]
    remarks = {warning.code: warning for warning in photo_warnings(rows)}
    assert remarks["PHOTOS_SKIPPED"].names == ["IMG_2.JPG"]
    assert remarks["PHOTOS_BLURRED"].names == ["IMG_6.JPG"]
    assert remarks["PHOTOS_NOT_REGISTERED"].names == [f"IMG_{i}.JPG" for i in range(3, 9)]
    assert "IMG_8.JPG: was taken 11.1 km" in remarks["PHOTOS_NOT_REGISTERED"].message


def test_photos_that_were_not_reached_say_so() -> None:
    evidence = Evidence({"1.jpg": 500, "2.jpg": 500}, (), [("1.jpg", "2.jpg")], [["1.jpg"]], cut_short=True)
    assert account([photo(1), photo(2)], [], evidence)[1]["reason"] == "was not reached when time ran out"


@pytest.mark.parametrize(("unreliable", "code"), [(True, "GPS_UNRELIABLE"), (False, "NOT_GEOREFERENCED")])
def test_a_model_without_a_place_says_why(unreliable: bool, code: str) -> None:
    placed = Georegistration(1.0, np.eye(3), np.zeros(3), reason="because", unreliable=unreliable)
    (warning,) = place_warnings([photo(1)], placed)
    assert (warning.code, warning.message) == (code, "because")
