"""Loopback ports of the local cloud."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

HOST = "127.0.0.1"
DEFAULT_PORT = 4566


@contextmanager
def listeners(count: int, preferred: int | None = None) -> Iterator[list[socket.socket]]:
    """`count` sockets that listen on loopback, the first one at port `preferred` if that is free; closed at the end of
    the block."""
    with ExitStack() as held:
        yield [held.enter_context(_listener(wanted)) for wanted in (preferred or 0, *[0] * (count - 1))]


def _listener(port: int) -> socket.socket:
    """At another port if somebody listens at this one. 0: at any."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(100)  # fails, too, if another process has bound the port meanwhile and listens
    except OSError:
        listener.close()
        if port == 0:
            raise
        return _listener(0)
    return listener


def port_of(listener: socket.socket) -> int:
    port: int = listener.getsockname()[1]
    return port


def free_ports(count: int, preferred: int | None = None) -> list[int]:
    """`count` different ports on which nothing listens, the first one `preferred` when that is free."""
    with listeners(count, preferred) as free:
        return [port_of(listener) for listener in free]
