"""The content of a mail: the scene, its outcome, the figures, the links, and never anything of another customer's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.message import EmailMessage
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from contract.codes import EVIDENCED, ErrorCode
from contract.events import StatusType
from contract.options import Quality
from contract.stages import Stage
from domain.errors import JobError
from domain.expectation import Expectation
from domain.job import JobOptions
from domain.job_item import JobItem
from domain.jobs_table import JobsTable
from domain.pace import Pace, PaceTable
from domain.status import StatusDetail
from notify.mail import PREVIEW_CID, compose
from tests.support.cloud import REGION, RESULTS, Cloud, invoke
from tests.support.fakes import aws_error
from tests.support.mails import (
    AT,
    JOB_ID,
    LINKS,
    MAILED,
    PAGE,
    PREVIEW,
    html,
    outcome,
    recorded,
    succeeded,
    text,
)

# neither a crash nor a mail that was sent before leaves metrics to publish, and Powertools warns about that
pytestmark = pytest.mark.filterwarnings("ignore:No application metrics")


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("job-started", "We are making your 3D scene “North meadow”"),
        ("job-succeeded", "Your 3D scene “North meadow” is ready, with some weak spots"),
        ("job-failed", "Your 3D scene “North meadow” could not be made"),
        ("job-rejected", "We could not accept your upload “North meadow”"),
        ("job-stopped", "Your 3D scene “North meadow” was stopped"),
    ],
)
def test_the_subject_names_the_scene_and_what_became_of_it(cloud: Cloud, name: str, subject: str) -> None:
    recorded(cloud, name="North meadow")
    invoke("notify", outcome(name))
    (mail,) = cloud.mails()
    assert mail["Subject"] == subject


@pytest.mark.parametrize("read", [text, html])
def test_the_first_mail_tells_of_a_misspelt_setting(cloud: Cloud, read: Any) -> None:
    recorded(cloud, remarks=("traningsteps was ignored: did you mean trainingSteps?",))
    invoke("notify", outcome("job-started"))
    (mail,) = cloud.mails()
    assert "traningsteps was ignored: did you mean trainingSteps?" in read(mail)


@pytest.mark.parametrize("read", [text, html])
def test_a_success_shows_the_figures_that_a_customer_asks_first(cloud: Cloud, read: Any) -> None:
    body = read(succeeded(cloud))
    for said in ("18 of 18", "74 of 100", "24.1 dB", "100,000", "1.4 MB", "3 min"):
        assert said in body


@pytest.mark.parametrize(
    ("seconds", "said"), [(89.4, "89 s"), (90, "2 min"), (5369, "89 min"), (5400, "1.5 h"), (36_000, "10.0 h")]
)
def test_the_time_at_work_is_said_in_a_unit_that_fits(cloud: Cloud, seconds: float, said: str) -> None:
    recorded(cloud)
    event = outcome("job-succeeded")
    event["detail"]["metrics"]["seconds"] = {"sfm": seconds / 2, "3dgs": seconds / 2}
    invoke("notify", event)
    (mail,) = cloud.mails()
    assert said in text(mail)


def test_figures_that_were_not_measured_are_not_mentioned(cloud: Cloud) -> None:
    recorded(cloud)
    event = outcome("job-succeeded")
    event["detail"]["metrics"] = {"photos": 18}
    invoke("notify", event)
    (mail,) = cloud.mails()
    body = text(mail)
    assert not any(label in body for label in ("Photos used", "Score", "Match", "Gaussians", "Size"))


@pytest.mark.parametrize("grade", ["good", "usable", "poor"])
@pytest.mark.parametrize("read", [text, html])
def test_the_mail_says_how_good_the_scene_is_why_and_what_to_do(cloud: Cloud, grade: str, read: Any) -> None:
    recorded(cloud)
    event = outcome("job-succeeded")
    step = {} if grade == "good" else {"nextStep": {"label": "Make it again in Standard quality"}}
    event["detail"]["metrics"]["verdict"] = {"grade": grade, "sentence": f"A {grade} scene.", "why": "The why.", **step}
    invoke("notify", event)
    (mail,) = cloud.mails()
    assert f"A {grade} scene." in read(mail)
    assert "The why." in read(mail)
    assert ("Make it again in Standard quality on the scene" in read(mail)) == (grade != "good")
    assert ("quality is poor" in mail["Subject"]) == (grade == "poor")


def links_in(mail: EmailMessage) -> dict[str, str]:
    """The delivered file behind each link of the text part."""
    found = re.findall(rf"^([^:\n]+): (https://{RESULTS}\S+)$", text(mail), re.M)
    return {label: urlsplit(url).path.lstrip("/") for label, url in found}


def delivered_in(body: str) -> list[str]:
    """The links into the results bucket."""
    return re.findall(rf"https://{RESULTS}[^\s\"]+", body)


def test_a_success_links_the_viewer_first_then_the_files(cloud: Cloud) -> None:
    folder = f"jobs/{JOB_ID}/compressor/1"
    paths = {label: path[path.index("jobs/") :] for label, path in links_in(succeeded(cloud)).items()}
    assert list(paths.items()) == [
        ("Open your scene", f"{folder}/viewer/index.html"),
        ("Download .sog", f"{folder}/scene.sog"),
        ("Download .ply", f"{folder}/scene.ply"),
        ("Report", f"jobs/{JOB_ID}/report.html"),
    ]


def test_whoever_has_an_account_is_led_to_the_page_first_which_makes_new_links(cloud: Cloud) -> None:
    recorded(cloud, owner="pilot-1")
    invoke("notify", outcome("job-succeeded"))
    (mail,) = cloud.mails()
    links = re.findall(r'href="([^"]+)"[^>]*>([^<]+)<', html(mail))
    assert links[0] == (f"{PAGE}#job={JOB_ID}", "Open your scene")
    assert links[1][1] == "View it without signing in"
    assert "/viewer/index.html" in links[1][0]
    assert "“Open your scene” always works; the other links expire in 6 hours." in html(mail)


def test_the_text_of_whoever_has_an_account_links_the_page_in_place_of_signed_links(cloud: Cloud) -> None:
    """Mail programs that show only text show signed links in full length."""
    recorded(cloud, owner="pilot-1")
    invoke("notify", outcome("job-succeeded"))
    read = text(cloud.mails()[0])
    assert f"Open your scene: {PAGE}#job={JOB_ID}" in read
    assert delivered_in(read) == []
    assert "expire" not in read
    assert max(map(len, read.splitlines())) < 200


@pytest.mark.parametrize("name", MAILED)
@pytest.mark.parametrize("read", [text, html])
def test_every_mail_leads_to_the_jobs_page_and_to_the_end_of_mails(cloud: Cloud, name: str, read: Any) -> None:
    recorded(cloud)
    invoke("notify", outcome(name))
    body = read(cloud.mails()[0])
    assert f"{PAGE}#job={JOB_ID}" in body
    assert f"{PAGE}#unsubscribe=" in body


@pytest.mark.parametrize("name", MAILED)
@pytest.mark.parametrize("read", [text, html])
def test_no_address_inside_s3_is_in_sight(cloud: Cloud, name: str, read: Any) -> None:
    recorded(cloud)
    invoke("notify", outcome(name))
    assert "s3://" not in read(cloud.mails()[0])


def test_the_mail_of_a_start_lists_the_options(cloud: Cloud) -> None:
    recorded(cloud)
    invoke("notify", outcome("job-started"))
    mail = text(cloud.mails()[0])
    assert "Quality: standard" in mail
    assert "Your upload is complete and can be used." in mail, "an upload may be a film or a splat"


def test_the_links_are_signed_for_the_hours_that_the_mail_promises(cloud: Cloud) -> None:
    mail = succeeded(cloud)
    urls = delivered_in(text(mail))
    assert {parse_qs(urlsplit(url).query)["X-Amz-Expires"][0] for url in urls} == {str(6 * 3600)}
    assert "These links expire in 6 hours. The scene’s page always has new ones." in text(mail)


def test_the_links_are_signed_by_the_version_and_for_the_host_that_s3_still_takes(cloud: Cloud) -> None:
    for url in delivered_in(text(succeeded(cloud))):
        parts = urlsplit(url)
        assert parse_qs(parts.query)["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
        assert parts.netloc == f"{RESULTS}.s3.{REGION}.amazonaws.com"


def test_the_page_opens_as_a_page_whatever_it_was_uploaded_as(cloud: Cloud) -> None:
    first = delivered_in(text(succeeded(cloud)))[0]
    assert parse_qs(urlsplit(first).query)["response-content-type"] == ["text/html"]


def test_the_html_has_the_same_links_as_the_text(cloud: Cloud) -> None:
    mail = succeeded(cloud)
    linked = [url.replace("&amp;", "&") for url in re.findall(r'href="([^"]+)"', html(mail))]
    assert linked == re.findall(r"https://\S+", text(mail))


def test_the_preview_is_inside_the_mail_and_shown_by_its_id(cloud: Cloud) -> None:
    mail = succeeded(cloud)
    (picture,) = [found for found in mail.walk() if found.get_content_type() == "image/png"]
    assert isinstance(picture, EmailMessage)
    assert picture["Content-ID"] == f"<{PREVIEW_CID}>"
    assert picture.get_content() == PREVIEW
    assert f'src="cid:{PREVIEW_CID}"' in html(mail)


def test_a_success_without_its_preview_still_goes(cloud: Cloud) -> None:
    mail = succeeded(cloud, preview=None)
    assert "cid:" not in html(mail)
    assert not any(found.get_content_maintype() == "image" for found in mail.walk())


def test_a_success_that_lists_no_preview_goes_without(cloud: Cloud) -> None:
    recorded(cloud)
    event = outcome("job-succeeded")
    del event["detail"]["outputs"]["preview.png"]
    invoke("notify", event)
    assert "cid:" not in html(cloud.mails()[0])


def test_a_preview_that_may_not_be_read_is_an_error_and_no_mail_goes(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(**_arguments: str) -> None:
        raise aws_error("AccessDenied", "GetObject")

    recorded(cloud)
    monkeypatch.setattr(cloud.s3, "get_object", deny)
    with pytest.raises(ClientError, match="AccessDenied"):
        invoke("notify", outcome("job-succeeded"))
    assert cloud.mails() == []


@pytest.mark.parametrize("name", ["job-failed", "job-rejected", "job-stopped"])
@pytest.mark.parametrize("read", [text, html])
def test_a_failure_says_what_happened_what_to_do_and_the_code(cloud: Cloud, name: str, read: Any) -> None:
    recorded(cloud)
    event = outcome(name)
    invoke("notify", event)
    body = read(cloud.mails()[0])
    said = dict(event["detail"]["error"])
    if said["code"] == "STOPPED":  # not an error: the customer asked for it
        assert said.pop("code") not in body
    for words in said.values():
        assert words in body


@pytest.mark.parametrize("name", MAILED)
@pytest.mark.parametrize("read", [text, html])
def test_every_mail_names_its_job(cloud: Cloud, name: str, read: Any) -> None:
    recorded(cloud)
    invoke("notify", outcome(name))
    assert JOB_ID in read(cloud.mails()[0])


def test_a_name_cannot_smuggle_markup_into_the_mail(cloud: Cloud) -> None:
    recorded(cloud, name='<img src=x onerror="alert(1)"> & co')
    invoke("notify", outcome("job-failed"))
    body = html(cloud.mails()[0])
    assert "<img" not in body
    assert "&lt;img src=x onerror=&quot;alert(1)&quot;&gt; &amp; co" in body


def test_a_dollar_sign_in_a_name_is_a_dollar_sign(cloud: Cloud) -> None:
    recorded(cloud, name="$body ${subject} $")
    invoke("notify", outcome("job-failed"))
    assert "$body ${subject} $" in html(cloud.mails()[0])


METRICS = st.fixed_dictionaries(
    {},
    optional={
        "photos": st.integers(0, 5000),
        "registered": st.integers(0, 5000),
        "score": st.integers(0, 100),
        "psnr": st.floats(0, 60),
        "gaussians": st.integers(0, 10**8),
        "bytes": st.integers(0, 10**12),
    },
)


@given(st.text(min_size=1, max_size=80), METRICS)
def test_any_name_and_figures_make_a_mail_that_reads_back(name: str, metrics: Mapping[str, Any]) -> None:
    detail = StatusDetail(job_id=JOB_ID, sequence=1, at=AT, progress=1, message="m", metrics=dict(metrics))
    message = compose(StatusType.JOB_SUCCEEDED, JobItem(job_id="a", name=name), detail, LINKS, None)
    assert len(str(message["Subject"]).splitlines()) == 1
    assert b"Subject: " in message.as_bytes()


LOCAL_PART = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x17F), min_size=1, max_size=30)


@given(LOCAL_PART)
def test_any_address_that_is_accepted_fits_a_mails_header(local: str) -> None:
    try:
        address = JobOptions(email=f"{local}@example.com").email
    except ValueError:
        return
    message = EmailMessage()
    message["To"] = address
    assert f"To: {address}\n".encode() in message.as_bytes()


def test_the_mail_of_a_start_says_how_long_it_is_likely_to_take_by_what_was_learnt(cloud: Cloud) -> None:
    recorded(cloud)
    item = JobsTable(cloud.table("jobs")).find(JOB_ID)
    assert item is not None
    machines = {stage: dict.fromkeys(Quality, "ml.any") for stage in Stage}
    paces = PaceTable(cloud.table("pace"))
    for stage in Stage:
        for quality in Quality:
            pace = Pace(waiting=60, per_unit=1, usual=540, runs=3)
            paces.write(stage, "ml.any", quality, pace)
    assert Expectation(paces, machines).of(item.model_copy(update={"photos": 540})) == "about 24–36 min"
    assert Expectation(paces, machines).of(item.model_copy(update={"rerun_of": "meadow-1"})) is None
    assert Expectation(paces, machines).of(JobItem(job_id="nobody-recorded-it")) is None
    invoke("notify", outcome("job-started"))
    assert re.search(r"^Expected time: about [\d–]+ (s|min|h)$", text(cloud.mails()[0]), re.M)


@pytest.mark.parametrize("code", ErrorCode)
@pytest.mark.parametrize("type_", [StatusType.JOB_FAILED, StatusType.JOB_REJECTED])
def test_the_button_of_a_failure_leads_to_the_evidence_where_there_is_some(type_: StatusType, code: ErrorCode) -> None:
    error = JobError.of(code)
    detail = StatusDetail(job_id=JOB_ID, sequence=1, at=AT, progress=1, message=error.message, error=error)
    mail = text(compose(type_, JobItem(job_id="a", name="meadow"), detail, LINKS, None))
    shown = type_ is StatusType.JOB_FAILED and code in EVIDENCED
    assert f"{'See what happened to each photo' if shown else 'The scene’s page'}: {LINKS.job}" in mail


@pytest.mark.parametrize("code", ErrorCode)
def test_every_error_makes_a_mail(code: ErrorCode) -> None:
    error = JobError.of(code, "facts & figures")
    detail = StatusDetail(job_id=JOB_ID, sequence=1, at=AT, progress=1, message=error.message, error=error)
    mail = compose(StatusType.JOB_FAILED, JobItem(job_id="a", name="meadow"), detail, LINKS, None)
    assert error.hint in text(mail)
    assert "facts &amp; figures" in html(mail)
