"""Extract every policy of the template as the JSON that IAM would receive, with plausible names filled in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

PSEUDO = {
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::Region": "eu-west-1",
    "AWS::StackName": "spaceport-dev",
    "AWS::URLSuffix": "amazonaws.com",
}
# ARNs of types that do not follow the common form: region, account, and the type's own name before the resource
ARNS = {
    "AWS::S3::Bucket": "arn:aws:s3:::{name}",
    "AWS::IAM::Role": "arn:aws:iam::123456789012:role/{name}",
    "AWS::SQS::Queue": "arn:aws:sqs:eu-west-1:123456789012:{name}",
    "AWS::SNS::Topic": "arn:aws:sns:eu-west-1:123456789012:{name}",
    "AWS::Events::EventBus": "arn:aws:events:eu-west-1:123456789012:event-bus/{name}",
    "AWS::Serverless::Function": "arn:aws:lambda:eu-west-1:123456789012:function:{name}",
    "AWS::Serverless::StateMachine": "arn:aws:states:eu-west-1:123456789012:stateMachine:{name}",
}
REF_IS_ARN = {"AWS::SNS::Topic", "AWS::Serverless::StateMachine"}
DOCUMENTS = {"PolicyDocument", "KeyPolicy"}
_NOTHING = object()

Template = Mapping[str, Any]


def policies_of(template: Template) -> dict[str, dict[str, Any]]:
    """The policies, by the logical name of their resource and a number.

    Policies that SAM adds are not included. Neither are trust policies, which name no resources and which parliament
    does not check.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, resource in template["Resources"].items():
        for number, document in enumerate(_documents(resource.get("Properties", {}))):
            resolved = _resolve(document, template)
            found[f"{name}.{number}"] = {"Version": "2012-10-17", **resolved}
    return found


def _documents(properties: Any) -> Iterator[dict[str, Any]]:
    if isinstance(properties, list):
        for item in properties:
            yield from _documents(item)
    elif isinstance(properties, dict):
        for name, value in properties.items():
            if name in DOCUMENTS:
                yield value
            elif name == "Policies" and isinstance(value, list):  # inline policies, in SAM's short form or a role's
                yield from (policy for policy in value if isinstance(policy, dict) and "Statement" in policy)
                yield from _documents(value)
            else:
                yield from _documents(value)


def _resolve(value: Any, template: Template) -> Any:
    if isinstance(value, list):
        items = [_resolve(item, template) for item in value]
        return [item for item in items if item is not _NOTHING]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        (name, argument), *_ = value.items()
        if name == "Ref":
            return _ref(argument, template)
        if name.startswith("Fn::"):
            return _call(name.removeprefix("Fn::"), argument, template)
    return {name: resolved for name, item in value.items() if (resolved := _resolve(item, template)) is not _NOTHING}


def _call(function: str, argument: Any, template: Template) -> Any:
    """Resolve an intrinsic function. Raises ValueError for one that is not implemented here."""
    if function == "GetAtt":
        name, attribute = argument if isinstance(argument, list) else argument.split(".", 1)
        return _arn(name, template) if attribute == "Arn" else name
    if function == "If":  # the branch for a true condition: it has all the permissions that parameters can add
        return _resolve(argument[1], template)
    if function == "Sub":
        text, given = argument if isinstance(argument, list) else (argument, {})
        values = _resolve(given, template)
        return re.sub(r"\$\{([^!}]+)\}", lambda found: str(values.get(found[1]) or _named(found[1], template)), text)
    arguments = _resolve(argument, template)
    if function == "Join":
        return arguments[0].join(map(str, arguments[1]))
    if function == "Split":
        return arguments[1].split(arguments[0])
    raise ValueError(f"Fn::{function} in a policy")


def _named(name: str, template: Template) -> Any:
    resource, _, attribute = name.partition(".")
    return _call("GetAtt", [resource, attribute], template) if attribute else _ref(name, template)


def _ref(name: str, template: Template) -> Any:
    if name == "AWS::NoValue":
        return _NOTHING
    if name in PSEUDO:
        return PSEUDO[name]
    if name in template.get("Parameters", {}):
        default = template["Parameters"][name].get("Default", "")
        return default or name.lower()
    kind = template["Resources"].get(name, {}).get("Type", "")
    return _arn(name, template) if kind in REF_IS_ARN else name.lower()


def _arn(name: str, template: Template) -> str:
    kind = template["Resources"].get(name, {}).get("Type", "AWS::IAM::Role")  # roles that SAM generates for functions
    _, service, word = kind.split("::")
    form = ARNS.get(kind, f"arn:aws:{service.lower()}:eu-west-1:123456789012:{word.lower()}/{{name}}")
    return form.format(name=name.lower() if service == "S3" else name)
