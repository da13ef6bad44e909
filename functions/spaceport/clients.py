"""AWS clients, made once per warm function and only when first used: a cold start pays for no more than it needs."""

from __future__ import annotations

from functools import cache
from typing import Any

from botocore.config import Config

# S3 takes no links signed by version 2, boto3's default for them, on buckets made after June 2020
# (aws.amazon.com/blogs/aws/amazon-s3-update-sigv2-deprecation-period-extended-modified); virtual: the regional host
CONFIGS = {"s3": Config(signature_version="s3v4", s3={"addressing_style": "virtual"})}


@cache
def client(service: str) -> Any:
    import boto3

    return boto3.client(service, config=CONFIGS.get(service))


@cache
def table(name: str) -> Any:
    import boto3

    return boto3.resource("dynamodb").Table(name)
