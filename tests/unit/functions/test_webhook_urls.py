"""Which URLs a webhook may have, and what happens to calls to them."""

from __future__ import annotations

import socket

import pytest

from domain.post import Undelivered, post
from domain.webhooks import Targets, fault_of
from tests.support.cloud import Cloud
from tests.support.http_api import call
from tests.support.receiver import receiver


def test_a_redirect_is_not_followed() -> None:
    with receiver(302) as hook, pytest.raises(Undelivered, match="answered 302"):
        post(hook.url, b"{}", {}, Targets.ANY)
    assert len(hook.calls) == 1


def test_nobody_there_is_undelivered() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(Undelivered, match="ConnectionRefused"):
        post(f"http://127.0.0.1:{port}/", b"{}", {}, Targets.ANY)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "169.254.169.254", "10.0.0.1", "192.168.1.1", "[::1]", "0.0.0.0", "[fd00::1]"]
)
def test_our_own_network_is_not_to_be_called(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "create_connection", lambda *_: pytest.fail("connected"))
    with pytest.raises(Undelivered, match="not on the internet"):
        post(f"https://{host}/", b"{}", {}, Targets.PUBLIC)


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("https://example.com/in", None),
        ("http://example.com/in", "must begin with https://"),
        ("ftp://example.com", "must begin with https://"),
        ("https://user:word@example.com", "no user"),
        ("https://example.com/#x", "no fragment"),
        ("https:///in", "names no host"),
        ("https://[::1", "not a URL"),
        ("https://example.com:99999/", "not a URL"),
        ("https://m\u00fcnchen.example/in", None),
        ("https://example.com/a b", "holds a space"),
        ("https://example.com\r\n/in", "control character"),
        ("https://example.com/\u00fc", "percent-encoded"),
        ("https://example.com/?a=\u00fc", "percent-encoded"),
        (f"https://{'a' * 64}.example/", "cannot be looked up"),
        ("https://a..example/", "cannot be looked up"),
    ],
)
def test_only_urls_that_can_be_called_are_taken(url: str, fault: str | None) -> None:
    found = fault_of(url, Targets.PUBLIC)
    assert (found is None) == (fault is None)
    assert fault is None or (found is not None and fault in found)


def test_the_api_refuses_a_url_by_its_fault(cloud: Cloud) -> None:
    answer = call("PUT", "/webhook", {"url": "ftp://example.com"})
    assert (answer.status, answer.json["code"]) == (422, "INVALID_REQUEST")
    assert "must begin with" in answer.json["detail"]
