"""Publish the web page in its bucket, configured with the API's address and its only customer's token."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from mimetypes import guess_type
from pathlib import Path
from typing import Any

from local.address import Address

PILOT = "pilot@example.com"
_PASSWORD = "A local cloud has 0 secrets."  # by the rules of the pool


def api_url(address: Address, outputs: Mapping[str, str]) -> str:
    """The path-style URL of the stack's API, because `https://<id>.execute-api…` does not resolve to this machine."""
    api_id = outputs["ApiUrl"].removeprefix("https://").partition(".")[0]
    return f"{address.url}/_aws/execute-api/{api_id}/$default"


def sign_in(address: Address, outputs: Mapping[str, str], email: str = PILOT) -> dict[str, Any]:
    """Tokens of a customer in the stack's own user pool: `id_token`, `refresh_token`."""
    cognito = address.client("cognito-idp")
    pool = outputs["TokenIssuer"].rpartition("/")[2]
    attributes = [{"Name": "email", "Value": email}, {"Name": "email_verified", "Value": "true"}]
    with suppress(cognito.exceptions.UsernameExistsException):
        cognito.admin_create_user(UserPoolId=pool, Username=email, UserAttributes=attributes, MessageAction="SUPPRESS")
    cognito.admin_set_user_password(UserPoolId=pool, Username=email, Password=_PASSWORD, Permanent=True)
    answer = cognito.admin_initiate_auth(
        UserPoolId=pool,
        ClientId=outputs["TokenAudience"],
        AuthFlow="ADMIN_USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": email, "PASSWORD": _PASSWORD},
    )["AuthenticationResult"]
    return {"id_token": answer["IdToken"], "refresh_token": answer["RefreshToken"]}


def publish(address: Address, outputs: Mapping[str, str], built: Path) -> str:
    """Put the built page and its config.json into the web bucket; the page's URL.

    The page has the same origin as API and buckets, so that browsers need no CORS permission.
    """
    s3 = address.client("s3")
    config = {
        "apiUrl": api_url(address, outputs),
        "clientId": outputs["TokenAudience"],
        "tokenUrl": f"{address.url}/oauth2/token",
        "tokens": sign_in(address, outputs),
    }
    files = {path.name: path.read_bytes() for path in sorted(built.iterdir())}
    for name, body in {**files, "config.json": json.dumps(config).encode()}.items():
        kind = guess_type(name)[0] or "application/octet-stream"
        s3.put_object(Bucket=outputs["WebBucket"], Key=name, Body=body, ContentType=kind)
    return outputs["WebUrl"]
