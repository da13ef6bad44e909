"""The mails as a customer sees them: in Chromium, in the widths of a desktop's mail program and of a phone."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from notify.mail import PREVIEW_CID
from tests.support.browser import PHONE, chromium, fits, look, needs_chromium
from tests.support.cloud import Cloud, cloud_of, invoke
from tests.support.events import sample_event
from tests.support.mails import MAILED, html, recorded

pytestmark = [needs_chromium, pytest.mark.filterwarnings("ignore:No application metrics")]
WIDTHS = {"desktop": 800, "phone": PHONE["width"]}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("chromium"), 800, 700) as context:
        yield context


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    with cloud_of(monkeypatch) as fresh:
        yield fresh


def mail_of(cloud: Cloud, name: str) -> EmailMessage:
    """The mail of a sample event, with a picture of the scene if there is one."""
    recorded(cloud, name="Große Wiese am Hang")
    event = sample_event(f"status/{name}")
    if picture := event["detail"].get("outputs", {}).get("preview.png"):
        buffer = io.BytesIO()
        Image.radial_gradient("L").resize((1280, 720)).convert("RGB").save(buffer, "PNG")
        cloud.put(picture, buffer.getvalue())
    invoke("notify", event)
    (mail,) = cloud.mails()
    return mail


def shown(mail: EmailMessage) -> str:
    """The HTML part with its picture inserted, as mail programs show it."""
    pictures = [part.get_content() for part in mail.walk() if part.get_content_type() == "image/png"]
    body = html(mail)
    for picture in pictures:
        body = body.replace(f"cid:{PREVIEW_CID}", f"data:image/png;base64,{base64.b64encode(picture).decode()}")
    return body


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", MAILED)
def test_a_mail_fits_its_window_and_has_one_button(
    cloud: Cloud, browser: Any, name: str, width: str, tmp_path: Path
) -> None:
    page = browser.new_page()
    page.set_viewport_size({"width": WIDTHS[width], "height": 700})
    page.set_content(shown(mail_of(cloud, name)))
    look(page, f"mail-{name}-{width}", tmp_path)
    fits(page)
    button = page.locator("a").first.bounding_box()
    assert button["height"] >= 40, "too small for a thumb"
    assert page.locator("h1").inner_text().count("Große Wiese am Hang") == 1
    assert page.locator("img").count() == (name == "job-succeeded")
    if name == "job-succeeded":
        assert page.locator("img").evaluate("image => image.naturalWidth") == 1280
    assert "s3://" not in page.inner_text("body")
    page.close()
