"""Probes of a MiniStack's Step Functions where it differs from what Amazon States Language and its API define."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.support.ministack_bench import MAX_BYTES, ROLE, Bench

CALLBACK = "arn:aws:states:::lambda:invoke.waitForTaskToken"
NOTHING = {"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}
STATES_ON_AWS: dict[str, Any] = {
    "heartbeat": "FAILED States.HeartbeatTimeout",
    "heartbeat_path": "FAILED States.HeartbeatTimeout",
    "timeout_path": "FAILED States.Timeout",
    "function_error": "FAILED",
    "error_type": "FAILED LookupError",
    "token_per_attempt": 2,
    "first_answer": "SUCCEEDED",
    "closed_token": "TaskTimedOut",
    "longest_delay": "SUCCEEDED",
    "machine_timeout": "TIMED_OUT",
    "stopped": ("ABORTED Stopped", "TaskTimedOut"),
    "long_input": "ValidationException",
    "long_output": "InvalidOutput",
    "long_data": "FAILED States.DataLimitExceeded",
    "refused_call": "FAILED Lambda.TooManyRequestsException",
    "stopped_map": "TaskTimedOut",
    "sibling_of_a_failed_item": "FAILED Lost, TaskTimedOut",
}


class StatesProbes(Bench):
    """One method per probe, named after the probe."""

    def heartbeat(self) -> str:
        execution = self.start("heartbeat", callback("keep", HeartbeatSeconds=1))
        self.token("heartbeat")
        return self.ended(execution)

    def heartbeat_path(self) -> str:
        execution = self.start("heartbeat_path", callback("keep", HeartbeatSecondsPath="$.one"))
        self.token("heartbeat_path")
        return self.ended(execution)

    def timeout_path(self) -> str:
        execution = self.start("timeout_path", callback("keep", TimeoutSecondsPath="$.one"))
        self.token("timeout_path")
        return self.ended(execution)

    def function_error(self) -> str:
        return self.ended(self.start("function_error", callback("refuse", TimeoutSeconds=60))).split()[0]

    def error_type(self) -> str:
        task = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke"}
        execution = self.start("error_type", {**task, "Parameters": {"FunctionName": "refuse", "Payload": {}}})
        return self.ended(execution)

    def token_per_attempt(self) -> int:
        again = [{"ErrorEquals": ["Again"], "IntervalSeconds": 1, "MaxAttempts": 1}]
        self.start("token_per_attempt", callback("keep", Retry=again))
        first = self.token("token_per_attempt")
        self.states.send_task_failure(taskToken=first, error="Again")
        return len({first, self.token("token_per_attempt", retry=1)})

    def first_answer(self) -> str:
        return self.ended(self.start("first_answer", callback("answer_twice")))

    def closed_token(self) -> str:
        execution = self.start("closed_token", callback("keep"))
        token = self.token("closed_token")
        self.states.send_task_success(taskToken=token, output="{}")
        self.ended(execution)
        return self.refusal(self.states.send_task_success, taskToken=token, output="{}")

    def longest_delay(self) -> str:
        again = [{"ErrorEquals": ["Again"], "IntervalSeconds": 1, "BackoffRate": 30, "MaxDelaySeconds": 2}]
        return self.ended(self.start("longest_delay", callback("third_time", Retry=again)))

    def machine_timeout(self) -> str:
        execution = self.start("machine_timeout", callback("keep"), {"TimeoutSeconds": 2})
        return self.ended(execution)

    def stopped(self) -> tuple[str, str]:
        execution = self.start("stopped", callback("keep"))
        token = self.token("stopped")
        self.states.stop_execution(executionArn=execution, error="Stopped", cause="by hand")
        refusal = self.refusal(self.states.send_task_failure, taskToken=token, error="Late")
        time.sleep(0.5)
        return self.ended(execution), refusal

    def long_input(self) -> str:
        arn = self.states.create_state_machine(name="long", definition=json.dumps(NOTHING), roleArn=ROLE)
        machine = arn["stateMachineArn"]
        self.states.start_execution(stateMachineArn=machine, name="fits", input=json.dumps("x" * (MAX_BYTES - 2)))
        return self.refusal(
            self.states.start_execution, stateMachineArn=machine, name="long", input=json.dumps("x" * (MAX_BYTES - 1))
        )

    def long_output(self) -> str:
        self.start("long_output", callback("keep"))
        token = self.token("long_output")
        return self.refusal(self.states.send_task_success, taskToken=token, output=json.dumps("x" * (MAX_BYTES - 1)))

    def long_data(self) -> str:
        """A result that is within the limit by itself, but not together with the existing data; no Catch handles the
        error."""
        task = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "ResultPath": "$.result"}
        given = {"FunctionName": "grow", "Payload": {"bytes": MAX_BYTES - 20}}
        caught = [{"ErrorEquals": ["States.ALL"], "Next": "A"}]
        execution = self.start(
            "long_data",
            {**task, "Parameters": given, "ResultSelector": {"grown.$": "$.Payload"}, "Catch": caught},
        )
        return self.ended(execution)

    def refused_call(self) -> str:
        """A state whose function has a concurrency of zero."""
        task = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke"}
        return self.ended(self.start("refused_call", {**task, "Parameters": {"FunctionName": "never", "Payload": {}}}))

    def stopped_map(self) -> str:
        """The validity of the first item's token after a stop, and whether the second item starts."""
        execution = self.start("stopped_map", map_of(at_once=1))
        token = self.token("stopped_map-1")
        self.states.stop_execution(executionArn=execution, error="Stopped", cause="by hand")
        refusal = self.refusal(self.states.send_task_success, taskToken=token, output="{}")
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            if self.s3.list_objects_v2(Bucket="tokens", Prefix="stopped_map-2/")["KeyCount"]:
                return f"{refusal}, and the next item starts"
            time.sleep(0.05)
        return refusal

    def sibling_of_a_failed_item(self) -> str:
        execution = self.start("sibling", map_of(at_once=2))
        first, second = (self.token(f"sibling-{item}") for item in (1, 2))
        self.states.send_task_failure(taskToken=first, error="Lost")
        ended = self.ended(execution)
        return f"{ended}, {self.refusal(self.states.send_task_success, taskToken=second, output='{}')}"


def callback(function: str, **more: Any) -> dict[str, Any]:
    payload = {"token.$": "$$.Task.Token", "execution.$": "$$.Execution.Name", "retryCount.$": "$$.State.RetryCount"}
    return {"Type": "Task", "Resource": CALLBACK, "Parameters": {"FunctionName": function, "Payload": payload}, **more}


def map_of(at_once: int) -> dict[str, Any]:
    """A Map over two items, each of which stores its token."""
    item = callback("keep")
    item["Parameters"]["Payload"]["execution.$"] = "States.Format('{}-{}', $$.Execution.Name, $$.Map.Item.Value)"
    processor = {"ProcessorConfig": {"Mode": "INLINE"}, "StartAt": "I", "States": {"I": {**item, "End": True}}}
    return {"Type": "Map", "ItemsPath": "$.items", "MaxConcurrency": at_once, "ItemProcessor": processor}
