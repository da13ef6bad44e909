"""Models of the two kinds of EventBridge event that the functions receive."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.parser.models import EventBridgeModel
from pydantic import Field

from contract.events import StatusType
from domain.status import StatusDetail, StatusEvent


class ServiceEvent(EventBridgeModel):
    """An event of an AWS service; `detail` as the service writes it."""

    detail: dict[str, Any]


class StatusMessage(EventBridgeModel):
    """A status event from our own bus, validated against its model."""

    detail_type: StatusType = Field(alias="detail-type")
    detail: StatusDetail

    @property
    def status(self) -> StatusEvent:
        return StatusEvent(type=self.detail_type, detail=self.detail)
