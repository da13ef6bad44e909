"""The customer's page in every state, with an API whose answers the test sets: no state lasts for ever, and each can
be used with a keyboard and a screen reader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.browser import PHONE, axe, fits, look, needs_chromium, until
from tests.support.page import TOKENS, FakeApi, go_home, job, page_of, show
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
    picture,
    ready,
    training,
)

pytestmark = needs_chromium


def test_a_job_that_is_not_there_is_said_to_be_missing_at_once(page: Any, api: FakeApi, tmp_path: Path) -> None:
    api.answers["GET", "/jobs/gone-1"] = {"code": "NO_SUCH_JOB", "detail": "There is no such job.", "hint": "Check it."}
    api.status["GET", "/jobs/gone-1"] = 404
    show(page, api, training())
    page.goto(f"{page.home}#job=gone-1")
    page.wait_for_selector("#notice:not([hidden])")
    assert "no such scene, or it belongs to another account" in page.inner_text("#notice")
    assert page.inner_text("#job-name") == "Scene not found"
    assert page.is_hidden("#job-status")
    assert page.is_hidden("#job-body")
    look(page, "missing-job", tmp_path)
    assert axe(page) == []


def no_longer_refreshed(page: Any) -> None:
    """The issuer refuses the refresh token, which the page tries before it takes the session for ended."""
    answer = {"status": 400, "body": '{"error": "invalid_grant"}', "headers": {"Access-Control-Allow-Origin": "*"}}
    page.route("https://issuer.example.com/token", lambda route: route.fulfill(**answer))


@pytest.mark.parametrize("where", ["#", f"#job={JOB}"])
def test_a_session_that_has_ended_offers_the_way_back_in(page: Any, api: FakeApi, where: str, tmp_path: Path) -> None:
    for path in ("/jobs", f"/jobs/{JOB}"):
        api.answers["GET", path] = {"message": "Unauthorized"}
        api.status["GET", path] = 401
    no_longer_refreshed(page)
    page.goto(page.home + where)
    page.wait_for_selector("#notice button")
    assert "signed out" in page.inner_text("#notice")
    assert "Unauthorized" not in page.inner_text("body")
    assert page.inner_text("#account") == ""
    page.wait_for_timeout(1000)  # for requests sent at the same time
    before = len(api.calls)
    page.wait_for_timeout(5000)
    assert len(api.calls) == before, "it goes on asking"
    look(page, "signed-out", tmp_path)
    assert axe(page) == []


def test_a_session_that_ends_while_uploading_stops_it_and_says_how_to_go_on(
    page: Any, api: FakeApi, tmp_path: Path
) -> None:
    for method, path in (("POST", "/uploads"),):
        api.answers[method, path] = {"message": "Unauthorized"}
        api.status[method, path] = 401
    no_longer_refreshed(page)
    go_home(page)
    page.set_input_files("#folder", flight(tmp_path))
    page.wait_for_selector("#chosen:not([hidden])")
    page.click("#send")
    page.wait_for_selector("#notice button")
    assert "continues once you choose the same files again" in page.inner_text("#notice")
    assert page.is_visible("#form")


def test_a_connection_that_stays_away_is_said_with_the_time_and_a_way_out(page: Any, api: FakeApi) -> None:
    show(page, api, training())
    api.down = True
    until(page, "document.getElementById('job-message').textContent.includes('connection was lost')")
    until(page, "document.getElementById('job-message').textContent.includes('you may close this page')", 60_000)
    api.down = False
    page.evaluate("dispatchEvent(new Event('online'))")
    until(page, "document.getElementById('job-message').textContent.includes('50 %')")


@pytest.mark.parametrize("config", ["nope", "404"])
def test_a_page_that_was_not_set_up_says_so_in_words(browser: Any, api: FakeApi, tmp_path: Path, config: str) -> None:
    with page_of(browser, api, tmp_path, TOKENS) as (page, url):
        page.route("**/config.json", lambda route: route.fulfill(body=config, status=404 if config == "404" else 200))
        page.goto(url)
        page.wait_for_selector("#notice:not([hidden])")
        assert "JSON" not in page.inner_text("#notice")
        assert "Reload the page" in page.inner_text("#notice")


# what the API returns, the page that is opened, and what must be visible then
STATES: dict[str, tuple[Callable[[], dict[str, Any]] | None, str, str]] = {
    "welcome": (None, "", "#welcome"),
    "unsubscribe": (None, "#unsubscribe=ref", "#mails"),
    "home": (job, "#", "#jobs li"),
    "training": (training, f"#job={JOB}", "#curve svg"),
    "ready": (ready, f"#job={JOB}", "#job-scene"),
    "failed": (failed, f"#job={JOB}", "#outcomes"),
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
        page.route("**/photos.json", lambda route: route.fulfill(json=photos(), headers=CORS))
        summary = {name: job()[name] for name in FIELDS}
        done = {**summary, "status": "SUCCEEDED", "thumbnail": picture()}
        api.answers["GET", "/jobs"] = {"jobs": [summary, done], "next": None}
        api.answers["GET", f"/jobs/{JOB}/shares"] = {"shares": [SHARE]}
        if view is not None:
            api.answers["GET", f"/jobs/{JOB}"] = view()
        page.goto(url + where)
        page.wait_for_selector(sign)
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(400)
        for size, name in (({"width": 1200, "height": 900}, "desktop"), (PHONE, "phone")):
            page.set_viewport_size(size)
            page.wait_for_timeout(150)
            look(page, f"{state}-{colours}-{name}", tmp_path)
            fits(page)
            assert axe(page) == []


def test_before_signing_in_there_is_a_sample_and_what_becomes_of_photos_and_what_it_costs(
    browser: Any, api: FakeApi, tmp_path: Path
) -> None:
    words = {
        "price": "5 € a scene",
        "sampleUrl": "https://example.com/shared/a",
        "termsUrl": "https://example.com/terms",
    }
    with page_of(browser, api, tmp_path, None, **words) as (page, url):
        page.goto(url)
        page.wait_for_selector("#welcome:not([hidden])")
        until(page, "document.querySelector('.sample img').naturalWidth > 1000")
        assert page.get_attribute("#sample-link", "href") == words["sampleUrl"]
        assert page.get_attribute("#terms-link", "href") == words["termsUrl"]
        assert page.is_visible("#sample-link")
        assert page.is_visible("#terms-link")
        facts = page.inner_text("#facts")
        assert "5 € a scene" in facts
        assert "the operator of this service" in facts
        assert "60 days" in facts
    with page_of(browser, api, tmp_path, TOKENS) as (page, url):
        page.goto(url)
        page.wait_for_selector("#home:not([hidden])")
        assert "ask before you upload" in page.inner_text("#price")
        assert page.is_hidden("#terms-link")


def test_the_focus_goes_along(page: Any, api: FakeApi, tmp_path: Path) -> None:
    api.answers["GET", f"/jobs/{JOB}"] = training()
    go_home(page)
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
    look(page, "sending", tmp_path)
    assert axe(page) == []
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
