"""The customer's page in a browser, on the real template with stand-in stages: upload, live job, scene."""

from __future__ import annotations

import io
import os
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from local.cloud import ROOT, attached_cloud
from local.customer import wait_for_mail
from local.deploy import deploy_pipeline
from local.web import PILOT, publish
from tests.support.browser import PHONE, chromium, fits, look, met, needs_chromium, until

pytestmark = needs_chromium
PLAYED = Path(__file__).parent / "fixtures" / "page"


@dataclass(frozen=True)
class Site:
    cloud: Any
    outputs: dict[str, str]
    url: str


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with attached_cloud(tmp_path_factory.mktemp("cloud"), root=PLAYED) as cloud:
        outputs = deploy_pipeline(cloud.address, ROOT)
        yield Site(cloud, outputs, publish(cloud.address, outputs, ROOT / "web" / ".build"))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("chromium"), 1200, 900) as context:
        yield context


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    fresh = browser.new_page()
    errors: list[str] = []
    fresh.on("pageerror", lambda error: errors.append(str(error)))
    yield fresh
    fresh.close()
    assert errors == []


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of photos that takes more than one part to upload."""
    folder = tmp_path_factory.mktemp("photos") / "meadow"
    folder.mkdir()
    for number in range(8):
        noise = Image.effect_noise((900, 700), 90 + number).convert("RGB")
        noise.save(folder / f"DJI_{number:04d}.JPG", quality=99)
    (folder / "notes.txt").write_text("not a photo")
    padding = os.urandom(9 * 1024 * 1024)
    (folder / "DJI_0008.JPG").write_bytes((folder / "DJI_0000.JPG").read_bytes() + padding)
    return folder


def test_a_folder_of_photos_becomes_a_scene(site: Site, page: Any, photos: Path, tmp_path: Path) -> None:
    page.goto(site.url)
    until(page, f"document.getElementById('mail-me-address').innerText === '{PILOT}'")
    page.set_input_files("#folder", photos)
    page.wait_for_selector("#chosen canvas")
    assert "9 photos" in page.inner_text("#chosen-size")
    page.fill("#name", "Große Wiese")
    page.check("input[value=preview]")
    look(page, "new", tmp_path)
    page.click("#send")
    page.wait_for_selector("#job:not([hidden])", timeout=60_000)
    page.wait_for_selector("#cloud:not([hidden])", timeout=90_000)
    page.wait_for_selector("#curve svg polyline", timeout=60_000)
    page.wait_for_selector("#snapshots:not([hidden])", timeout=60_000)
    assert page.inner_text("#job-name") == "Große Wiese"
    until(page, "document.getElementById('job-message').innerText.includes('left')", 60_000)
    met(page, lambda: painted(page, "#cloud-canvas"), 60_000, what="the cloud was not painted")
    look(page, "running", tmp_path)
    page.wait_for_selector("#job-scene:not([hidden])", timeout=90_000)
    assert page.inner_text("#job-status") == "ready"
    assert page.frame_locator("#viewer").locator("#scene").inner_text() == "The scene"
    page.frame_locator("#viewer").get_by_text("a part, the sky, ").wait_for()  # by signed links from the API
    assert "12 of 12" in page.inner_text("#figures")
    assert page.frame_locator("#report-frame").locator("h1").inner_text() == "Große Wiese"
    until(page, "document.getElementById('thumbnail-sheet').naturalWidth === 960")
    until(page, "document.getElementById('snapshot').naturalWidth === 480")
    look(page, "ready", tmp_path)
    page.set_viewport_size(PHONE)
    fits(page)
    look(page, "phone", tmp_path)
    assert wait_for_mail(site.cloud.address, PILOT, 60) is not None
    page.goto(site.url)
    page.wait_for_selector("#jobs a")
    assert "Große Wiese" in page.inner_text("#jobs")
    look(page, "home-phone", tmp_path)
    uploaded = uploaded_zip(site)
    assert sorted(uploaded.namelist()) == [f"meadow/DJI_{number:04d}.JPG" for number in range(9)]
    assert uploaded.testzip() is None
    assert uploaded.read("meadow/DJI_0003.JPG") == (photos / "DJI_0003.JPG").read_bytes()


def painted(page: Any, canvas: str) -> bool:
    """Whether the canvas shows more than one colour."""
    picture = Image.open(io.BytesIO(page.locator(canvas).screenshot()))
    colours = picture.convert("RGB").getcolors(picture.width * picture.height)
    return colours is not None and len(colours) > 50


def uploaded_zip(site: Site) -> zipfile.ZipFile:
    s3 = site.cloud.address.client("s3")
    bucket = site.outputs["UploadsBucket"]
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket, Prefix="users/")["Contents"]]
    (key,) = [key for key in keys if key.endswith("/meadow.zip")]
    return zipfile.ZipFile(io.BytesIO(s3.get_object(Bucket=bucket, Key=key)["Body"].read()))


def test_an_upload_survives_a_dropped_connection_and_a_closed_page(
    site: Site, page: Any, browser: Any, photos: Path
) -> None:
    archive = photos.parent / "again.zip"
    with zipfile.ZipFile(archive, "w") as made:
        for photo in sorted(photos.glob("*.JPG")):
            made.write(photo, photo.name)
    sent: list[str] = []
    refused = {"left": 2}

    def fickle(route: Any) -> None:
        """Uploads part 1; then the connection drops, permanently for this page."""
        if "partNumber=1&" in route.request.url:
            sent.append(route.request.url)
            route.continue_()
        else:
            refused["left"] -= 1
            route.abort("connectionreset")

    page.route("**/users/**partNumber**", fickle)
    page.goto(site.url)
    page.wait_for_selector("#home:not([hidden])")  # its event handlers are set
    page.set_input_files("#file", archive)
    page.click("#send")
    until(page, "document.getElementById('sending-text').textContent.includes('connection was lost')")
    until(page, "document.getElementById('sending-bar').value > 0.3")  # part 1 has arrived
    page.goto("about:blank")

    second = browser.new_page()
    second.on("request", lambda request: sent.append(request.url) if request.method == "PUT" else None)
    second.goto(site.url)
    second.set_input_files("#file", archive)
    second.click("#send")
    second.wait_for_selector("#job:not([hidden])", timeout=60_000)
    until(second, "document.getElementById('job-name').textContent === 'again'", timeout=60_000)
    second.click("#stop")
    second.click("#ask-yes")
    until(second, "document.getElementById('job-status').textContent === 'stopped'", timeout=60_000)
    second.wait_for_selector("#rerun-from option", state="attached")
    second.close()
    assert [url for url in sent if "again.zip" in url and "partNumber=1&" in url] == sent[:1]


def test_a_refused_upload_says_why_and_what_to_do(site: Site, page: Any, photos: Path, tmp_path: Path) -> None:
    """Only the server notices a name that leads out of the archive's folder."""
    with zipfile.ZipFile(tmp_path / "unsafe.zip", "w") as made:
        for photo in sorted(photos.glob("*.JPG"))[:6]:
            made.write(photo, f"../{photo.name}")
    page.goto(site.url)
    page.set_input_files("#file", tmp_path / "unsafe.zip")
    page.click("#send")
    page.wait_for_selector("#job-error:not([hidden])", timeout=60_000)
    assert page.inner_text("#job-status") == "not accepted"
    assert "cannot be unpacked safely" in page.inner_text("#job-error")
    look(page, "refused", tmp_path)


