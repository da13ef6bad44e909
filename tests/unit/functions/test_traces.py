"""What X-Ray receives about a function that fails: types and lines of code, no values that exceptions quote."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import aws_xray_sdk
import pytest
from botocore.exceptions import ClientError
from pydantic import BaseModel

from domain.observability import tracer
from tests.support.cloud import LambdaContext
from tests.support.sam_template import Template

SECRET = "meadow-0123456789ab.s3cr3t-of-a-share"


class Settings(BaseModel):
    seconds: int


def quoting(error: Exception) -> Any:
    def handler(_event: dict[str, Any], _context: Any) -> None:
        raise error

    return handler


def refused_input(_event: dict[str, Any], _context: Any) -> None:
    Settings.model_validate({"seconds": SECRET})


def failed_call(_event: dict[str, Any], _context: Any) -> None:
    """A failed call to AWS within the handler, as the patched botocore records it."""
    error = ClientError({"Error": {"Code": "AccessDenied", "Message": f"no access to {SECRET}"}}, "GetObject")

    def called() -> None:
        raise error

    recorder: Any = tracer.provider
    recorder.record_subsegment(called, None, (), {}, name="s3", namespace="aws", meta_processor=None)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What X-Ray's daemon receives, with tracing on and the variables that the template sets."""
    for name, value in Template.load().global_variables.items():
        if name.startswith("POWERTOOLS_TRACER_"):
            monkeypatch.setenv(name, value)
    documents: list[str] = []
    recorder: Any = tracer.provider
    monkeypatch.setattr(recorder.emitter, "_send_data", documents.append)
    aws_xray_sdk.global_sdk_config.set_sdk_enabled(True)
    recorder.begin_segment("function", sampling=1)
    try:
        yield documents
    finally:
        recorder.clear_trace_entities()
        aws_xray_sdk.global_sdk_config.set_sdk_enabled(False)


@pytest.mark.parametrize(
    ("handler", "kind"),
    [
        (quoting(KeyError(SECRET)), "KeyError"),
        (refused_input, "ValidationError"),
        (failed_call, "ClientError"),
    ],
    ids=["a handler's", "a parser's", "a call's of AWS"],
)
def test_an_exception_is_traced_by_its_type_and_place_alone(sent: list[str], handler: Any, kind: str) -> None:
    with pytest.raises(Exception, match="s3cr3t"):
        tracer.capture_lambda_handler(handler)({}, LambdaContext())
    recorder: Any = tracer.provider
    recorder.end_segment()
    traced = "".join(sent)
    assert f'"type": "{kind}"' in traced or f'"type":"{kind}"' in traced
    assert "test_traces.py" in traced
    assert "s3cr3t" not in traced
