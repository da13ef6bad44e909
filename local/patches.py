"""Correct MiniStack 1.5.33 where it differs from AWS in what this pipeline relies on.

What AWS does, and MiniStack does not:

1. HeartbeatSeconds of a callback task ends it with States.HeartbeatTimeout.
2. A Lambda error in a callback task fails the task with the function's error; MiniStack waits for ever.
3. Each attempt at a task has a task token of its own.
4. The first SendTaskSuccess or SendTaskFailure stands; a closed token is refused with TaskTimedOut.
5. MaxDelaySeconds and JitterStrategy of a Retry apply.
6. TimeoutSecondsPath and HeartbeatSecondsPath apply.
7. TimeoutSeconds of the state machine ends the execution as TIMED_OUT.
8. A stopped execution stays ABORTED and its task's token is closed.
9. errorType of a failed Python function is the exception's class name.
10. The Body of an HTTP API makes its routes, authorizers and CORS (local/http_api.py).
11. S3's events on EventBridge name the version of the object (local/s3_versions.py).
12. A version of an object that a GET names can be read in ranges (the same file).
13. A stack can have an archive of an event bus (local/archives.py).
14. No item of a Map starts, or tries again, once its execution has ended.
15. The first item that fails ends its Map: the others' tokens are closed.
16. Data have a size limit, and calls that find no free concurrent execution are retried (local/limits.py).

The last one improves speed: MiniStack unpacks a function's bundle for every worker, so a burst of events before the
first worker is warm unpacks and compiles the same thousand files many times over.

17. A bundle is unpacked once; its workers share the folder, which on AWS is read-only.

tests/integration/test_ministack_patches.py shows each fault on unpatched MiniStack and its absence here. When a later
MiniStack fixes a fault, the test fails, and the patch can be removed.

https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html#connect-wait-token
https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
"""

from __future__ import annotations

import contextvars
import json
import random
import shutil
import tempfile
import threading
import time
import zipfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ministack.core import lambda_runtime
from ministack.core.responses import error_response_json, new_uuid, now_iso
from ministack.services import lambda_svc, stepfunctions

from local import archives, http_api, limits, s3_versions

CALLBACK_RESOURCE = "arn:aws:states:::lambda:invoke.waitForTaskToken"

_State = dict[str, Any]
_Response = tuple[int, dict[str, str], bytes]

_original_execute_task = stepfunctions._execute_task
_original_run_map_items = stepfunctions._run_map_items
_original_run_sub_machine = stepfunctions._run_sub_machine
_original_run_execution = stepfunctions._run_execution
_original_fail_execution = stepfunctions._fail_execution
_original_stop_execution = stepfunctions._stop_execution
_original_send_success = stepfunctions._send_task_success
_original_send_failure = stepfunctions._send_task_failure
_original_send_heartbeat = stepfunctions._send_task_heartbeat
_original_worker_invoke = lambda_runtime.Worker.invoke
_original_execute_warm = lambda_svc._execute_function_warm


def apply() -> None:
    """Patch the MiniStack of this process. Raises RuntimeError when it is not the version these patches know."""
    stepfunctions._execute_task = _execute_task
    stepfunctions._run_map_items = _run_map_items
    stepfunctions._run_sub_machine = _run_sub_machine
    stepfunctions._run_execution = _run_execution
    stepfunctions._fail_execution = _fail_execution
    stepfunctions._stop_execution = _stop_execution
    stepfunctions._send_task_success = _send_task_success
    stepfunctions._send_task_failure = _send_task_failure
    stepfunctions._send_task_heartbeat = _send_task_heartbeat
    lambda_runtime._PYTHON_WORKER_SCRIPT = _worker_that_names_errors(lambda_runtime._PYTHON_WORKER_SCRIPT)
    lambda_runtime.Worker.invoke = _worker_invoke
    lambda_svc._execute_function_warm = _execute_warm
    http_api.apply()
    s3_versions.apply()
    archives.apply()
    limits.apply()
    lambda_runtime.zipfile = SimpleNamespace(**{**vars(zipfile), "ZipFile": _Bundle})


# --- callback tasks -------------------------------------------------------------------------------------------------


