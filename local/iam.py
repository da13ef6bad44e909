"""Enforce IAM in the local cloud: every caller has the rights of its role and no more, as on AWS.

MiniStack decides (AUTH=true, `enforce_iam` of local/cloud.py): functions get credentials of their own roles,
policies of buckets and keys apply, and signatures are checked. This file adds what MiniStack lacks or does differently:

- SageMaker is ours: its calls are authorized here, by MiniStack's evaluator; its jobs get their role's credentials.
- SES asks for `ses:SendEmail` on the sender's identity, under the key `ses:FromAddress`; MiniStack asks on no resource.
- Nothing leaves this machine, so loopback counts as TLS; the buckets' policies refuse anything else.

The account's own key, which an operator uses, may do everything and is not checked.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ministack import app
from ministack.core import iam_evaluator
from ministack.services import sts

from local.address import ACCOUNT, OWNER, REGION, Credentials
from local.sagemaker.validation import RequestError

_original_pin_request_origin = iam_evaluator.pin_request_origin
_original_enforce_ses = app._enforce_ses_v2
SEND_EMAIL_PATH = "/v2/email/outbound-emails"
_ACCESS_KEY = re.compile(r"Credential=([^/,\s]+)/")


def apply() -> None:
    """Correct the checks that MiniStack, in this process, makes differently from AWS."""
    app.pin_request_origin = lambda source_ip, _: _original_pin_request_origin(source_ip, True)
    app._enforce_ses_v2 = _enforce_ses


def assume_role(role_arn: str, session: str) -> Credentials:
    """Credentials of a session of the role, as SageMaker gives a job; the account's own where IAM is not enforced."""
    if not app.AUTH:
        return OWNER
    digest = hashlib.sha256(f"{role_arn} {session}".encode()).hexdigest()
    credentials = Credentials(f"ASIA{digest[:16].upper()}", digest, digest[::-1])
    role = role_arn.rpartition("/")[2]
    sts.register_session(
        credentials.key,
        {
            "Arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{session[:64]}",
            "UserId": f"{role}:{session[:64]}",
            "SecretAccessKey": credentials.secret,
            "SessionToken": credentials.token,
        },
    )
    return credentials


def _enforce_ses(
    method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any], request_id: str
) -> Any:
    """None when the call is allowed, otherwise MiniStack's response that refuses it."""
    if path.rstrip("/") != SEND_EMAIL_PATH:
        return _original_enforce_ses(method, path, headers, body, query, request_id)
    sender = str(json.loads(body).get("FromEmailAddress", ""))
    identity = f"arn:aws:ses:{REGION}:{ACCOUNT}:identity/{sender}"
    keys = {"ses:FromAddress": sender}
    arguments = ("sesv2", "ses:SendEmail", headers, query, request_id, identity)
    return app._enforce_data_plane(*arguments, service_context=keys, named_resource=identity)


def authorize_sagemaker(
    headers: Mapping[str, str], operation: str, request: Mapping[str, Any], tags: Mapping[str, str]
) -> None:
    """Check a call to the local SageMaker against its caller's policies; `tags` are those of the job that it names.

    Raises RequestError(AccessDeniedException).
    """
    found = _ACCESS_KEY.search(headers.get("Authorization", ""))
    caller = iam_evaluator.resolve_principal(found.group(1) if found else "", ACCOUNT)
    if isinstance(caller, iam_evaluator.AuthError):
        raise RequestError(caller.code, caller.message)
    if caller.policies is None:  # the account itself
        return
    for action, resource, keys in _needed(operation, request, tags):
        context = iam_evaluator.EvalContext(
            caller.arn, caller.type, caller.account, action, resource, REGION, service_context=keys
        )
        if iam_evaluator.evaluate(context, caller.policies, *caller.limits).decision != "Allow":
            message = f"User: {caller.arn} is not authorized to perform: {action} on resource: {resource}"
            raise RequestError("AccessDeniedException", message)


def _needed(
    operation: str, request: Mapping[str, Any], tags: Mapping[str, str]
) -> Iterator[tuple[str, str, dict[str, str]]]:
    """What SageMaker checks in a call: action, resource, condition keys.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsagemaker.html
    """
    kind = "Training" if "TrainingJob" in operation else "Processing"
    name = request.get(f"{kind}JobName")
    resource = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{kind.lower()}-job/{name}" if name else "*"
    requested = {f"aws:requesttag/{tag['Key'].lower()}": tag["Value"] for tag in request.get("Tags", [])}
    carried = {f"aws:resourcetag/{key.lower()}": value for key, value in tags.items()}
    yield f"sagemaker:{operation}", resource, requested | carried
    if requested:
        yield "sagemaker:AddTags", resource, requested | carried | {"sagemaker:taggingaction": operation}
    if operation.startswith("Create"):
        yield "iam:PassRole", request.get("RoleArn", ""), {"iam:passedtoservice": "sagemaker.amazonaws.com"}
