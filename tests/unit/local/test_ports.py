"""The local cloud's ports: those that others have are left to them, however close the moments are."""

from __future__ import annotations

import socket

from local.ports import free_ports, listeners, port_of


def test_ports_differ_and_the_preferred_one_is_taken_only_when_free() -> None:
    (preferred,) = free_ports(1)
    assert free_ports(2, preferred)[0] == preferred
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", preferred))
        taken.listen()
        ports = free_ports(3, preferred)
    assert preferred not in ports
    assert len(set(ports)) == 3


def test_of_two_clouds_that_start_at_once_one_gets_the_preferred_port() -> None:
    (preferred,) = free_ports(1)
    with listeners(2, preferred) as first, listeners(2, preferred) as second:
        assert port_of(first[0]) == preferred
        assert len({port_of(listener) for listener in (*first, *second)}) == 4
        with socket.create_connection(("127.0.0.1", preferred), 5) as client:
            connection, peer = first[0].accept()
            connection.close()
            assert peer == client.getsockname()
