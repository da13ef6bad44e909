"""What the demo says at its end."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from local.address import Address
from local.board import Board
from local.customer import Mail, StatusEvent
from local.demo import closing_lines, summary

NOW = datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
HEADLINE = {
    "photos": 20,
    "registered": 19,
    "psnr": 24.5,
    "bytes": 1_000_000,
    "seconds": {"sfm": 20.519, "3dgs": 60.0, "compressor": 9.0},
    "gaussians": 9,
}


def ended(kind: str, **more: Any) -> StatusEvent:
    return StatusEvent(kind, "orchard-1", 9_999_999, NOW, 1.0, "said", **more)


def board_of(last: StatusEvent) -> Board:
    board = Board()
    board.apply(StatusEvent("Stage Started", "orchard-1", 1_010_000, NOW.replace(minute=0), 0.0, "waiting", "sfm", 1))
    board.apply(last)
    return board


def test_a_success_ends_with_its_figures() -> None:
    assert summary(board_of(ended("Job Succeeded", metrics=HEADLINE)), NOW) == {
        "jobId": "orchard-1",
        "status": "succeeded",
        "seconds": {"sfm": 20.5, "3dgs": 60.0, "compressor": 9.0},
        "registered": 19,
        "photos": 20,
        "psnr": 24.5,
        "bytes": 1_000_000,
    }


def test_a_failure_ends_with_its_code_and_the_seconds_so_far() -> None:
    error = {"code": "NO_OVERLAP", "message": "The photos do not overlap.", "hint": "Fly with 70 % overlap."}
    result = summary(board_of(ended("Job Failed", error=error)), NOW)
    assert (result["status"], result["error"], result["seconds"]) == ("failed", "NO_OVERLAP", {"sfm": 60.0})
    assert result["psnr"] is None


def test_the_customer_reads_what_went_wrong_and_what_to_do() -> None:
    error = {"code": "NOT_A_ZIP", "message": "It is not a ZIP.", "hint": "Send a ZIP."}
    lines = closing_lines(ended("Job Rejected", error=error), Path("out/x"), Mail(("a@b.c",), "Sorry", "", ""))
    assert "Job Rejected: It is not a ZIP." in lines
    assert "What to do: Send a ZIP." in lines
    assert lines[-1].split() == ["mail", "out/x/mail.html", "(Sorry)"]


def test_only_what_was_delivered_is_named() -> None:
    outputs = {"scene.sog": "s3://b/a", "viewer/index.html": "s3://b/b", "report.json": "s3://b/c"}
    lines = closing_lines(ended("Job Succeeded", outputs=outputs), Path("out/x"), None)
    assert [line.split() for line in lines[1:]] == [
        ["splat", "out/x/scene.sog"],
        ["viewer", "out/x/viewer/index.html"],
        ["mail", "none", "came"],
    ]


def test_the_mail_as_a_page_shows_the_files_beside_it() -> None:
    signed = "http://127.0.0.1:1/results/jobs/a%20b/viewer/index.html?Signature=x&amp;Expires=1"
    mail = Mail(
        ("a@b.c",), "s", "", f'<img src="cid:preview@x"><a href="{signed}">A</a><a href="https://b.org/?c">B</a>'
    )
    assert mail.page(Address(1, 2), {"viewer/index.html": "s3://results/jobs/a b/viewer/index.html"}) == (
        '<img src="preview.png"><a href="viewer/index.html">A</a><a href="https://b.org/?c">B</a>'
    )


def test_an_event_without_a_member_of_the_contract_is_an_error() -> None:
    with pytest.raises(KeyError):
        StatusEvent.parse({"detail-type": "Job Started", "detail": {"jobId": "x"}})


def test_names_of_a_customers_files_are_no_commands_to_the_terminal() -> None:
    hostile = "photo\x1b]0;owned\x07\x9b2J\u202egpj.exe\nmail     /etc/passwd"
    error = {"code": "ENCRYPTED_ARCHIVE", "message": hostile, "hint": hostile}
    lines = closing_lines(ended("Job Rejected", error=error), Path("out/x"), Mail(("a@b.c",), hostile, "", ""))
    assert all(line.isprintable() for line in lines)
    assert "\\x1b]0;owned\\x07" in lines[1]
