"""moto's Step Functions, corrected so that it can run our state machine, with Python callables behind Lambda ARNs.

Each patch corrects one fault of moto 5.2.5, whose interpreter otherwise handles the definition as AWS does.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from moto import mock_aws
from moto.awslambda.exceptions import LambdaClientError
from moto.awslambda_simple.models import LambdaSimpleBackend
from moto.core.responses import EmptyResult
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_lambda import (
    StateTaskServiceLambda,
)
from moto.stepfunctions.parser.asl.eval.callback.callback import CallbackEndpoint, HeartbeatEndpoint
from moto.stepfunctions.responses import StepFunctionResponse

from tests.support.asl import CALLBACK, Definition

Invoke = Callable[[dict[str, Any]], Any]
PATIENT_SECONDS = 60  # longer than any job in a test takes


class LambdaFault(Exception):
    """Lambda itself fails with `code`, as in Lambda.ServiceException; the function may or may not have run."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@contextmanager
def executing_aws(functions: Mapping[str, Invoke]) -> Iterator[None]:
    """moto with a Step Functions that executes; a Lambda ARN ends with the name of one of `functions`."""
    config: Any = {"stepfunctions": {"execute_state_machine": True}, "lambda": {"use_docker": False}}
    with pytest.MonkeyPatch.context() as patch, mock_aws(config=config):
        patch.setattr(LambdaSimpleBackend, "invoke", _invoker(functions))
        patch.setattr(StateTaskServiceLambda, "_eval_execution", _with_a_token_of_its_own())
        patch.setattr(CallbackEndpoint, "setup_heartbeat_endpoint", _setup_heartbeat_endpoint)
        patch.setattr(StepFunctionResponse, "send_task_failure", _send_task_failure)
        patch.setattr(retrier_decl, "time", SimpleNamespace(sleep=_do_not_wait))
        yield


def _invoker(functions: Mapping[str, Invoke]) -> Callable[..., bytes]:
    """moto's own code answers each call with its own input."""

    def invoke(
        self: LambdaSimpleBackend,
        function_name: str,
        qualifier: str | None,
        body: Any,
        headers: Any,
        response_headers: dict[str, str],
    ) -> bytes:
        try:
            answer = functions[function_name.rpartition(":")[2]](json.loads(body))
        except LambdaFault as fault:
            raise LambdaClientError(fault.code, "Lambda's own fault") from fault
        except Exception as error:
            response_headers["x-amz-function-error"] = "Unhandled"
            answer = {"errorType": type(error).__name__, "errorMessage": str(error)}
        return json.dumps(answer).encode()

    return invoke


def _with_a_token_of_its_own() -> Callable[[StateTaskServiceLambda, Any], None]:
    """moto gives all attempts of a task the same token; AWS gives each a new one."""
    evaluate = StateTaskServiceLambda._eval_execution

    def evaluate_attempt(self: StateTaskServiceLambda, env: Any) -> None:
        env.callback_pool_manager.add(env.states.context_object.update_task_token())
        evaluate(self, env)

    return evaluate_attempt


_moto_setup = CallbackEndpoint.setup_heartbeat_endpoint


def _setup_heartbeat_endpoint(self: CallbackEndpoint, heartbeat_seconds: int) -> HeartbeatEndpoint:
    """moto loses an answer that arrives before the Lambda function has returned."""
    endpoint = _moto_setup(self, heartbeat_seconds)
    if self.get_outcome() is not None:
        endpoint.notify()  # type: ignore[no-untyped-call]
    return endpoint


def _send_task_failure(self: StepFunctionResponse) -> EmptyResult:
    """moto drops the cause."""
    backend: Any = self.stepfunction_backend
    backend.send_task_failure(self._get_param("taskToken"), self._get_param("error"), self._get_param("cause"))
    return EmptyResult()


def _do_not_wait(seconds: float) -> None:
    """Replaces the wait between two attempts; the States Language has no interval below a second."""


def hurried(definition: Definition, heartbeats: Mapping[str, int]) -> Definition:
    """The same definition with these heartbeats, in seconds, for some callback tasks; the others have long ones."""
    quick = copy.deepcopy(definition)
    for name, state in quick["States"].items():
        if state.get("Resource") == CALLBACK:
            state["HeartbeatSeconds"] = heartbeats.get(name, PATIENT_SECONDS)
        if state["Type"] == "Map":
            state["ItemProcessor"] = hurried(state["ItemProcessor"], heartbeats)
    return quick