def _execute_task(state: _State, raw_input: Any, execution: _State, context: _State) -> tuple[Any, str | None]:
    """A Task state. Callback tasks on Lambda run here, attempt by attempt; any other is MiniStack's."""
    if state.get("Resource") != CALLBACK_RESOURCE:
        result: tuple[Any, str | None] = _original_execute_task(state, raw_input, execution, context)
        return result
    retries: dict[int, int] = {}
    while True:
        token = new_uuid()
        context["Task"] = {"Token": token}
        context["State"]["RetryCount"] = sum(retries.values())
        task_input = stepfunctions._apply_input_path(state, raw_input, context)
        parameters = stepfunctions._apply_parameters(state, task_input, context)
        _record(execution, "TaskScheduled", {"resourceType": "lambda", "resource": "invoke.waitForTaskToken"})
        try:
            result = _attempt(
                parameters,
                token,
                execution,
                timeout=_seconds(state, "TimeoutSeconds", task_input, context),
                heartbeat=_seconds(state, "HeartbeatSeconds", task_input, context),
            )
        except stepfunctions._ExecutionError as error:
            if _is_over(execution):
                raise
            _record(execution, "TaskFailed", {"error": error.error, "cause": error.cause})
            retrier, index = stepfunctions._find_matching_retrier(state.get("Retry", []), error.error, retries)
            if retrier is not None:
                stepfunctions._scaled_sleep(_delay(retrier, retries.get(index, 0)))
                if _is_over(execution):
                    raise
                retries[index] = retries.get(index, 0) + 1
                continue
            catcher = stepfunctions._find_matching_catcher(state.get("Catch", []), error.error)
            if catcher is None:
                raise
            output = {"Error": error.error, "Cause": error.cause}
            return stepfunctions._apply_catcher(catcher, raw_input, context, "JSONPath", output), catcher["Next"]
        _record(execution, "TaskSucceeded", {"output": json.dumps(result)})
        selected = stepfunctions._apply_result_selector(state, result)
        output = stepfunctions._apply_result_path(state, raw_input, selected)
        return stepfunctions._apply_output_path(state, output, context), stepfunctions._next_or_end(state)


def _attempt(parameters: _State, token: str, execution: _State, timeout: float, heartbeat: float) -> Any:
    """Invoke the function and wait for its token. Raises MiniStack's _ExecutionError."""
    waiting: _State = {
        "event": threading.Event(),
        "result": None,
        "error": None,
        "heartbeat": None,
        "execution": execution["executionArn"],
        "map": _map.get(),
    }
    deadline = time.monotonic() + timeout
    stepfunctions._task_tokens[token] = waiting
    try:
        function = stepfunctions._resolve_lambda_function_ref(parameters.get("FunctionName", ""), optimized=True)
        try:
            stepfunctions._call_lambda(function, parameters.get("Payload", {}))
        except stepfunctions._ExecutionError:
            if not waiting["event"].is_set():  # a token already settled counts, whatever the function did after it
                raise
        # the clock starts after the call: a local cold start shares two cores with everything else
        waiting["beat"] = time.monotonic()
        return _await_callback(waiting, deadline, heartbeat)
    finally:
        stepfunctions._task_tokens.pop(token, None)
        _closed_tokens.add(token)


def _await_callback(waiting: _State, deadline: float, heartbeat: float) -> Any:
    while True:
        next_look = min(deadline, waiting["beat"] + heartbeat)
        if waiting["event"].wait(min(max(0.0, next_look - time.monotonic()), threading.TIMEOUT_MAX)):
            break
        now = time.monotonic()
        if now >= deadline:
            raise stepfunctions._ExecutionError("States.Timeout", "")
        if now >= waiting["beat"] + heartbeat:
            raise stepfunctions._ExecutionError("States.HeartbeatTimeout", "")
    if waiting["error"]:
        raise stepfunctions._ExecutionError(waiting["error"]["Error"], waiting["error"]["Cause"])
    if waiting["result"] is None:
        raise stepfunctions._ExecutionError("States.Aborted", "the execution ended")
    return json.loads(waiting["result"])


def _seconds(state: _State, field: str, task_input: Any, context: _State) -> float:
    """A time limit of the state, in seconds, literal or by path; infinite when it has none."""
    if path := state.get(f"{field}Path"):
        return float(stepfunctions._resolve_path_or_ctx(path, task_input, context))
    return float(state.get(field, "inf"))


def _delay(retrier: _State, count: int) -> float:
    """Seconds before retry number `count` + 1."""
    delay: float = retrier.get("IntervalSeconds", 1) * retrier.get("BackoffRate", 2.0) ** count
    delay = min(delay, retrier.get("MaxDelaySeconds", float("inf")))
    return random.uniform(0, delay) if retrier.get("JitterStrategy") == "FULL" else delay


def _record(execution: _State, kind: str, details: _State) -> None:
    stepfunctions._add_event(execution, kind, {kind[0].lower() + kind[1:] + "EventDetails": details})


# --- the items of a Map -----------------------------------------------------------------------------------------------


@dataclass
class _Map:
    """A Map at work; `failure`: of its first item that failed."""

    failure: Exception | None = None


# MiniStack runs each item in a copy of the Map's context
_map: contextvars.ContextVar[_Map | None] = contextvars.ContextVar("map", default=None)


def _run_map_items(state: _State, raw_input: Any, execution: _State, context: _State) -> tuple[Any, str | None]:
    items = _Map()
    before = _map.set(items)
    try:
        result: tuple[Any, str | None] = _original_run_map_items(state, raw_input, execution, context)
    except stepfunctions._ExecutionError as error:
        raise items.failure or error from error
    finally:
        _map.reset(before)
    return result


