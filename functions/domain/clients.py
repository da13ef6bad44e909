"""AWS clients, made once per warm function and only when first used: a cold start pays for no more than it needs."""

from __future__ import annotations

from functools import cache
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

# what a call to AWS, or StatusBus.put, raises if the fault is AWS's and not the code's
AWS_FAULTS = (ClientError, BotoCoreError, RuntimeError)


@cache
def config(service: str) -> Any:
    """botocore's configuration for a service, or None for its defaults."""
    from botocore.config import Config

    # S3 takes no links signed by version 2, boto3's default for them, on buckets made after June 2020
    # (aws.amazon.com/blogs/aws/amazon-s3-update-sigv2-deprecation-period-extended-modified); virtual: the regional host
    return Config(signature_version="s3v4", s3={"addressing_style": "virtual"}) if service == "s3" else None


@cache
def client(service: str) -> Any:
    import boto3

    return boto3.client(service, config=config(service))


@cache
def table(name: str) -> Any:
    import boto3

    return boto3.resource("dynamodb").Table(name)
