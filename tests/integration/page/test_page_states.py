"""The customer's page in every state, with an API whose answers the test decides: no state is for ever, and none hides
from a keyboard or a screen reader."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tests.support.browser import PHONE, axe, chromium, look, needs_chromium, until
from tests.support.page import API, EMAIL, FakeApi, job, page_of, stage, token

pytestmark = needs_chromium
JOB = "meadow-0123456789ab"
TOKENS = {"id_token": token(), "refresh_token": "refresh"}


def picture(width: int = 480, height: int = 270) -> str:
    """A meadow with a house, as a data: URL."""
    image = Image.new("RGB", (width, height), (110, 150, 80))
    ImageDraw.Draw(image).rectangle((width // 3, height // 3, width // 2, height * 2 // 3), fill=(190, 100, 70))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


REFUSED = {
    "code": "LOW_REGISTRATION",
    "message": "We could match fewer than half of your photos. (4 of 20)",
    "hint": "Send one place per ZIP.",
}
CORS = {"Access-Control-Allow-Origin": "*"}
FIELDS = ("jobId", "name", "status", "stage", "progress", "uploadedAt", "rerunOf")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("chromium"), 1200, 900) as context:
        yield context


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def page(browser: Any, api: FakeApi, tmp_path: Path) -> Iterator[Any]:
    with page_of(browser, api, tmp_path, TOKENS) as (fresh, url):
        fresh.home = url
        yield fresh


def training(**more: Any) -> dict[str, Any]:
    curve = [{"step": 100 * n, "psnr": 15 + 9 * n / (n + 4)} for n in range(1, 9)]
    return job(
        progress=0.5,
        message="training",
        stages=[
            stage("sfm", "SUCCEEDED", 1.0),
            stage(
                "3dgs", "RUNNING", 0.4, message="learning from the photos",
                metrics={"step": 800, "steps": 2000, "gaussians": 40_000, "psnr": 21.0, "curve": curve},
            ),
            stage("compressor", "WAITING"),
        ],
        links={
            "sfm/cloud.json": "https://results.example.com/cloud.json",
            "snapshots/800.jpg": picture(),
            "sfm/thumbnails.jpg": picture(960, 320),
        },
        **more,
    )  # fmt: skip


def show(page: Any, api: FakeApi, view: dict[str, Any]) -> None:
    api.answers["GET", f"/jobs/{JOB}"] = view
    page.goto(f"{page.home}#job={JOB}")
    until(page, f"document.getElementById('job-name').textContent === {json.dumps(view['name'])}")


# ── nothing is for ever ──


def test_a_job_that_is_not_there_is_said_to_be_missing_at_once(page: Any, api: FakeApi, tmp_path: Path) -> None:
    api.answers["GET", "/jobs/gone-1"] = {"code": "NO_SUCH_JOB", "detail": "There is no such job.", "hint": "Check it."}
    api.status["GET", "/jobs/gone-1"] = 404
    show(page, api, training())
    page.goto(f"{page.home}#job=gone-1")
    page.wait_for_selector("#notice:not([hidden])", timeout=5000)
    assert "no such scene, or it belongs to another account" in page.inner_text("#notice")
    assert page.inner_text("#job-name") == "Scene not found"
    assert page.is_hidden("#job-status")
    assert page.is_hidden("#job-body")
    look(page, "missing-job", tmp_path)


@pytest.mark.parametrize("where", ["#", f"#job={JOB}"])
def test_a_session_that_has_ended_offers_the_way_back_in(page: Any, api: FakeApi, where: str, tmp_path: Path) -> None:
    for path in ("/jobs", f"/jobs/{JOB}"):
        api.answers["GET", path] = {"message": "Unauthorized"}
        api.status["GET", path] = 401
    page.goto(page.home + where)
    page.wait_for_selector("#notice button", timeout=5000)
    assert "signed out" in page.inner_text("#notice")
    assert "Unauthorized" not in page.inner_text("body")
    before = len(api.calls)
    page.wait_for_timeout(5000)
    assert len(api.calls) == before, "it goes on asking"
    look(page, "signed-out", tmp_path)


def test_a_session_that_ends_while_uploading_stops_it_and_says_how_to_go_on(
    page: Any, api: FakeApi, tmp_path: Path
) -> None:
    for method, path in (("POST", "/uploads"),):
        api.answers[method, path] = {"message": "Unauthorized"}
        api.status[method, path] = 401
    page.goto(page.home)
    page.set_input_files("#folder", flight(tmp_path))
    page.wait_for_selector("#chosen:not([hidden])")
    page.click("#send")
    page.wait_for_selector("#notice button", timeout=5000)
    assert "continues once you choose the same files again" in page.inner_text("#notice")
    assert page.is_visible("#form")


def test_a_connection_that_stays_away_is_said_with_the_time_and_a_way_out(page: Any, api: FakeApi) -> None:
    show(page, api, training())
    api.down = True
    until(page, "document.getElementById('job-message').textContent.includes('connection was lost')")
    until(page, "document.getElementById('job-message').textContent.includes('you may close this page')", 60_000)
    api.down = False
    page.evaluate("dispatchEvent(new Event('online'))")
    until(page, "document.getElementById('job-message').textContent.includes('50 %')", 5000)


@pytest.mark.parametrize("config", ["nope", "404"])
def test_a_page_that_was_not_set_up_says_so_in_words(browser: Any, api: FakeApi, tmp_path: Path, config: str) -> None:
    with page_of(browser, api, tmp_path, TOKENS) as (page, url):
        page.route("**/config.json", lambda route: route.fulfill(body=config, status=404 if config == "404" else 200))
        page.goto(url)
        page.wait_for_selector("#notice:not([hidden])", timeout=5000)
        assert "JSON" not in page.inner_text("#notice")
        assert "Reload the page" in page.inner_text("#notice")


# ── files and form ──


def flight(folder: Path, count: int = 6) -> Path:
    photos = folder / "meadow"
    photos.mkdir(exist_ok=True)
    for number in range(count):
        Image.effect_noise((160, 120), 60 + number).save(photos / f"DJI_{number:04d}.JPG")
    return photos


def test_what_cannot_work_is_refused_before_a_byte_is_sent(page: Any, api: FakeApi, tmp_path: Path) -> None:
    page.goto(page.home)
    page.click("#send")
    assert "Choose photos, a folder or a ZIP" in page.inner_text("#form-error")
    for name, content, said in (
        ("flight.rar", b"Rar!\x1a\x07\x00" + bytes(100), "not a ZIP"),
        ("flight.avi", b"RIFF" + bytes(100), "in a format that we cannot read"),
        ("renamed.zip", b"just text" * 30, "not a ZIP"),
        ("one.jpg", b"\xff\xd8\xff", "1 of at least 5"),
    ):
        (tmp_path / name).write_bytes(content)
        page.set_input_files("#file", tmp_path / name)
        until(page, f"document.getElementById('form-error').textContent.includes({json.dumps(said)})")
        page.click("#send")
        page.wait_for_timeout(100)
        assert page.is_visible("#form")
    look(page, "refused-before-sending", tmp_path)
    assert [call for call in api.calls if call[0] == "POST"] == []


def test_a_zip_is_counted_from_its_own_list_and_the_step_follows_each_file(page: Any, tmp_path: Path) -> None:
    page.goto(page.home)
    (tmp_path / "a.ply").write_bytes(b"ply\nformat binary")
    page.set_input_files("#file", tmp_path / "a.ply")
    until(page, "document.getElementById('step').value === 'compression'")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        for photo in sorted(flight(tmp_path, 7).iterdir()):
            made.write(photo, photo.name)
    page.set_input_files("#file", tmp_path / "a.zip")
    until(page, "document.getElementById('chosen-size').textContent.includes('7 photos')")
    assert page.input_value("#step") == "full"
    assert page.is_hidden("#form-error")


def test_photos_chosen_on_a_phone_are_zipped_as_they_are(page: Any, api: FakeApi, tmp_path: Path) -> None:
    page.set_viewport_size(PHONE)
    page.goto(page.home)
    page.set_input_files("#photos", sorted(flight(tmp_path).iterdir()))
    until(page, "document.getElementById('chosen-size').textContent.includes('6 photos')")
    page.wait_for_selector("#chosen canvas")
    look(page, "phone-chosen", tmp_path)
    api.answers["POST", "/uploads"] = upload(1)
    size = sum(photo.stat().st_size for photo in flight(tmp_path).iterdir())
    page.fill("#name", "Meadow")
    page.click("#send")
    until(
        page,
        "document.getElementById('sending').hidden === false || document.getElementById('notice').hidden === false",
    )
    (begun,) = [body for method, path, body in api.calls if (method, path) == ("POST", "/uploads")]
    assert begun["fileName"].startswith("photos ")
    assert size < begun["bytes"] < size + 6 * 300
    assert begun["email"] == EMAIL


def upload(size: int) -> dict[str, Any]:
    return {
        "uploadId": "u", "bytes": size, "partBytes": 8 * 1024**2, "partCount": 1, "received": [], "links": [],
        "expiresAt": "2036-05-04T16:00:00Z",
    }  # fmt: skip


def test_after_an_upload_the_form_starts_afresh_and_reading_another_scene_is_not_interrupted(
    page: Any, api: FakeApi, tmp_path: Path
) -> None:
    page.goto(page.home)
    page.set_input_files("#folder", flight(tmp_path))
    page.wait_for_selector("#chosen:not([hidden])")
    page.fill("#name", "House A")
    api.answers["POST", "/uploads"] = {**upload(1), "links": [{"number": 1, "url": f"{API}/part"}]}
    api.answers["PUT", "/part"] = {}
    api.answers["POST", "/uploads/u/complete"] = {"jobId": "house-1", "created": True}
    api.answers["GET", f"/jobs/{JOB}"] = training()
    page.evaluate("location.hash = 'job=meadow-0123456789ab'")
    until(page, "!document.getElementById('job').hidden")
    page.evaluate("document.getElementById('form').requestSubmit()")
    until(page, "document.getElementById('toast').textContent.includes('has been uploaded')")
    assert page.evaluate("location.hash") == f"#job={JOB}"
    look(page, "toast", tmp_path)
    page.click("#toast a")
    until(page, "location.hash === '#job=house-1'")
    until(page, "document.getElementById('job-message').textContent.includes('Waiting for the job to start')")
    page.evaluate("location.hash = ''")
    assert page.input_value("#name") == ""
    assert page.is_hidden("#chosen")


# ── what a running job shows ──


def test_stop_asks_first(page: Any, api: FakeApi, tmp_path: Path) -> None:
    show(page, api, training())
    api.answers["POST", f"/jobs/{JOB}/stop"] = {"jobId": JOB, "stopping": True}
    page.click("#stop")
    page.wait_for_selector("#ask[open]")
    look(page, "stop", tmp_path)
    page.click("#ask-no")
    page.wait_for_timeout(200)
    assert [call for call in api.calls if call[0] == "POST"] == []
    page.click("#stop")
    page.click("#ask-yes")
    until(page, "document.getElementById('job-status').textContent === 'stopping …'")
    api.answers["GET", f"/jobs/{JOB}"] = job("STOPPED", error={**REFUSED, "code": "STOPPED"})
    until(page, "document.getElementById('job-status').textContent === 'stopped'")
    assert "calm" in page.get_attribute("#job-error", "class")


def test_the_list_follows_what_is_under_way(page: Any, api: FakeApi) -> None:
    summary = {name: job()[name] for name in FIELDS}
    again = {**summary, "jobId": f"{JOB}-r2", "rerunOf": JOB, "status": "SUCCEEDED"}
    api.answers["GET", "/jobs"] = {"jobs": [again, {**summary, "progress": 0.2}], "next": None}
    page.goto(page.home)
    until(page, "document.getElementById('jobs').textContent.includes('20 %')")
    assert "#2" in page.inner_text("#jobs li:first-child")
    api.answers["GET", "/jobs"] = {"jobs": [again, {**summary, "progress": 0.6}], "next": None}
    until(page, "document.getElementById('jobs').textContent.includes('60 %')", 15_000)


def test_nothing_is_painted_while_nothing_changes(page: Any, api: FakeApi) -> None:
    page.route("**/cloud.json", lambda route: route.fulfill(json=cloud(), headers=CORS))
    page.add_init_script(
        "{ const real = CanvasRenderingContext2D.prototype.putImageData; window.paints = 0;"
        " CanvasRenderingContext2D.prototype.putImageData = function (...all)"
        " { window.paints += 1; return real.apply(this, all); }; }"
    )
    show(page, api, training())
    page.wait_for_selector("#cloud:not([hidden])")
    page.locator("#cloud-canvas").scroll_into_view_if_needed()
    page.wait_for_timeout(1000)
    before = page.evaluate("window.paints")
    assert before > 0
    page.wait_for_timeout(2500)
    assert page.evaluate("window.paints") == before
    page.click("#cloud-turn")
    page.wait_for_timeout(500)
    assert page.evaluate("window.paints") > before
    assert page.inner_text("#cloud-turn") == "Pause"
    page.mouse.wheel(0, 300)
    page.wait_for_timeout(300)
    top = page.evaluate("scrollY")
    page.mouse.move(*centre(page, "#cloud-canvas"))
    page.mouse.wheel(0, -200)
    page.wait_for_timeout(500)
    assert page.evaluate("scrollY") < top, "the canvas takes the wheel"


def centre(page: Any, selector: str) -> tuple[float, float]:
    box = page.locator(selector).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def cloud() -> dict[str, Any]:
    chance = np.random.default_rng(1)
    points = chance.uniform(-20, 20, (3000, 3)).astype(np.float32)
    points[:, 2] = chance.uniform(-9, -7, 3000)
    colours = np.tile(np.array([90, 140, 70], np.uint8), (3000, 1))
    around = [(float(np.cos(n)), float(np.sin(n))) for n in range(12)]
    cameras = [{"name": "a.jpg", "position": [24 * x, 24 * y, 14.0], "forward": [-x, -y, -0.5]} for x, y in around]
    coded = {
        "positions": base64.b64encode(points.tobytes()).decode(),
        "colors": base64.b64encode(colours.tobytes()).decode(),
    }
    return {"version": 1, "metric": True, "centre": [0, 0, 0], "cameras": cameras, "points": {"count": 3000, **coded}}


def test_a_scene_is_shared_renamed_and_deleted_from_its_page(page: Any, api: FakeApi) -> None:
    shares, made = f"/jobs/{JOB}/shares", {**SHARE, "token": f"{JOB}.secret"}
    api.answers["GET", shares] = {"shares": [SHARE]}
    api.answers |= {("POST", shares): made, ("PATCH", f"/jobs/{JOB}"): {}, ("DELETE", f"/jobs/{JOB}"): {}}
    show(page, api, ready())
    until(page, "document.getElementById('shares').textContent.includes('For the mayor')")
    page.fill("#share-label", "For the mayor")
    page.click("#share-form button")
    page.wait_for_selector("#new-share:not([hidden])")
    assert page.input_value("#share-link") == f"{API}/shared/{JOB}.secret"
    assert f'src="{API}/shared/{JOB}.secret"' in page.input_value("#share-embed")
    assert ("POST", shares, {"label": "For the mayor", "days": 30}) in api.calls
    page.click("#rename")
    page.fill("#ask-value", "House B")
    page.click("#ask-yes")
    until(page, "!document.getElementById('ask').open")
    page.click("#delete")
    page.click("#ask-yes")
    until(page, "location.hash === ''")
    assert [method for method, path, _ in api.calls if path == f"/jobs/{JOB}" and method != "GET"] == [
        "PATCH",
        "DELETE",
    ]


def test_a_poor_scene_says_so_and_why_and_its_one_button_mends_it(page: Any, api: FakeApi) -> None:
    show(page, api, ready())
    page.wait_for_selector("#verdict:not([hidden])")
    assert "A poor scene" in page.inner_text("#verdict")
    assert "A reason." in page.inner_text("#verdict")
    until(page, "document.getElementById('overlap-map').naturalWidth === 480")
    api.answers["POST", f"/jobs/{JOB}/rerun"] = {"jobId": f"{JOB}-r2", "rerunOf": JOB, "reused": ["sfm"]}
    page.click("#verdict button")
    until(page, f"location.hash === '#job={JOB}-r2'")
    (asked,) = [body for method, _, body in api.calls if method == "POST"]
    assert asked == {"from": "3dgs", "options": {"quality": "standard"}}


# ── for everybody ──

SHARE = {"shareId": "0123456789ab", "label": "For the mayor", "createdAt": "2026-05-04T10:00:00Z", "expiresAt": None}
STEP = {"label": "Make it again in Standard quality", "fromStage": "3dgs", "quality": "standard"}
POOR = {
    "grade": "poor",
    "sentence": "A poor scene: do not rely on what it shows.",
    "why": "A reason.",
    "nextStep": STEP,
}
SUCCEEDED = {"score": 35, "photos": 20, "registered": 20, "psnr": 16.9, "bytes": 1_500_000, "verdict": POOR}
STAGES = ("sfm", "3dgs", "compressor")


def ready() -> dict[str, Any]:
    stages = [stage(name, "SUCCEEDED", 1.0) for name in STAGES]
    links = {
        **training()["links"],
        "sfm/overlap.png": picture(),
        "viewer/index.html": "about:blank",
        "scene.sog": "https://results.example.com/a.sog",
    }
    return {
        **training(), "status": "SUCCEEDED", "message": "Your scene is ready.", "metrics": SUCCEEDED, "stages": stages,
        "links": links,
    }  # fmt: skip


def failed() -> dict[str, Any]:
    return job(
        "FAILED", error=REFUSED, stages=[stage("sfm", "FAILED", 0.6), *(stage(n, "WAITING") for n in STAGES[1:])]
    )


# what the API shows, where the page is opened, and what then is to be seen
STATES: dict[str, tuple[Callable[[], dict[str, Any]] | None, str, str]] = {
    "welcome": (None, "", "#welcome"),
    "unsubscribe": (None, "#unsubscribe=ref", "#mails"),
    "home": (job, "#", "#jobs li"),
    "training": (training, f"#job={JOB}", "#curve svg"),
    "ready": (ready, f"#job={JOB}", "#job-scene"),
    "failed": (failed, f"#job={JOB}", "#job-error"),
    "stopped": (lambda: job("STOPPED", error={**REFUSED, "code": "STOPPED"}), f"#job={JOB}", "#job-error"),
    "rejected": (lambda: job("REJECTED", error=REFUSED), f"#job={JOB}", "#job-error"),
}


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("state", STATES)
def test_axe_finds_nothing(browser: Any, api: FakeApi, state: str, colours: str, tmp_path: Path) -> None:
    view, where, sign = STATES[state]
    with page_of(browser, api, tmp_path, None if view is None else TOKENS) as (page, url):
        page.emulate_media(color_scheme=colours)
        page.route("**/cloud.json", lambda route: route.fulfill(json=cloud(), headers=CORS))
        summary = {name: job()[name] for name in FIELDS}
        api.answers["GET", "/jobs"] = {"jobs": [summary, {**summary, "status": "SUCCEEDED"}], "next": None}
        api.answers["GET", f"/jobs/{JOB}/shares"] = {"shares": [SHARE]}
        if view is not None:
            api.answers["GET", f"/jobs/{JOB}"] = view()
        page.goto(url + where)
        page.wait_for_selector(sign)
        page.wait_for_timeout(400)
        for size, name in (({"width": 1200, "height": 900}, "desktop"), (PHONE, "phone")):
            page.set_viewport_size(size)
            page.wait_for_timeout(150)
            look(page, f"{state}-{colours}-{name}", tmp_path)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"
            assert axe(page) == []


def test_the_focus_goes_along(page: Any, api: FakeApi, tmp_path: Path) -> None:
    api.answers["GET", f"/jobs/{JOB}"] = training()
    page.goto(page.home)
    page.evaluate(f"location.hash = 'job={JOB}'")
    until(page, "document.activeElement.id === 'job-name'")
    page.evaluate("location.hash = ''")
    until(page, "document.activeElement.id === 'new-title'")
    assert page.evaluate("getComputedStyle(document.getElementById('main')).outlineStyle") == "none"
    page.set_input_files("#folder", flight(tmp_path))
    page.wait_for_selector("#chosen:not([hidden])")
    api.down = True
    page.click("#send")
    until(page, "document.activeElement.id === 'sending-name'")
    page.click("#cancel")
    until(page, "document.activeElement.id === 'new-title'", 10_000)


def test_live_regions_do_not_repeat_every_look(page: Any, api: FakeApi) -> None:
    show(page, api, training())
    assert page.get_attribute("#job-message", "aria-live") is None
    assert page.get_attribute("#job-message", "role") is None
    page.evaluate(
        "window.said = 0; new MutationObserver(() => { window.said += 1; })"
        ".observe(document.getElementById('announcement'), { childList: true, characterData: true, subtree: true })"
    )
    page.wait_for_timeout(5000)
    assert page.evaluate("window.said") == 0
