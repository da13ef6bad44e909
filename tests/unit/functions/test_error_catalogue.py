"""The closed list of errors: complete, in whole sentences, and the containers' list is a part of it."""

from __future__ import annotations

import pytest

from domain.errors import CATALOGUE, RETRYABLE, ErrorCode, JobError, RejectedUpload
from stage.errors import ErrorCode as ContainerCode


def test_every_code_is_in_the_catalogue() -> None:
    assert set(CATALOGUE) == set(ErrorCode)


@pytest.mark.parametrize("code", ErrorCode)
@pytest.mark.parametrize("part", ["sentence", "hint"])
def test_what_a_customer_reads_is_a_whole_sentence(code: ErrorCode, part: str) -> None:
    words = getattr(CATALOGUE[code], part)
    assert words[0].isupper()
    assert words.endswith(".")
    assert not words.endswith("..")


@pytest.mark.parametrize("code", ErrorCode)
def test_the_hint_is_more_than_what_happened(code: ErrorCode) -> None:
    assert CATALOGUE[code].hint != CATALOGUE[code].sentence


@pytest.mark.parametrize("code", ErrorCode)
def test_a_code_is_spelt_as_it_is_called(code: ErrorCode) -> None:
    assert code.value == code.name


@pytest.mark.parametrize("code", ContainerCode)
def test_every_code_of_a_container_is_one_of_the_pipelines(code: ContainerCode) -> None:
    assert ErrorCode(code.value).name == code.name


def test_only_what_time_mends_is_tried_again() -> None:
    assert set(RETRYABLE) == {ErrorCode.CAPACITY, ErrorCode.THROTTLED, ErrorCode.INTERRUPTED}


def test_the_facts_follow_the_sentence() -> None:
    error = JobError.of(ErrorCode.TOO_FEW_PHOTOS, "2 of at least 5")
    assert error.message == CATALOGUE[ErrorCode.TOO_FEW_PHOTOS].sentence + " (2 of at least 5)"


def test_without_facts_the_sentence_stands_alone() -> None:
    assert JobError.of(ErrorCode.STALLED).message == CATALOGUE[ErrorCode.STALLED].sentence


def test_a_rejection_reads_as_its_code_and_message() -> None:
    rejected = RejectedUpload(ErrorCode.NO_PHOTOS, "3 other files")
    assert str(rejected) == f"NO_PHOTOS: {rejected.error.message}"
