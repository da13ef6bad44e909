"""How an attacker's name or address appears in a mail (docs/security.md)."""

from __future__ import annotations

import re
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.codes import ErrorCode
from domain.errors import MAX_FACTS, JobError
from domain.job import JobOptions, options_from_metadata
from notify.mail import unlinked
from tests.support.archives import ENCRYPTED, UTF8, Listed, directory_of
from tests.support.cloud import Cloud, invoke
from tests.support.events import sample_event
from tests.support.http_api import call
from tests.support.mails import part

pytestmark = pytest.mark.filterwarnings("ignore:No application metrics")


PHISH = (
    "photo.jpg)\nDear customer,\nyour account at Spaceport has been limited. Confirm your card at\n"
    "https://evil.example/confirm\nThe Spaceport team\n(.jpg"
)


def rejected_mail(cloud: Cloud, body: bytes, **metadata: str) -> EmailMessage:
    event = cloud.upload("parcel.zip", body, email="pilot@example.com", **metadata)
    invoke("start_job", event)
    invoke("notify", sample_event("status/job-rejected") | {"detail": cloud.heard()[-1]["detail"]})
    (mail,) = cloud.mails()
    return mail


def test_the_name_of_an_entry_writes_no_paragraph_and_no_link_into_a_mail(cloud: Cloud) -> None:
    archive = directory_of([Listed(PHISH, flags=UTF8 | ENCRYPTED)])
    text = part(rejected_mail(cloud, archive), "plain")
    assert "ENCRYPTED_ARCHIVE" in text
    assert "evil.example" not in text
    assert "https://evil" not in text
    assert not any(line.startswith(("Dear", "your account", "The Spaceport team")) for line in text.splitlines())


def test_a_scenes_name_is_no_link_in_a_mail(cloud: Cloud) -> None:
    mail = rejected_mail(cloud, b"no zip", name="Your parcel: pay at https://evil.example/p")
    for shown in (str(mail["Subject"]), part(mail, "plain")):
        assert not re.search(r"evil\.example|https://evil", shown)


@pytest.mark.parametrize(
    "name",
    ["evil.example", "evil。example", "evil．example", "evil｡example", "💩.la", "a@evil.example", "a＠evil．example"],
)
def test_no_dot_that_a_browser_reads_as_one_joins_a_names_words(name: str) -> None:
    """https://www.unicode.org/reports/tr46/ lists what separates labels."""
    parts = unlinked(f"see {name} now").split("\u2060")
    assert len(parts) == 1 + len(re.findall("[.。．｡@＠]", name))
    assert all(part[-1] in ".。．｡@＠" for part in parts[:-1])


@given(st.text(max_size=60))
def test_what_is_unlinked_reads_as_before(text: str) -> None:
    assert unlinked(text).replace("\u2060", "") == text.replace("\u2060", "")


@pytest.mark.parametrize("code", ErrorCode)
@pytest.mark.parametrize("facts", ["\x01" * 65_000, "a\nb\u2028c\r\n\u202ed", "x" * 65_000, "\ud800", PHISH])
def test_facts_are_one_printable_line_whatever_the_code(code: ErrorCode, facts: str) -> None:
    bare = JobError.of(code).message
    message = JobError.of(code, facts).message
    assert message.isprintable()
    assert len(message) <= len(bare) + MAX_FACTS + len(" ()")


def test_a_job_with_a_monstrous_name_in_it_is_still_a_small_answer(cloud: Cloud) -> None:
    archive = directory_of([Listed("\x01" * 65_000, flags=UTF8 | ENCRYPTED)])
    job_id = invoke("start_job", cloud.upload("a.zip", archive, owner="pilot-1"))["jobId"]
    assert len(call("GET", f"/jobs/{job_id}").body) < 4_000


@pytest.mark.parametrize("local", ["=?utf-8?q?victim=40evil.com=2C=20x?=", "a=?b", "=?="])
def test_an_address_holds_no_encoded_word(local: str) -> None:
    with pytest.raises(ValueError, match="email"):
        JobOptions(email=f"{local}@a.co")


@given(st.text(max_size=40))
def test_no_encoded_word_in_a_name_breaks_the_start(text: str) -> None:
    """`=?utf-8?b?a?=` is bad base64, for which the header decoder does not raise a ValueError."""
    for name in (f"=?utf-8?b?{text}?=", "=?utf-8?b?a?="):
        try:
            options_from_metadata({"name": name})
        except Exception as error:
            assert type(error).__name__ == "RejectedUpload"  # noqa: PT017
