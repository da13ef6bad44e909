"""A call to a host that a customer named: which hosts are allowed, and how long it may take."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import MAX_FACTS
from domain.post import Undelivered, is_public, post
from domain.webhooks import Targets, fault_of


@contextmanager
def host(answer: Callable[[socket.socket, threading.Event], None]) -> Iterator[str]:
    """A host on loopback that answers one connection while the test runs."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):  # the caller has closed the connection
                answer(connection, over)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            over.set()
            thread.join(5)


def take_request(connection: socket.socket) -> None:
    """Reads all of it: a connection that is closed with bytes unread is reset, and its answer may be lost."""
    request = b""
    while not request.endswith(b"{}"):
        request += connection.recv(4096)


def drip(first: bytes) -> Callable[[socket.socket, threading.Event], None]:
    """Sends `first`, then a byte every 50 ms while the caller reads; for a minute at most."""

    def answer(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(first)
        for _ in range(1200):
            if over.wait(0.05):
                return
            connection.sendall(b"x")

    return answer


@pytest.mark.parametrize(
    ("scheme", "first"),
    [("http", b"HTTP/1.1 200 OK\r\nX-Slow: "), ("http", b"HTTP/1.1 "), ("https", b"\x16\x03\x03\x40\x00")],
    ids=["headers", "status line", "TLS handshake"],
)
def test_a_host_that_drips_its_answer_is_left_when_the_time_is_over(scheme: str, first: bytes) -> None:
    with host(drip(first)) as address:
        begun = time.monotonic()
        with pytest.raises(Undelivered):
            post(f"{scheme}://{address}/", b"{}", {}, Targets.ANY, seconds=0.5)
        assert time.monotonic() - begun < 30  # without a deadline, the dripping takes a minute


@pytest.mark.parametrize("line", [b"x" * 60_000, b"HTTP/1.1 \x1b[31m\r\n\r\n"], ids=["long", "control characters"])
def test_what_a_host_answers_is_told_in_one_short_line(line: bytes) -> None:
    def answer(connection: socket.socket, _over: threading.Event) -> None:
        take_request(connection)
        connection.sendall(line)

    with host(answer) as address, pytest.raises(Undelivered) as failure:
        post(f"http://{address}/", b"{}", {}, Targets.ANY)
    assert str(failure.value).startswith("BadStatusLine")
    assert len(str(failure.value)) <= MAX_FACTS
    assert str(failure.value).isprintable()


def accept(connection: socket.socket, _over: threading.Event) -> None:
    """Answers at once."""
    take_request(connection)
    connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")


def test_an_answer_in_time_is_taken() -> None:
    with host(accept) as address:
        post(f"http://{address}/", b"{}", {}, Targets.ANY)


def test_the_time_to_connect_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that accepts the connection late has less time left for its answer."""
    clock = iter([100.0, 111.0])
    monkeypatch.setattr("domain.post.monotonic", lambda: next(clock))
    with host(lambda _connection, _over: None) as address, pytest.raises(Undelivered, match="no answer within 10 s"):
        post(f"http://{address}/", b"{}", {}, Targets.ANY, 10.0)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "169.254.169.254", "224.0.0.1", "::1", "fe80::1", "ff0e::1", "fd00:ec2::254",
        "::ffff:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::a9fe:a9fe", "2002:7f00:1::", "::127.0.0.1",
        "::ffff:0:127.0.0.1", "2001:0:4136:e378:8000:63bf:80ff:fffe",
    ],
)  # fmt: skip
def test_no_address_of_a_private_network_is_public_however_it_is_written(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "64:ff9b::5db8:d822"])
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses(v=4).filter(lambda ip: not ip.is_global))
def test_a_private_address_is_private_in_every_form_of_ipv6(ip: ipaddress.IPv4Address) -> None:
    number = int(ip)
    forms = [(0x64FF9B << 96) | number, (0xFFFF << 32) | number, (0x2002 << 112) | (number << 80), number]
    assert not any(is_public(str(ipaddress.IPv6Address(form))) for form in forms)


@pytest.mark.parametrize(
    "url", ["https://" + "a" * 70 + ".example/", "https://example.com/ü", "https://\u0660.example/"]
)
def test_a_url_that_no_request_can_carry_is_undelivered(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_: object, **__: object) -> None:
        raise socket.gaierror("no such host")

    if "example.com" in url:  # the host would be found
        monkeypatch.setattr(socket, "getaddrinfo", nobody)
    with pytest.raises(Undelivered):
        post(url, b"{}", {}, Targets.PUBLIC)


@pytest.mark.parametrize("port", ["", ":443", ":8443"])
def test_a_webhook_is_called_at_a_port_of_the_web(port: str) -> None:
    assert fault_of(f"https://example.com{port}/in", Targets.PUBLIC) is None


@pytest.mark.parametrize("port", [22, 25, 80, 6379, 9200])
def test_a_webhook_at_another_port_is_refused(port: int) -> None:
    assert "443 or 8443" in (fault_of(f"https://example.com:{port}/in", Targets.PUBLIC) or "")
    assert fault_of(f"http://127.0.0.1:{port}/in", Targets.ANY) is None
