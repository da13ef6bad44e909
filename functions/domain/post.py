"""One POST to a host that a customer named: to the address that was looked at, over TLS, following no redirect."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from domain.webhooks import Targets

TIMEOUT_SECONDS = 10.0


class Undelivered(Exception):
    """Why a call did not get through."""


def post(url: str, body: bytes, headers: Mapping[str, str], targets: Targets) -> None:
    """Raises Undelivered unless the host answers 2xx."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    path = parts._replace(scheme="", netloc="", path=parts.path or "/", fragment="").geturl()
    try:
        with socket.create_connection((_address(host, port, targets), port), TIMEOUT_SECONDS) as raw:
            # the connection's own way would ask the resolver again, which may answer another address by then
            connection = HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
            context = ssl.create_default_context()
            connection.sock = context.wrap_socket(raw, server_hostname=host) if parts.scheme == "https" else raw
            try:
                connection.request("POST", path, body, dict(headers))
                status = connection.getresponse().status
            finally:
                connection.close()
    except (OSError, HTTPException) as error:
        raise Undelivered(f"{type(error).__name__}: {error}") from error
    if not 200 <= status < 300:
        raise Undelivered(f"answered {status}")


def _address(host: str, port: int, targets: Targets) -> str:
    """The host's address. Raises Undelivered where it is not one of the internet: nobody looks into our own network."""
    found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    if targets is Targets.PUBLIC and not all(ipaddress.ip_address(address).is_global for address in found):
        raise Undelivered(f"{host} is not on the internet")
    return found[0]
