"""The closed lists of failures and warnings: complete, and in whole sentences."""

from __future__ import annotations

import pytest

from contract.codes import FAILURES, ErrorCode, Failure, Then, failures_then
from contract.warning_codes import WARNINGS, Advice, WarningCode
from domain.errors import JobError, RejectedUpload


def test_every_code_is_in_the_catalogue() -> None:
    assert set(FAILURES) == set(ErrorCode)
    assert set(WARNINGS) == set(WarningCode)


@pytest.mark.parametrize("said", [*FAILURES.values(), *WARNINGS.values()], ids=lambda said: said.sentence[:30])
@pytest.mark.parametrize("part", ["sentence", "hint"])
def test_what_a_customer_reads_is_a_whole_sentence(said: Failure | Advice, part: str) -> None:
    words = getattr(said, part)
    assert words[0].isupper()
    assert words.endswith(".")
    assert not words.endswith("..")


@pytest.mark.parametrize("code", ErrorCode)
def test_the_hint_is_more_than_what_happened(code: ErrorCode) -> None:
    assert FAILURES[code].hint != FAILURES[code].sentence


@pytest.mark.parametrize("code", ErrorCode)
def test_a_code_is_spelt_as_it_is_called(code: ErrorCode) -> None:
    assert code.value == code.name


@pytest.mark.parametrize("warning", WarningCode)
def test_a_warning_is_spelt_as_it_is_called(warning: WarningCode) -> None:
    assert warning.value == warning.name


def test_only_what_time_mends_is_tried_again() -> None:
    assert set(failures_then(Then.WAIT, Then.RESUME)) == {
        ErrorCode.CAPACITY,
        ErrorCode.THROTTLED,
        ErrorCode.INTERRUPTED,
        ErrorCode.PLATFORM_FAULT,
    }


def test_the_facts_follow_the_sentence() -> None:
    error = JobError.of(ErrorCode.TOO_FEW_PHOTOS, "2 of at least 5")
    assert error.message == FAILURES[ErrorCode.TOO_FEW_PHOTOS].sentence + " (2 of at least 5)"


def test_without_facts_the_sentence_stands_alone() -> None:
    assert JobError.of(ErrorCode.STALLED).message == FAILURES[ErrorCode.STALLED].sentence


def test_a_rejection_reads_as_its_code_and_message() -> None:
    rejected = RejectedUpload(ErrorCode.NO_PHOTOS, "3 other files")
    assert str(rejected) == f"NO_PHOTOS: {rejected.error.message}"
