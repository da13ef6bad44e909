"""Addresses that get no more mails: by one click, by a bounce, by a complaint; through the handlers of notify,
unsubscribe and suppress."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from domain.job import JobOptions, UploadedObject, job_id_of, job_of
from domain.jobs_table import JobsTable
from domain.mailboxes import MailboxTable
from notify.mail import UNSUBSCRIBE, MailPolicy
from tests.support.cloud import STACK, Cloud, invoke
from tests.support.events import sample_event
from tests.support.mails import API, AT, recorded

pytestmark = pytest.mark.filterwarnings("ignore:No application metrics")
PILOT = "pilot@example.com"
OTHER = "other@example.com"
TOO_LONG = base64.urlsafe_b64encode(b"a" * 3000).decode() + ".key"  # longer than a DynamoDB key may be


def reference(cloud: Cloud, address: str = PILOT) -> str:
    return MailboxTable(cloud.table("mailboxes")).open(address).reference


def click(method: str, reference: str) -> tuple[int, Any]:
    """The event that API Gateway makes of a mail program's request: a form, no token."""
    answer = invoke(
        "unsubscribe",
        {
            "pathParameters": {"mailbox": reference},
            "requestContext": {"http": {"method": method}},
            "headers": {"content-type": "application/x-www-form-urlencoded"},
            "body": "List-Unsubscribe=One-Click",
        },
    )
    return answer["statusCode"], json.loads(answer["body"])


def mailed(cloud: Cloud, name: str) -> bool:
    before = len(cloud.mails())
    invoke("notify", sample_event(f"status/{name}"))
    return len(cloud.mails()) > before


def test_a_mail_carries_the_headers_of_one_click(cloud: Cloud) -> None:
    recorded(cloud)
    assert mailed(cloud, "job-started")
    (mail,) = cloud.raw_mails()
    headers = mail.partition(b"\n\n")[0].decode().splitlines()
    assert f"List-Unsubscribe: <{API}/unsubscribe/{reference(cloud)}>" in headers  # encoded words would not be a link
    assert "List-Unsubscribe-Post: List-Unsubscribe=One-Click" in headers


@pytest.mark.parametrize(
    "written", ["<https://a.test/\nBcc: b@a.test>", "<https://a.test/>\r\n", "<https://a.test/\0>"]
)
def test_no_control_character_passes_in_the_header_of_one_click(written: str) -> None:
    with pytest.raises(ValueError, match="not a line"):
        MailPolicy().fold_binary(UNSUBSCRIBE, written)


def test_after_one_click_no_mail_goes_until_it_is_taken_back(cloud: Cloud) -> None:
    recorded(cloud)
    assert mailed(cloud, "job-started")
    assert click("POST", reference(cloud)) == (200, {"subscribed": False})
    assert click("POST", reference(cloud)) == (200, {"subscribed": False})
    assert not mailed(cloud, "job-failed")
    assert click("DELETE", reference(cloud)) == (200, {"subscribed": True})
    assert mailed(cloud, "job-succeeded")


def test_an_address_is_one_mailbox_however_it_is_written(cloud: Cloud) -> None:
    assert reference(cloud, "Pilot@Example.com") == reference(cloud, PILOT)


def test_one_customers_click_leaves_others_their_mails(cloud: Cloud) -> None:
    recorded(cloud)
    click("POST", reference(cloud, OTHER))
    assert mailed(cloud, "job-started")


@pytest.mark.parametrize(
    "forged",
    [
        "",
        ".",
        "x",
        "cGlsb3RAZXhhbXBsZS5jb20",
        "cGlsb3RAZXhhbXBsZS5jb20.guess",
        "é.key",
        "_w.k",
        TOO_LONG,
        TOO_LONG[:360],
    ],
)
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_nobody_closes_or_opens_a_mailbox_without_its_key(cloud: Cloud, method: str, forged: str) -> None:
    recorded(cloud)
    reference(cloud)
    status, problem = click(method, forged)
    assert (status, problem["status"]) == (404, 404)
    assert mailed(cloud, "job-started")


def test_a_hard_bounce_closes_a_mailbox_for_good(cloud: Cloud) -> None:
    recorded(cloud)
    reference(cloud)
    assert invoke("suppress", sample_event("suppress/bounced")) == {"closed": 1}
    assert not mailed(cloud, "job-started")
    assert click("DELETE", reference(cloud))[0] == 404
    assert not mailed(cloud, "job-failed")


def test_a_bounce_of_a_mailbox_that_was_never_opened_counts_too(cloud: Cloud) -> None:
    recorded(cloud)
    invoke("suppress", sample_event("suppress/bounced"))
    assert not mailed(cloud, "job-started")


def test_a_complaint_closes_a_mailbox(cloud: Cloud) -> None:
    recorded(cloud)
    assert invoke("suppress", sample_event("suppress/complained")) == {"closed": 1}
    assert not mailed(cloud, "job-started")


def test_a_mailbox_that_is_full_today_stays_open(cloud: Cloud) -> None:
    recorded(cloud)
    event = sample_event("suppress/bounced")
    event["detail"]["bounce"] |= {"bounceType": "Transient", "bounceSubType": "MailboxFull"}
    assert invoke("suppress", event) == {"closed": 0}
    assert mailed(cloud, "job-started")


def test_of_many_recipients_those_that_bounced_are_closed(cloud: Cloud) -> None:
    recorded(cloud)
    upload = UploadedObject(bucket="b", key="other.zip", etag="e")
    job = job_of(upload, job_id_of(upload, STACK), JobOptions(email=OTHER), AT)
    JobsTable(cloud.table("jobs")).record(job)
    event = sample_event("suppress/bounced")
    event["detail"]["bounce"]["bouncedRecipients"] = [{"emailAddress": OTHER}, {"emailAddress": "third@example.com"}]
    assert invoke("suppress", event) == {"closed": 2}
    assert mailed(cloud, "job-started")
    started = sample_event("status/job-started")
    started["detail"]["jobId"] = job.job_id
    assert invoke("notify", started) == {"messageId": None}
