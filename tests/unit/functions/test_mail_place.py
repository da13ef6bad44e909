"""Whose scene a mail is about, and where it is: project, customer, and the site or the coordinates."""

from __future__ import annotations

import re
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.events import StatusType
from domain.job_item import JobItem
from domain.status import StatusDetail
from notify.mail import compose
from tests.support.cloud import Cloud, invoke
from tests.support.mails import AT, JOB_ID, LINKS, OUTCOMES, html, outcome, recorded, succeeded, text

# neither a crash nor a mail that was sent before leaves metrics to publish, and Powertools warns about that
pytestmark = pytest.mark.filterwarnings("ignore:No application metrics")


@pytest.mark.parametrize("read", [text, html])
def test_the_mail_of_a_success_says_where_the_scene_is(cloud: Cloud, read: Any) -> None:
    body = read(succeeded(cloud))
    for said in ("Location", "47.1000° N, 8.5000° E", "Coordinate system", "WGS 84 / UTM zone 32N"):
        assert said in body
    assert "Project" not in body


@pytest.mark.parametrize(
    ("latitude", "longitude", "said"),
    [(-33.85678, 151.21529, "33.8568° S, 151.2153° E"), (0.0, -0.00004, "0.0000° N, 0.0000° W")],
)
def test_coordinates_have_their_half_of_the_globe(cloud: Cloud, latitude: float, longitude: float, said: str) -> None:
    recorded(cloud)
    event = outcome("job-succeeded")
    event["detail"]["metrics"]["place"] = {"latitude": latitude, "longitude": longitude}
    invoke("notify", event)
    body = text(cloud.mails()[0])
    assert f"Location: {said}" in body
    assert "Coordinate system" not in body


ABOUT: dict[str, Any] = {"project": "Bridge 7", "customer": "A & B", "site": "Mühlweg 4, 89073 Ulm"}


@pytest.mark.parametrize("name", OUTCOMES)
def test_the_mail_of_an_outcome_names_project_customer_and_site(cloud: Cloud, name: str) -> None:
    recorded(cloud, **ABOUT)
    invoke("notify", outcome(name))
    mail = cloud.mails()[0]
    assert "Project: Bridge 7\nCustomer: A & B\nSite: Mühlweg 4, 89073 Ulm\n" in text(mail)
    for said in ("Bridge 7", "A &amp; B", "Mühlweg 4, 89073 Ulm"):
        assert f"<b>{said}</b>" in html(mail)
    assert "Location" not in text(mail)


def test_an_address_in_a_text_is_no_link(cloud: Cloud) -> None:
    recorded(cloud, site="evil.example.com", project="https://evil.example.com")
    invoke("notify", outcome("job-succeeded"))
    mail = cloud.mails()[0]
    assert "evil.example" not in text(mail) + html(mail)


@given(st.fixed_dictionaries(dict.fromkeys(ABOUT, st.text(max_size=80))))
def test_no_text_is_a_header_a_line_or_markup_of_a_mail(texts: dict[str, str]) -> None:
    detail = StatusDetail(job_id=JOB_ID, sequence=1, at=AT, progress=1, message="m", metrics={})

    def made(**said: str) -> EmailMessage:
        return compose(StatusType.JOB_SUCCEEDED, JobItem(job_id="a", name="n", **said), detail, LINKS, None)

    message, plain = made(**texts), made(**dict.fromkeys(texts, "x"))
    assert message.keys() == plain.keys()
    shown = sum(bool(words.split()) for words in texts.values())
    assert len(text(message).splitlines()) <= len(text(plain).splitlines())
    assert len(re.findall(r"^(?:Project|Customer|Site):", text(message), re.M)) == shown
    assert message["Subject"] == plain["Subject"]
    tags = [re.sub(r"[^<]*(<[^>]*>)[^<]*", r"\1", html(mail)) for mail in (message, plain)]
    if shown == len(texts):
        assert tags[0] == tags[1]
