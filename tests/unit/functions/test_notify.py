"""notify through its handler: one mail for a job and outcome, that tells the customer what to do next."""

from __future__ import annotations

import io
import itertools
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer
from aws_lambda_powertools.utilities.idempotency.exceptions import IdempotencyPersistenceLayerError
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from contract.codes import ErrorCode
from contract.events import StatusType
from domain.errors import JobError
from domain.job import JobOptions, UploadedObject, job_of
from domain.job_item import JobItem
from domain.jobs_table import JobsTable
from domain.status import StatusDetail
from notify.mail import PREVIEW_CID, MailLinks, compose
from tests.support.cloud import REGION, RESULTS, SENDER, STACK, Cloud, invoke
from tests.support.events import sample_event
from tests.support.fakes import aws_error

# a crash leaves no metrics to publish, and so does a mail that was sent before: Powertools remarks upon both
pytestmark = pytest.mark.filterwarnings("ignore:No application metrics")

JOB_ID = "meadow-0123456789ab"
AT = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
OUTCOMES = ["job-succeeded", "job-failed", "job-rejected", "job-stopped"]
MAILED = ["job-started", *OUTCOMES]
PAGE, API = "https://page.example.com/", "https://api.example.com"


def png() -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((600, 340)).convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()


PREVIEW = png()


def recorded(
    cloud: Cloud, name: str = "meadow", email: str | None = "pilot@example.com", remarks: tuple[str, ...] = ()
) -> None:
    """The job of the sample events, as start_job records it."""
    upload = UploadedObject(bucket="b", key="meadow.zip", version_id="v", etag="e")
    job = job_of(upload, STACK, JobOptions(email=email, name=name), AT, remarks=remarks)
    JobsTable(cloud.table("jobs")).record(job.model_copy(update={"job_id": JOB_ID}))


def outcome(name: str) -> dict[str, Any]:
    return sample_event(f"status/{name}")


def succeeded(cloud: Cloud, preview: bytes | None = PREVIEW) -> EmailMessage:
    """The mail of the sample's success."""
    recorded(cloud)
    event = outcome("job-succeeded")
    if preview is not None:
        cloud.put(event["detail"]["outputs"]["preview.png"], preview)
    invoke("notify", event)
    (mail,) = cloud.mails()
    return mail


def part(mail: EmailMessage, subtype: str) -> str:
    found = mail.get_body((subtype,))
    assert isinstance(found, EmailMessage)
    return str(found.get_content())


def text(mail: EmailMessage) -> str:
    return part(mail, "plain")


def html(mail: EmailMessage) -> str:
    return part(mail, "html")


@pytest.mark.parametrize("name", MAILED)
def test_the_start_and_every_outcome_is_one_mail_to_the_address_of_the_upload(cloud: Cloud, name: str) -> None:
    recorded(cloud)
    answer = invoke("notify", outcome(name))
    (mail,) = cloud.mails()
    assert answer["messageId"]
    assert mail["To"] == "pilot@example.com"
    assert mail["From"] == f"Spaceport <{SENDER}>"
    assert mail["Reply-To"] == "help@example.com"


@pytest.mark.parametrize("name", MAILED)
def test_however_often_the_event_comes_the_mail_goes_once(cloud: Cloud, name: str) -> None:
    recorded(cloud)
    event = outcome(name)
    answers = [invoke("notify", {**event, "id": f"delivery-{number}"}) for number in range(3)]
    assert len(cloud.mails()) == 1
    assert answers == [answers[0]] * 3


def test_different_words_for_the_same_outcome_are_one_mail(cloud: Cloud) -> None:
    recorded(cloud)
    event = outcome("job-failed")
    invoke("notify", event)
    later = {**event["detail"], "at": "2026-05-04T11:00:00.000Z", "message": "said otherwise"}
    invoke("notify", {**event, "detail": later})
    assert len(cloud.mails()) == 1


