"""Add archives of an event bus to MiniStack's CloudFormation; its EventBridge already supports them."""

from __future__ import annotations

import json
from typing import Any

from ministack.services import eventbridge
from ministack.services.cloudformation import provisioners

KIND = "AWS::Events::Archive"


def apply() -> None:
    """Create the archives of every stack that is created from now on."""
    provisioners._RESOURCE_HANDLERS[KIND] = {"create": _create, "delete": _delete}


def _create(logical_id: str, properties: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-events-archive.html"""
    name = properties.get("ArchiveName") or f"{stack}-{logical_id}"
    pattern = properties.get("EventPattern")
    answer = eventbridge._create_archive(
        {
            "ArchiveName": name,
            "EventSourceArn": properties["SourceArn"],
            "Description": properties.get("Description", ""),
            "RetentionDays": int(properties.get("RetentionDays", 0)),
            **({"EventPattern": pattern if isinstance(pattern, str) else json.dumps(pattern)} if pattern else {}),
        }
    )
    body = json.loads(answer[2])
    if answer[0] != 200:
        raise ValueError(f"{KIND}: {body}")
    return name, {"Arn": body["ArchiveArn"], "ArchiveName": name}


def _delete(physical_id: str, _properties: dict[str, Any]) -> None:
    eventbridge._delete_archive({"ArchiveName": physical_id})