def test_a_mails_own_link_ends_the_mails_and_takes_that_back(site: Site, page: Any, tmp_path: Path) -> None:
    mail = wait_for_mail(site.cloud.address, PILOT, 60)
    assert mail is not None
    link = re.search(rf"{re.escape(site.url)}#unsubscribe=\S+", mail.text)
    assert link is not None
    page.goto(link[0])
    page.click("#mails-stop")
    page.wait_for_selector("#mails-again:not([hidden])")
    look(page, "mails", tmp_path)
    page.click("#mails-again")
    until(page, "document.getElementById('mails-text').textContent.includes('again')")


def test_every_control_has_a_name_and_the_keyboard_reaches_it(site: Site, page: Any) -> None:
    page.goto(site.url)
    page.wait_for_selector("#home:not([hidden])")
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('button, input:not([hidden]), select, iframe, img, canvas[role]')]
            .filter((element) => element.checkVisibility())
            .filter((e) => !(e.labels?.length || e.textContent.trim() || e.getAttribute('aria-label')
                             || e.title || e.hasAttribute('alt')))
            .map((element) => element.outerHTML)"""
    )
    assert nameless == []
    for summary in page.locator("#form summary").all():
        summary.click()
    page.locator("#new-title").focus()
    reached = set()
    for _ in range(25):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.name"))
    assert {"pick-photos", "pick-file", "pick-folder", "name", "mail-me", "site", "step", "quality", "send"} <= reached
