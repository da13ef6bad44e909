"""What files, buttons and keys do on the customer's page, with an API whose answers the test sets."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from tests.support.browser import PHONE, axe, look, met, needs_chromium, until
from tests.support.page import API, EMAIL, FakeApi, go_home, job, show
from tests.support.page_views import (
    CORS,
    FIELDS,
    JOB,
    REFUSED,
    SHARE,
    cloud,
    failed,
    flight,
    photos,
    ready,
    training,
    upload,
)

pytestmark = needs_chromium

FRAMED = ("viewer/index.html", "report.html")  # the files of a job that its page shows in frames


def test_what_cannot_work_is_refused_before_a_byte_is_sent(page: Any, api: FakeApi, tmp_path: Path) -> None:
    go_home(page)
    page.click("#send")
    until(page, "document.getElementById('form-error').textContent.includes('Choose photos, a folder or a ZIP')")
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
    assert axe(page) == []
    assert [call for call in api.calls if call[0] == "POST"] == []


def test_a_zip_is_counted_from_its_own_list_and_the_step_follows_each_file(page: Any, tmp_path: Path) -> None:
    go_home(page)
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


REPORT = {"project": "Bridge 7", "customer": "City of Ulm", "site": "Mill Lane 4"}


def test_photos_chosen_on_a_phone_are_zipped_as_they_are(page: Any, api: FakeApi, tmp_path: Path) -> None:
    page.set_viewport_size(PHONE)
    go_home(page)
    page.set_input_files("#photos", sorted(flight(tmp_path).iterdir()))
    until(page, "document.getElementById('chosen-size').textContent.includes('6 photos')")
    page.wait_for_selector("#chosen canvas")
    look(page, "phone-chosen", tmp_path)
    assert axe(page) == []
    api.answers["POST", "/uploads"] = upload(1)
    size = sum(photo.stat().st_size for photo in flight(tmp_path).iterdir())
    page.fill("#name", "Meadow")
    assert page.is_hidden("#project")
    page.click("text=Report details")
    for name, text in REPORT.items():
        page.fill(f"#{name}", text)
    look(page, "phone-report-details", tmp_path)
    assert axe(page) == []
    page.click("#send")
    met(page, lambda: bool(api.sent("POST", "/uploads")), what="no upload was begun")
    (begun,) = api.sent("POST", "/uploads")
    assert begun["fileName"].startswith("photos ")
    assert size < begun["bytes"] < size + 6 * 300
    assert begun["email"] == EMAIL
    assert {name: begun[name] for name in REPORT} == REPORT


def test_after_an_upload_the_form_starts_afresh_and_reading_another_scene_is_not_interrupted(
    page: Any, api: FakeApi, tmp_path: Path
) -> None:
    go_home(page)
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
    assert axe(page) == []
    page.click("#toast a")
    until(page, "location.hash === '#job=house-1'")
    until(page, "document.getElementById('job-message').textContent.includes('Waiting for the job to start')")
    page.evaluate("location.hash = ''")
    page.wait_for_selector("#home:not([hidden])")
    assert page.input_value("#name") == ""
    assert page.is_hidden("#chosen")


def test_stop_asks_first(page: Any, api: FakeApi, tmp_path: Path) -> None:
    show(page, api, training())
    api.answers["POST", f"/jobs/{JOB}/stop"] = {"jobId": JOB, "stopping": True}
    page.click("#stop")
    page.wait_for_selector("#ask[open]")
    look(page, "stop", tmp_path)
    assert axe(page) == []
    page.click("#ask-no")
    page.wait_for_timeout(200)
    assert [call for call in api.calls if call[0] == "POST"] == []
    page.click("#stop")
    page.click("#ask-yes")
    until(page, "document.getElementById('job-status').textContent === 'stopping …'")
    api.answers["GET", f"/jobs/{JOB}"] = job("STOPPED", error={**REFUSED, "code": "STOPPED"})
    until(page, "document.getElementById('job-status').textContent === 'stopped'")
    until(page, "document.getElementById('job-error').classList.contains('calm')")


def test_the_list_follows_what_is_under_way(page: Any, api: FakeApi) -> None:
    summary = {name: job()[name] for name in FIELDS}
    again = {**summary, "jobId": f"{JOB}-r2", "rerunOf": JOB, "status": "SUCCEEDED"}
    api.answers["GET", "/jobs"] = {"jobs": [again, {**summary, "progress": 0.2}], "next": None}
    go_home(page)
    until(page, "document.getElementById('jobs').textContent.includes('20 %')")
    assert "#2" in page.inner_text("#jobs li:first-child")
    page.focus("#jobs li:first-child a")
    api.answers["GET", "/jobs"] = {"jobs": [again, {**summary, "progress": 0.6}], "next": None}
    until(page, "document.getElementById('jobs').textContent.includes('60 %')", 15_000)
    assert page.evaluate("document.activeElement.hash") == f"#job={JOB}-r2"


def test_a_new_scene_pushes_none_off_a_list_that_shows_older_ones(page: Any, api: FakeApi) -> None:
    def summary(number: int, status: str = "SUCCEEDED") -> dict[str, Any]:
        return {**{name: job(status)[name] for name in FIELDS}, "jobId": f"scene-{number}"}

    api.answers["GET", "/jobs"] = {"jobs": [summary(5, "RUNNING"), summary(4), summary(3)], "next": "3"}
    api.answers["GET", "/jobs?before=3"] = {"jobs": [summary(2), summary(1)], "next": None}
    go_home(page)
    page.click("#more-jobs")
    until(page, "document.querySelectorAll('#jobs li').length === 5")
    api.answers["GET", "/jobs"] = {"jobs": [summary(6), summary(5), summary(4)], "next": "4"}
    until(page, "document.querySelector('#jobs a').hash === '#job=scene-6'", 15_000)
    shown = page.evaluate("[...document.querySelectorAll('#jobs a')].map((link) => link.hash)")
    assert shown == [f"#job=scene-{number}" for number in range(6, 0, -1)]


def test_a_scene_is_found_by_its_name_through_pages_without_any(page: Any, api: FakeApi, tmp_path: Path) -> None:
    def summary(number: int, name: str) -> dict[str, Any]:
        return {**{field: job("SUCCEEDED")[field] for field in FIELDS}, "jobId": f"scene-{number}", "name": name}

    api.answers["GET", "/jobs"] = {"jobs": [summary(9, "Hall"), summary(8, "Meadow")], "next": "8"}
    api.answers["GET", "/jobs?search=house"] = {"jobs": [], "next": "4"}
    api.answers["GET", "/jobs?before=4&search=house"] = {"jobs": [summary(3, "House A")], "next": "3"}
    api.answers["GET", "/jobs?before=3&search=house"] = {"jobs": [summary(1, "Old house")], "next": None}
    api.answers["GET", "/jobs?search=housex"] = {"jobs": [], "next": None}
    go_home(page)
    page.wait_for_selector("#find-label:not([hidden])")
    page.locator("#find").press_sequentially("house", delay=20)
    until(page, "document.getElementById('jobs').textContent.includes('House A')")
    assert page.locator("#jobs li").count() == 1
    assert page.inner_text("#announcement") == "1 scene found so far"
    asked = [path for _, path, _ in api.calls if path.startswith("/jobs")]
    assert asked == ["/jobs", "/jobs?search=house", "/jobs?before=4&search=house"], "it asked at every letter"
    page.click("#more-jobs")
    until(page, "document.querySelectorAll('#jobs li').length === 2")
    assert page.is_hidden("#more-jobs")
    look(page, "search", tmp_path)
    page.fill("#find", "housex")
    until(page, "!document.getElementById('no-jobs').hidden")
    assert page.inner_text("#no-jobs") == "No scene has “housex” in its name"
    assert page.is_visible("#find"), "nobody could clear it"
    assert axe(page) == []
    page.fill("#find", "")
    until(page, "document.querySelectorAll('#jobs li').length === 2")
    assert page.is_hidden("#no-jobs")


def test_the_form_says_how_long_each_quality_takes_before_anything_is_sent(
    page: Any, api: FakeApi, tmp_path: Path
) -> None:
    def ranges(*minutes: int) -> dict[str, Any]:
        named = zip(("preview", "standard", "high"), minutes, strict=True)
        return {"estimates": {quality: {"low": 48 * each, "high": 72 * each} for quality, each in named}}

    api.answers["GET", "/estimates?pipelineStep=full&photos=6"] = ranges(5, 10, 40)
    api.answers["GET", "/estimates?pipelineStep=3dgs&photos=6"] = ranges(4, 8, 30)
    go_home(page)
    told = "[...document.querySelectorAll('[data-time]')].map((place) => place.textContent)"
    assert page.evaluate(told) == ["", "", ""]
    page.set_input_files("#folder", flight(tmp_path))
    until(page, f"{told}[2] !== ''")
    assert page.evaluate(told) == [f"{each} min after the upload" for each in ("4–6", "8–12", "32–48")]
    look(page, "times", tmp_path)
    page.set_viewport_size(PHONE)
    look(page, "times-phone", tmp_path)
    assert axe(page) == []
    page.click("text=Advanced")
    page.select_option("#step", "3dgs")
    until(page, f"{told}[0].startsWith('3–5')")
    page.set_input_files("#file", _archive(tmp_path, "flight.rar", b"Rar!\x1a\x07\x00"))
    until(page, f"{told}.join('') === ''")
    assert page.is_visible("#form-error")


def _archive(folder: Path, name: str, content: bytes) -> Path:
    (folder / name).write_bytes(content)
    return folder / name


def test_files_that_are_sent_at_once_are_looked_at_once(page: Any) -> None:
    go_home(page)
    looked = page.evaluate(
        """() => new Promise((resolve) => {
            const real = File.prototype.slice;
            let looks = 0;
            File.prototype.slice = function (from, to) { looks += to === 12; return real.call(this, from, to); };
            const chosen = new DataTransfer();
            chosen.items.add(new File(['just text'], 'a.zip'));
            const input = document.getElementById('file');
            input.files = chosen.files;
            input.dispatchEvent(new Event('change'));
            document.getElementById('form').requestSubmit();
            const error = document.getElementById('form-error');
            const done = setInterval(() => {
                if (error.textContent.includes('not a ZIP')) {
                    clearInterval(done);
                    setTimeout(() => resolve(looks), 500);
                }
            }, 50);
        })"""
    )
    assert looked == 1
    assert "not a ZIP" in page.inner_text("#form-error")


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
    until(page, "window.paints > 0")
    paints = [0]

    def painted_no_more() -> bool:
        paints.append(page.evaluate("window.paints"))
        return bool(paints[-1] == paints[-2])

    met(page, painted_no_more, pause=1000, what="it is painted without end")
    page.wait_for_timeout(2500)
    assert page.evaluate("window.paints") == paints[-1]
    page.click("#cloud-turn")
    until(page, f"window.paints > {paints[-1]}")
    until(page, "document.getElementById('cloud-turn').innerText === 'Pause'")
    page.evaluate("scrollTo(0, 300)")
    until(page, "scrollY > 0")
    top = page.evaluate("scrollY")
    page.mouse.move(*centre(page, "#cloud-canvas"))
    page.mouse.wheel(0, -200)
    until(page, f"scrollY < {top}")  # the canvas does not capture the wheel


def centre(page: Any, selector: str) -> tuple[float, float]:
    box = page.locator(selector).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_a_scene_is_shared_renamed_and_deleted_from_its_page(page: Any, api: FakeApi, tmp_path: Path) -> None:
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
    look(page, "shared", tmp_path)
    assert axe(page) == []
    page.click("#rename")
    look(page, "rename", tmp_path)
    assert axe(page) == []
    page.fill("#ask-value", "House B")
    page.press("#ask-value", "Enter")
    until(page, "!document.getElementById('ask').open")
    page.click("#delete")
    page.click("#ask-yes")
    until(page, "location.hash === ''")
    met(page, lambda: len(changes(api)) >= 2, what="it was not renamed and deleted")
    assert changes(api) == [("PATCH", {"name": "House B"}), ("DELETE", None)]


def changes(api: FakeApi) -> list[tuple[str, Any]]:
    return [(method, sent) for method, path, sent in api.calls if path == f"/jobs/{JOB}" and method != "GET"]


def test_a_question_is_taken_back_by_cancel_and_by_escape(page: Any, api: FakeApi) -> None:
    show(page, api, ready())
    for escape in (False, True):
        page.click("#rename")
        page.fill("#ask-value", "House B")
        page.keyboard.press("Escape") if escape else page.click("#ask-no")
        until(page, "!document.getElementById('ask').open")
    assert [method for method, _, _ in api.calls if method == "PATCH"] == []


def test_a_job_that_failed_shows_what_became_of_each_photo_and_where_they_were_placed(
    page: Any, api: FakeApi, tmp_path: Path
) -> None:
    page.route("**/cloud.json", lambda route: route.fulfill(json=cloud(), headers=CORS))
    page.route("**/photos.json", lambda route: route.fulfill(json=photos(), headers=CORS))
    show(page, api, failed())
    page.wait_for_selector("#outcomes:not([hidden])")
    assert page.inner_text("#outcomes-text") == "4 of 20 photos were placed."
    assert "DJI_0004.JPG" in page.inner_text("#outcomes tbody tr:first-child")
    assert "matches no other photo" in page.inner_text("#outcomes tbody tr:first-child")
    for picture in ("overlap-map", "cameras-map", "thumbnail-sheet"):
        until(page, f"document.getElementById('{picture}').naturalWidth > 0")
        assert page.is_visible(f"#{picture}")
    assert page.is_visible("#thumbnails-text")
    assert page.text_content("#stages li:last-child").endswith("not started")
    page.wait_for_selector("#cloud", state="visible")
    page.evaluate("document.getElementById('job').hidden = true")
    page.dispatch_event("#cloud-canvas", "keydown", {"key": "+"})  # hidden, it draws nothing and raises nothing
    page.wait_for_timeout(200)
    show(page, api, {**training(), "jobId": "other-1", "name": "Another"})  # another job's page shows nothing of it
    assert page.is_hidden("#outcomes")
    assert page.is_hidden("#cameras")


def test_a_poor_scene_says_so_and_why_and_its_one_button_mends_it(page: Any, api: FakeApi) -> None:
    show(page, api, ready())
    page.wait_for_selector("#verdict:not([hidden])")
    assert "A poor scene" in page.inner_text("#verdict")
    assert "A reason." in page.inner_text("#verdict")
    until(page, "document.getElementById('overlap-map').naturalWidth === 480")
    opens = page.locator("#downloads a").first
    assert (opens.inner_text(), opens.get_attribute("target")) == ("Open in a new tab", "_blank")
    assert opens.get_attribute("href") == page.get_attribute("#viewer", "src")
    api.answers["POST", f"/jobs/{JOB}/rerun"] = {"jobId": f"{JOB}-r2", "rerunOf": JOB, "reused": ["sfm"]}
    page.click("#verdict button")
    until(page, f"location.hash === '#job={JOB}-r2'")
    (asked,) = [body for method, _, body in api.calls if method == "POST"]
    assert asked == {"from": "3dgs", "options": {"quality": "standard"}}


def test_back_leads_from_scene_to_list_and_not_through_the_frames_of_scenes(page: Any, api: FakeApi) -> None:
    page.route("https://results.example.com/*.html", lambda route: route.fulfill(content_type="text/html", body="x"))
    go_home(page)
    for name in ("a", "b"):
        framed = {file: f"https://results.example.com/{name}{n}.html" for n, file in enumerate(FRAMED)}
        api.answers["GET", f"/jobs/{name}"] = {**ready(), "jobId": name, "name": name, "links": framed}
        page.evaluate(f"location.hash = 'job={name}'")
        met(page, lambda: sum("results" in frame.url for frame in page.frames) == 2, what="its frames stay empty")
        page.evaluate("location.hash = ''")
        page.wait_for_selector("#home:not([hidden])")
    for expected in ("#job=b", "", "#job=a", ""):
        page.evaluate("history.back()")
        page.wait_for_timeout(300)
        assert page.evaluate("location.hash") == expected
        assert page.is_visible("#job" if expected else "#home")
