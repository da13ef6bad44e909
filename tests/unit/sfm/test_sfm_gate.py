"""When a model is good enough to go on, and the words when it is not."""

from __future__ import annotations

import pytest

from sfm.account import account
from sfm.exif import Metadata
from sfm.gate import Registration, check_features, check_photos, check_registration
from sfm.photos import Photo, SkippedPhoto
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
    assert "apart from them hang together 6 and 3" in warning.message


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


def test_the_account_names_every_photo_and_why() -> None:
    photos = [Photo(f"{i}.jpg", f"IMG_{i}.JPG", None, 10, 10, Metadata()) for i in (1, 3, 4, 5)]  # type: ignore[arg-type]
    rows = account(
        photos,
        [SkippedPhoto("2.jpg", "IMG_2.JPG", "is cut off")],
        [["1.jpg"], ["3.jpg", "9.jpg"]],
        {"1.jpg": 500, "3.jpg": 500, "4.jpg": 12, "5.jpg": 500},
    )
    assert [row["registered"] for row in rows] == [True, False, False, False, False]
    assert [row.get("reason") for row in rows] == [
        None,
        "is cut off",
        "overlaps only with a separate group of 2 photos",
        "shows too little detail (12 features): blurred, dark or uniform",
        "overlaps too little with the other photos",
    ]
