"""AWS's limits that MiniStack 1.5.33 does not enforce: sizes, and concurrent executions of Lambda functions.

1. An execution's input, a task's output and the entries of a PutEvents are at most 262,144 bytes.
2. An execution whose data exceed that ends with States.DataLimitExceeded, which no Retry and no Catch handles.
3. If no concurrent execution is free for a state's function, the state fails with Lambda.TooManyRequestsException.
4. An event for such a function waits in Lambda's queue for up to six hours, and this does not count as a retry.

https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
"""

from __future__ import annotations

import json
import threading
import time
from contextvars import ContextVar
from typing import Any

from ministack.core.responses import error_response_json
from ministack.services import eventbridge, lambda_svc, stepfunctions

MAX_BYTES = 262_144
MAX_EVENT_SECONDS = 6 * 3600.0
MAX_REFUSED_SECONDS = 5.0  # between two tries, from a tenth of a second on; on AWS from one second to five minutes
_ENTRY_PARTS = ("Source", "DetailType", "Detail")

_Response = tuple[int, dict[str, str], bytes]

_original_start_execution = stepfunctions._start_execution
_original_add_event = stepfunctions._add_event
_original_put_events = eventbridge._put_events
_original_throttle_response = lambda_svc._throttle_response
_original_execute_function = lambda_svc._execute_function
_original_invoke_async = lambda_svc.invoke_async_with_retry
_original_dispatch = eventbridge._dispatch_to_lambda


def apply() -> None:
    """Patch the MiniStack of this process. local/patches.py calls it, and refuses outputs too long for a task."""
    stepfunctions._start_execution = _start_execution
    stepfunctions._add_event = _add_event
    eventbridge._put_events = _put_events
    lambda_svc._throttle_response = _throttle_response
    lambda_svc._execute_function = _execute_function
    lambda_svc.invoke_async_with_retry = _invoke_async
    eventbridge._dispatch_to_lambda = _dispatch_to_lambda


# --- sizes ----------------------------------------------------------------------------------------------------------


def too_long(text: str, code: str) -> _Response | None:
    """The refusal, with `code`, of an input or output that is too long."""
    if len(text.encode()) <= MAX_BYTES:
        return None
    refusal: _Response = error_response_json(code, f"The data is longer than {MAX_BYTES} bytes", 400)
    return refusal


def _start_execution(data: dict[str, Any]) -> _Response:
    return too_long(data.get("input", "{}"), "ValidationException") or _original_start_execution(data)


def _put_events(data: dict[str, Any], *options: Any, **named: Any) -> _Response:
    """The whole request is refused."""
    size = sum(len(str(entry.get(part, "")).encode()) for entry in data.get("Entries", []) for part in _ENTRY_PARTS)
    if size > MAX_BYTES:
        message = "Total size of the entries in the request is over the limit."
        refusal: _Response = error_response_json("ValidationException", message, 400)
        return refusal
    response: _Response = _original_put_events(data, *options, **named)
    return response


def _add_event(execution: dict[str, Any], kind: str, details: dict[str, Any]) -> None:
    """The event for leaving a state carries its output; an error raised there is not caught by any Catch."""
    output = details.get("stateExitedEventDetails", {}).get("output", "")
    if len(output) > MAX_BYTES and len(json.dumps(json.loads(output), ensure_ascii=False).encode()) > MAX_BYTES:
        raise stepfunctions._ExecutionError("States.DataLimitExceeded", f"The data is longer than {MAX_BYTES} bytes")
    _original_add_event(execution, kind, details)


# --- calls for which no concurrent execution is free ----------------------------------------------------------------

_asynchronous: ContextVar[bool] = ContextVar("asynchronous", default=False)


def _throttle_response(*arguments: Any, **named: Any) -> dict[str, Any]:
    response: dict[str, Any] = _original_throttle_response(*arguments, **named)
    response["body"]["errorType"] = "Lambda.TooManyRequestsException"  # as a state's error
    return response


def _invoke_async(function: dict[str, Any], event: dict[str, Any]) -> None:
    token = _asynchronous.set(True)  # for the thread that MiniStack starts
    try:
        _original_invoke_async(function, event)
    finally:
        _asynchronous.reset(token)


def _dispatch_to_lambda(arn: str, payload: str) -> None:
    """EventBridge's call of a target, in a thread of its own."""
    function, config, name = lambda_svc._get_func_record_for_ref(arn)
    if not function or not config:
        _original_dispatch(arn, payload)  # it logs that there is none
        return

    def call() -> None:
        _asynchronous.set(True)
        lambda_svc._execute_function_with_config_scope(
            lambda_svc._execution_record_for_config(function, config), json.loads(payload)
        )

    threading.Thread(target=call, name=f"event-{name}", daemon=True).start()


def _execute_function(function: dict[str, Any], event: dict[str, Any]) -> dict[str, Any]:
    deadline, wait = time.monotonic() + MAX_EVENT_SECONDS, 0.1
    while True:
        result: dict[str, Any] = _original_execute_function(function, event)
        if not (result.get("throttle") and _asynchronous.get()) or time.monotonic() > deadline:
            return result
        time.sleep(wait)
        wait = min(2 * wait, MAX_REFUSED_SECONDS)