@pytest.mark.parametrize("names", list(itertools.permutations(["job-failed", "job-stopped"])), ids=" ".join)
def test_of_two_words_about_one_end_the_first_is_mailed_and_stands(cloud: Cloud, names: tuple[str, str]) -> None:
    """The state machine had begun to say that the job failed when it was stopped, and stop_job says so, too."""
    recorded(cloud)
    for name in names:
        invoke("notify", outcome(name))
    assert len(cloud.mails()) == 1
    assert (cloud.item(JOB_ID) or {})["status"] == names[0].removeprefix("job-").upper()


def test_a_failure_that_a_redrive_turns_into_a_success_is_two_mails(cloud: Cloud) -> None:
    recorded(cloud)
    for name in ("job-failed", "job-succeeded", "job-failed", "job-stopped"):
        invoke("notify", outcome(name))
    assert len(cloud.mails()) == 2
    assert (cloud.item(JOB_ID) or {})["status"] == "SUCCEEDED"


def test_nothing_is_mailed_after_a_success(cloud: Cloud) -> None:
    recorded(cloud)
    for name in ("job-succeeded", "job-failed", "job-stopped"):
        invoke("notify", outcome(name))
    assert len(cloud.mails()) == 1


def test_different_jobs_are_different_mails(cloud: Cloud) -> None:
    recorded(cloud)
    other = JobsTable(cloud.table("jobs"))
    upload = UploadedObject(bucket="b", key="other.zip", etag="e")
    job = job_of(upload, STACK, JobOptions(email="other@example.com"), AT)
    other.record(job)
    event = outcome("job-failed")
    invoke("notify", event)
    invoke("notify", {**event, "detail": {**event["detail"], "jobId": job.job_id}})
    assert [mail["To"] for mail in cloud.mails()] == ["pilot@example.com", "other@example.com"]


@pytest.mark.parametrize("name", MAILED)
def test_without_an_address_no_mail_goes(cloud: Cloud, name: str) -> None:
    recorded(cloud, email=None)
    assert invoke("notify", outcome(name)) == {"messageId": None}
    assert cloud.mails() == []


def test_for_a_job_that_nobody_recorded_no_mail_goes(cloud: Cloud) -> None:
    assert invoke("notify", outcome("job-succeeded")) == {"messageId": None}


def test_a_mail_that_ses_would_not_take_goes_with_the_next_delivery(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_mail: Any) -> None:
        raise aws_error("TooManyRequestsException", "SendEmail")

    recorded(cloud)
    with monkeypatch.context() as busy:
        busy.setattr(cloud.ses, "send_email", refuse)
        with pytest.raises(ClientError, match="TooManyRequests"):
            invoke("notify", outcome("job-failed"))
    invoke("notify", outcome("job-failed"))
    assert len(cloud.mails()) == 1


