"""The local cloud's processes have access to no account but its own."""

import pytest

from local.address import ACCOUNT, Address


def test_clients_go_to_the_local_cloud_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "real")
    monkeypatch.setenv("AWS_PROFILE", "work")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://s3.amazonaws.com")
    address = Address(4566, 4567)
    assert address.client("s3").meta.endpoint_url == "http://127.0.0.1:4566"
    assert address.client("sagemaker").meta.endpoint_url == "http://127.0.0.1:4567"
    assert address.client("s3")._request_signer._credentials.access_key == ACCOUNT