def _run_sub_machine(states: _State, start_at: str, data: Any, execution: _State, context: _State) -> Any:
    """An item of a Map, or a branch of a Parallel."""
    items = _map.get()
    if _is_over(execution):
        raise stepfunctions._ExecutionError("States.Aborted", "the execution or its Map ended")
    try:
        return _original_run_sub_machine(states, start_at, data, execution, context)
    except stepfunctions._ExecutionError as error:
        if items is not None and items.failure is None:
            items.failure = error
            for waiting in list(stepfunctions._task_tokens.values()):
                if waiting.get("map") is items:
                    waiting["event"].set()
        raise


def _is_over(execution: _State) -> bool:
    """Whether this execution, item or branch has ended, so that it must not continue."""
    items = _map.get()
    return execution["status"] != "RUNNING" or (items is not None and items.failure is not None)


# --- the three calls with a token -----------------------------------------------------------------------------------


def _send_task_success(data: _State) -> _Response:
    too_long = limits.too_long(data.get("output", "{}"), "InvalidOutput")
    return _already_settled(data) or too_long or _original_send_success(data)


def _send_task_failure(data: _State) -> _Response:
    return _already_settled(data) or _original_send_failure(data)


def _send_task_heartbeat(data: _State) -> _Response:
    if refusal := _already_settled(data):
        return refusal
    if waiting := stepfunctions._task_tokens.get(data.get("taskToken")):
        waiting["beat"] = time.monotonic()
    response: _Response = _original_send_heartbeat(data)
    return response


_closed_tokens: set[str] = set()


def _already_settled(data: _State) -> _Response | None:
    token = data.get("taskToken")
    waiting = stepfunctions._task_tokens.get(token)
    if token not in _closed_tokens and (waiting is None or not waiting["event"].is_set()):
        return None
    refusal: _Response = error_response_json("TaskTimedOut", "The task has already been closed", 400)
    return refusal


# --- the end of an execution ----------------------------------------------------------------------------------------


def _run_execution(arn: str) -> None:
    """Walk the definition under its TimeoutSeconds."""
    machine = stepfunctions._state_machines.get(stepfunctions._executions[arn]["stateMachineArn"]) or {}
    timeout = json.loads(machine.get("definition", "{}")).get("TimeoutSeconds")
    if timeout is None:
        _original_run_execution(arn)
        return
    timer = threading.Timer(timeout, contextvars.copy_context().run, (_time_out, arn))
    timer.daemon = True
    timer.start()
    try:
        _original_run_execution(arn)
    finally:
        timer.cancel()


def _time_out(arn: str) -> None:
    execution = stepfunctions._executions.get(arn)
    if execution is None or execution["status"] != "RUNNING":
        return
    execution.update(status="TIMED_OUT", stopDate=now_iso())
    _record(execution, "ExecutionTimedOut", {})
    stepfunctions._emit_execution_status_event(execution)
    _close_tokens(arn)


def _fail_execution(execution: _State, error: str, cause: str) -> None:
    if execution["status"] == "RUNNING":
        _original_fail_execution(execution, error, cause)


def _stop_execution(data: _State) -> _Response:
    response: _Response = _original_stop_execution(data)
    if response[0] == 200:
        _close_tokens(data["executionArn"])
    return response


def _close_tokens(arn: str) -> None:
    for waiting in list(stepfunctions._task_tokens.values()):
        if waiting.get("execution") == arn:
            waiting["event"].set()


# --- the error of a Python function ---------------------------------------------------------------------------------

_raised = threading.local()


def _worker_that_names_errors(script: str) -> str:
    plain, named = '"error": str(e), "trace"', '"error": str(e), "errorType": type(e).__name__, "trace"'
    if script.count(plain) != 1:
        raise RuntimeError("MiniStack's Python worker is not the one that local/patches.py knows")
    return script.replace(plain, named)


def _worker_invoke(self: Any, *args: Any, **kwargs: Any) -> _State:
    response: _State = _original_worker_invoke(self, *args, **kwargs)
    _raised.error_type = response.get("errorType")
    return response


def _execute_warm(function: _State, event: Any, request_id: str) -> _State:
    _raised.error_type = None
    result: _State = _original_execute_warm(function, event, request_id)
    if result.get("error") and _raised.error_type:
        result["body"]["errorType"] = _raised.error_type
    return result


# --- the code of a function -----------------------------------------------------------------------------------------

_unpacking = threading.Lock()


class _Bundle(zipfile.ZipFile):
    """A worker's code.zip: `code` becomes a link to the folder where the same bundle was unpacked before."""

    def extractall(self, path: Any = None, members: Any = None, pwd: bytes | None = None) -> None:
        link = Path(path or ".")
        if link.name != "code" or self.filename is None:
            super().extractall(path, members, pwd)
            return
        folder = Path(tempfile.gettempdir()) / f"bundle-{sha256(Path(self.filename).read_bytes()).hexdigest()}"
        with _unpacking:
            if not folder.exists():
                partial = folder.with_suffix(".partial")
                shutil.rmtree(partial, ignore_errors=True)
                super().extractall(partial)
                partial.rename(folder)
        link.rmdir()
        link.symlink_to(folder)
