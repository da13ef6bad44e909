"""Send a POST to a host that a customer named: to the address that was checked, over TLS, without redirects."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from threading import Event, Timer
from time import monotonic
from urllib.parse import urlsplit

from domain.errors import MAX_FACTS, one_line
from domain.webhooks import Targets

# for the complete answer: with only a timeout per read, a host that sends byte by byte could hold the call forever
TIMEOUT_SECONDS = 10.0
# addresses of IPv6 that stand for one of IPv4: NAT64 (RFC 6052, RFC 8215) and IPv4-compatible (RFC 4291); `ipaddress`
# itself knows the mapped, 6to4 and Teredo ones
_EMBEDDING = [ipaddress.IPv6Network(net) for net in ("64:ff9b::/96", "64:ff9b:1::/48", "::/96", "::ffff:0:0:0/96")]


class Undelivered(Exception):
    """A call was not delivered; the message says why."""


def post(url: str, body: bytes, headers: Mapping[str, str], targets: Targets, seconds: float = TIMEOUT_SECONDS) -> None:
    """POST `body` to `url`. Raises Undelivered unless the host answers 2xx within `seconds`."""
    try:
        status = _status_of(url, body, headers, targets, seconds)
    except (OSError, HTTPException, ValueError) as error:  # ValueError: a host or path that a request cannot contain
        # the message may quote up to 64 kB that the host sent, and is stored in the owner's log
        raise Undelivered(one_line(f"{type(error).__name__}: {error}", MAX_FACTS)) from error
    if not 200 <= status < 300:
        raise Undelivered(f"answered {status}")


def is_public(address: str) -> bool:
    """Whether an address is a public unicast address, and so is the IPv4 address that it may embed."""
    ip = ipaddress.ip_address(address)
    if ip.is_multicast or not ip.is_global:
        return False
    return all(inner.is_global and not inner.is_multicast for inner in _embedded(ip))


def _embedded(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    if isinstance(ip, ipaddress.IPv4Address):
        return []
    found = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
    if any(ip in network for network in _EMBEDDING):
        found.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
    return [inner for inner in found if inner is not None]


def _status_of(url: str, body: bytes, headers: Mapping[str, str], targets: Targets, seconds: float) -> int:
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    path = parts._replace(scheme="", netloc="", path=parts.path or "/", fragment="").geturl()
    begun = monotonic()
    with socket.create_connection((_address(host, port, targets), port), seconds) as raw:
        sock = raw
        if parts.scheme == "https":
            sock = ssl.create_default_context().wrap_socket(raw, server_hostname=host, do_handshake_on_connect=False)
        left = begun + seconds - monotonic()
        if left <= 0:
            raise TimeoutError(f"no answer within {seconds:g} s")
        with sock, _ended_after(left, sock) as too_late:
            if isinstance(sock, ssl.SSLSocket):
                sock.do_handshake()
            # the connection would otherwise resolve the host again, and the answer might be another address by then
            connection = HTTPConnection(host, port, timeout=seconds)
            connection.sock = sock
            connection.request("POST", path, body, dict(headers))
            status = connection.getresponse().status
            if too_late.is_set():  # a connection that was shut down looks like a short answer
                raise TimeoutError(f"no answer within {seconds:g} s")
            return status


@contextmanager
def _ended_after(seconds: float, sock: socket.socket) -> Iterator[Event]:
    """Shut the connection down when the time is over, even during a read or write; the event then is set."""
    too_late = Event()

    def end() -> None:
        too_late.set()
        with suppress(OSError):  # it was closed meanwhile
            # not SSLSocket.shutdown, which drops the session while another thread reads from it
            socket.socket.shutdown(sock, socket.SHUT_RDWR)

    timer = Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield too_late
    finally:
        timer.cancel()


def _address(host: str, port: int, targets: Targets) -> str:
    """The host's address. Raises Undelivered unless it is public, so that no call reaches our own network."""
    found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    if targets is Targets.PUBLIC and not all(is_public(address.partition("%")[0]) for address in found):
        raise Undelivered(f"{host} is not on the internet")
    return found[0]
