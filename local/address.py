"""Addresses of the local cloud, and clients that can reach nothing else."""

from __future__ import annotations

import os
import urllib.request
from dataclasses import dataclass
from functools import cache
from typing import Any

import boto3
import botocore.session
from botocore.config import Config

from local.ports import HOST

REGION = "eu-west-1"
ACCOUNT = "123456789012"


@dataclass(frozen=True)
class Credentials:
    """The identity of a caller: an access key, its secret, and the token of a role's session."""

    key: str
    secret: str
    token: str | None = None

    def environment(self) -> dict[str, str]:
        """The variables that SDKs take them from."""
        variables = {"AWS_ACCESS_KEY_ID": self.key, "AWS_SECRET_ACCESS_KEY": self.secret}
        return variables | ({"AWS_SESSION_TOKEN": self.token} if self.token else {})


# MiniStack takes a 12-digit access key for the account's own
OWNER = Credentials(ACCOUNT, "local")


@dataclass(frozen=True)
class Address:
    """The two loopback ports of one local cloud: MiniStack's gateway and the local SageMaker."""

    port: int
    sagemaker_port: int

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def sagemaker_url(self) -> str:
        return f"http://{HOST}:{self.sagemaker_port}"

    def environment(self) -> dict[str, str]:
        """The AWS variables with which any SDK, the AWS CLI included, talks to this cloud."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ENDPOINT_URL_SAGEMAKER": self.sagemaker_url,
            **OWNER.environment(),
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, service: str, caller: Credentials = OWNER) -> Any:
        """A boto3 client of this cloud, whatever the caller's own AWS settings say."""
        return _session().client(
            service,
            aws_access_key_id=caller.key,
            aws_secret_access_key=caller.secret,
            aws_session_token=caller.token,
            endpoint_url=self.sagemaker_url if service == "sagemaker" else self.url,
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 3}, proxies={}),
        )


@cache
def _session() -> Any:
    """A session that reads neither profiles nor configuration files."""
    unread = {"profile": (None, None, None, None), "config_file": (None, None, os.devnull, None)}
    core = botocore.session.Session(session_vars=unread)
    return boto3.Session(region_name=REGION, botocore_session=core)


def get(url: str, timeout: float = 10.0) -> bytes:
    """GET from loopback, past any proxy. Raises urllib.error.URLError or another OSError."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=timeout) as response:
        body: bytes = response.read()
        return body
