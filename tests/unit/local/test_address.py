"""The local cloud's processes have access to no account but its own."""

import pytest

from local.address import ACCOUNT, Address, free_ports, inherited


def test_nothing_of_the_users_cloud_is_inherited() -> None:
    environ = {
        "PATH": "/bin",
        "OMP_NUM_THREADS": "2",
        "AWS_PROFILE": "work",
        "AWS_ACCESS_KEY_ID": "real",
        "SMTP_HOST": "mail.example.com",
        "PYTHONPATH": "/elsewhere",
        "HTTPS_PROXY": "http://proxy",
    }
    assert inherited(environ) == {"PATH": "/bin", "OMP_NUM_THREADS": "2"}


def test_clients_go_to_the_local_cloud_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "real")
    monkeypatch.setenv("AWS_PROFILE", "work")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://s3.amazonaws.com")
    address = Address(4566, 4567)
    assert address.client("s3").meta.endpoint_url == "http://127.0.0.1:4566"
    assert address.client("sagemaker").meta.endpoint_url == "http://127.0.0.1:4567"
    assert address.client("s3")._request_signer._credentials.access_key == ACCOUNT


def test_ports_differ_and_the_preferred_one_is_taken_only_when_free() -> None:
    (preferred,) = free_ports(1)
    assert free_ports(2, preferred)[0] == preferred
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", preferred))
        taken.listen()
        ports = free_ports(3, preferred)
    assert preferred not in ports
    assert len(set(ports)) == 3