def test_mails_are_counted(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    recorded(cloud)
    invoke("notify", outcome("job-failed"))
    assert '"MailsSent":[1.0]' in capsys.readouterr().out


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
    assert ("but poor" in mail["Subject"]) == (grade == "poor")


def links_in(mail: EmailMessage) -> dict[str, str]:
    """The delivered file at each link of the text part."""
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
    assert "Quality: standard" in text(cloud.mails()[0])


def test_the_links_are_signed_for_the_hours_that_the_mail_promises(cloud: Cloud) -> None:
    mail = succeeded(cloud)
    urls = delivered_in(text(mail))
    assert {parse_qs(urlsplit(url).query)["X-Amz-Expires"][0] for url in urls} == {str(6 * 3600)}
    assert "These links expire in 6 hours" in text(mail)


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
    if said["code"] == "STOPPED":  # no error: it was asked for
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


LINKS = MailLinks(
    {"Report": "https://example.com/?a=1&b=2"}, hours=6, job=f"{PAGE}#job=j", stop=f"{PAGE}#unsubscribe=a.b"
)
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


@pytest.mark.parametrize("code", ErrorCode)
def test_every_error_makes_a_mail(code: ErrorCode) -> None:
    error = JobError.of(code, "facts & figures")
    detail = StatusDetail(job_id=JOB_ID, sequence=1, at=AT, progress=1, message=error.message, error=error)
    mail = compose(StatusType.JOB_FAILED, JobItem(job_id="a", name="meadow"), detail, LINKS, None)
    assert error.hint in text(mail)
    assert "facts &amp; figures" in html(mail)


def test_a_start_that_arrives_after_the_end_is_not_mailed(cloud: Cloud) -> None:
    recorded(cloud)
    invoke("notify", outcome("job-failed"))
    invoke("notify", outcome("job-started"))
    assert len(cloud.mails()) == 1


@pytest.mark.parametrize("record", ["_update_record", "_put_record"])
def test_a_record_that_cannot_be_written_sends_no_second_mail(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, record: str
) -> None:
    """SES has taken the mail, and the record of it fails: Lambda delivers the event again."""
    recorded(cloud)
    if record == "_put_record":
        invoke("notify", outcome("job-failed"))
        for item in cloud.table("idempotency").scan()["Items"]:
            cloud.table("idempotency").delete_item(Key={"id": item["id"]})
    else:
        with monkeypatch.context() as patch:
            patch.setattr(DynamoDBPersistenceLayer, record, _throttled)
            with pytest.raises(IdempotencyPersistenceLayerError):
                invoke("notify", outcome("job-failed"))
        for item in cloud.table("idempotency").scan()["Items"]:  # its minute in progress is over
            cloud.table("idempotency").delete_item(Key={"id": item["id"]})
    invoke("notify", outcome("job-failed"))
    assert len(cloud.mails()) == 1


def _throttled(*_: Any) -> None:
    raise aws_error("ThrottlingException", "UpdateItem")


def test_a_mail_whose_second_record_fails_is_sent_once_by_the_first(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded(cloud)
    with monkeypatch.context() as patch:
        patch.setattr(JobsTable, "note_mail", _throttled)
        invoke("notify", outcome("job-failed"))
    invoke("notify", outcome("job-failed"))
    assert len(cloud.mails()) == 1


def test_an_address_that_ses_refuses_for_good_is_closed(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(cloud)

    def refuse(**_: Any) -> None:
        raise aws_error("BadRequestException", "SendEmail", "Illegal address")

    with monkeypatch.context() as patch:
        patch.setattr(cloud.ses, "send_email", refuse)
        assert invoke("notify", outcome("job-started")) == {"messageId": None}
    invoke("notify", outcome("job-failed"))
    assert cloud.mails() == []


@pytest.mark.parametrize("code", ["MessageRejected", "SendingPausedException", "LimitExceededException"])
def test_a_fault_of_our_own_account_closes_nothing(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    recorded(cloud)

    def refuse(**_: Any) -> None:
        raise aws_error(code, "SendEmail", "Email address is not verified")

    with monkeypatch.context() as patch:
        patch.setattr(cloud.ses, "send_email", refuse)
        with pytest.raises(ClientError):
            invoke("notify", outcome("job-failed"))
    invoke("notify", outcome("job-failed"))
    assert len(cloud.mails()) == 1


def test_an_event_of_a_job_that_nobody_recorded_makes_no_item(cloud: Cloud) -> None:
    invoke("notify", outcome("job-failed"))
    assert cloud.item(JOB_ID) is None


@pytest.mark.parametrize(
    ("code", "ours"), [(ErrorCode.INTERNAL, 1), (ErrorCode.RESULT_DAMAGED, 1), (ErrorCode.NO_OVERLAP, 0)]
)
def test_a_failure_is_counted_once_as_ours_or_as_the_photos(
    cloud: Cloud, capsys: pytest.CaptureFixture[str], code: ErrorCode, ours: int
) -> None:
    recorded(cloud, email=None)
    event = outcome("job-failed")
    event["detail"]["error"] = JobError.of(code).model_dump(mode="json")
    for _ in range(2):
        invoke("notify", event)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    counted = {name: [value for line in lines for value in line.get(name, [])] for name in FAILURE_COUNTS}
    assert counted == {"JobsFailedByUs": [ours], "JobsFailedByPhotos": [1 - ours]}


FAILURE_COUNTS = ("JobsFailedByUs", "JobsFailedByPhotos")
