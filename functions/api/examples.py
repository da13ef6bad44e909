"""Examples of requests and answers, and the content of webhook calls, for the API's description."""

from __future__ import annotations

from typing import Any

from api.models import Dollars, TimeLeft
from contract.codes import FAILURES, ErrorCode
from contract.events import JOB_STATUS, StatusType
from contract.options import Quality
from contract.stages import PipelineStep, Stage

_JOB = "meadow-0123456789ab"
_AT = "2026-05-04T10:00:00Z"
_SUMMARY = {
    "jobId": _JOB,
    "name": "meadow",
    "status": "RUNNING",
    "stage": Stage.TRAINING.value,
    "progress": 0.42,
    "uploadedAt": _AT,
    "rerunOf": None,
}
_SHARE = {"shareId": "000000000001", "label": "for the architect", "createdAt": _AT, "expiresAt": None}
_UNKNOWN = ErrorCode.NO_SUCH_JOB
_PROBLEM = {
    "type": f"urn:spaceport:error:{_UNKNOWN}",
    "title": FAILURES[_UNKNOWN].sentence,
    "status": 404,
    "detail": FAILURES[_UNKNOWN].sentence,
    "code": _UNKNOWN.value,
    "hint": FAILURES[_UNKNOWN].hint,
}

EXAMPLES: dict[str, Any] = {
    "StartJobRequest": {
        "s3Url": "s3://my-bucket/flights/meadow.zip",
        "email": "you@example.com",
        "options": {
            "quality": Quality.HIGH.value,
            "name": "meadow",
            "project": "Flood protection",
            "site": "Mill Lane 4",
        },
    },
    "StartedJob": {"jobId": _JOB, "created": True},
    "UploadRequest": {"fileName": "meadow.zip", "bytes": 125_000_000, "options": {"quality": Quality.STANDARD.value}},
    "Upload": {
        "uploadId": "WyJ1c2Vycy8…",
        "bytes": 125_000_000,
        "partBytes": 8_388_608,
        "partCount": 15,
        "received": [1],
        "links": [{"number": 2, "url": "https://example.com/part-2?signature"}],
        "expiresAt": _AT,
    },
    "Estimates": {
        "estimates": {
            Quality.PREVIEW.value: TimeLeft(low=180.0, high=270.0).model_dump(),
            Quality.STANDARD.value: TimeLeft(low=420.0, high=630.0).model_dump(),
            Quality.HIGH.value: TimeLeft(low=1200.0, high=1800.0).model_dump(),
        },
        "dollars": {
            Quality.PREVIEW.value: Dollars(low=0.03, high=0.05).model_dump(),
            Quality.STANDARD.value: Dollars(low=0.08, high=0.12).model_dump(),
            Quality.HIGH.value: Dollars(low=0.25, high=0.37).model_dump(),
        },
    },
    "RenameBody": {"name": "Meadow, spring"},
    "ShareRequest": {"label": "for the architect", "days": 30},
    "NewShare": {**_SHARE, "token": f"{_JOB}.c2VjcmV0LXRva2Vu"},
    "ShareList": {"shares": [_SHARE]},
    "ListedJob": {**_SUMMARY, "thumbnail": None},
    "JobList": {"jobs": [_SUMMARY], "next": None},
    "JobView": {
        **_SUMMARY,
        "pipelineStep": PipelineStep.FULL.value,
        "message": "step 800 of 1727",
        "secondsLeft": 240.0,
        "timeLeft": TimeLeft(low=190.0, high=320.0).model_dump(),
        "stages": [
            {"stage": Stage.SFM.value, "status": "SUCCEEDED", "progress": 1.0},
            {"stage": Stage.TRAINING.value, "status": "RUNNING", "progress": 0.46, "attempt": 1, "secondsLeft": 180.0},
            {"stage": Stage.COMPRESSOR.value, "status": "WAITING", "progress": 0.0, "secondsLeft": 240.0},
        ],
        "metrics": {"photos": 120, "registered": 118},
        "cost": None,
        "error": None,
        "links": {"sfm/cameras.png": "https://example.com/cameras.png?signature"},
        "linksExpireAt": _AT,
    },
    "StopAnswer": {"jobId": _JOB, "stopping": True},
    "RerunBody": {"from": Stage.TRAINING.value, "options": {"quality": Quality.HIGH.value}},
    "RerunAnswer": {"jobId": f"{_JOB}-r2", "rerunOf": _JOB, "reused": [Stage.SFM.value]},
    "WebhookRequest": {"url": "https://example.com/spaceport"},
    "WebhookView": {"url": "https://example.com/spaceport"},
    "NewWebhook": {"url": "https://example.com/spaceport", "secret": "whsec_…", "previousSecretUntil": None},
    "WebhookTest": {"messageId": "test-0123456789abcdef", "delivered": False, "detail": "answered 500"},
    "DeliveryList": {
        "deliveries": [
            {
                "at": _AT,
                "messageId": f"{_JOB}-job-succeeded",
                "type": StatusType.JOB_SUCCEEDED.value,
                "jobId": _JOB,
                "attempt": 1,
                "delivered": True,
            }
        ]
    },
    "Problem": _PROBLEM,
    "GatewayMessage": {"message": "Unauthorized"},
}

_TEXT, _OBJECT = {"type": "string"}, {"type": "object"}
WEBHOOK_CALL: dict[str, Any] = {
    "type": "object",
    "title": "WebhookCall",
    "description": "What a webhook receives. `sequence` increases during a job; calls may come twice and in any order.",
    "required": ["type", "timestamp", "data", "links"],
    "properties": {
        "type": {"enum": [StatusType.JOB_STARTED.value, *(kind.value for kind in JOB_STATUS)]},
        "timestamp": {"type": "string", "format": "date-time"},
        "data": {
            "type": "object",
            "required": ["jobId", "name", "sequence", "progress", "message"],
            "properties": {
                "jobId": _TEXT,
                "name": _TEXT,
                "sequence": {"type": "integer"},
                "progress": {"type": "number", "minimum": 0, "maximum": 1},
                "message": _TEXT,
                "metrics": _OBJECT,
                "cost": _OBJECT,
                "error": {"$ref": "#/components/schemas/ErrorView"},
            },
        },
        "links": {
            "type": "object",
            "description": "The job's page, and what was delivered: links that expire.",
            "required": ["page", "files"],
            "properties": {
                "page": _TEXT,
                "files": {"type": "object", "additionalProperties": _TEXT},
                "expireAt": {"type": "string", "format": "date-time"},
            },
        },
    },
}
_HEADERS = {
    "webhook-id": "The message's id, the same for every attempt",
    "webhook-timestamp": "Seconds since 1970",
    "webhook-signature": "`v1,` and a signature; two, separated by a space, for a day after the secret changed",
}
WEBHOOKS: dict[str, Any] = {
    "job": {
        "post": {
            "operationId": "onJob",
            "tags": ["webhook"],
            "summary": "A job has started or ended",
            "description": "Signed as Standard Webhooks specifies. Unless a 2xx answer comes within ten seconds, the "
            "call is repeated, seven times within eight hours.",
            "security": [],
            "parameters": [
                {"name": name, "in": "header", "required": True, "description": text, "schema": _TEXT}
                for name, text in _HEADERS.items()
            ],
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/WebhookCall"}}},
            },
            "responses": {"2XX": {"description": "Accepted"}},
        }
    }
}
