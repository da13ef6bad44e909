"""Step Functions in memory: the committed state machine in virtual time, with the API calls that the functions use."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from tests.campaign.data import Json, StateError, fill, holds, matches, passed, read, write
from tests.campaign.world import Crash, Refused, World
from tests.support.asl import CALLBACK, PUT_EVENTS, load_pipeline
from tests.support.fakes import MAX_DATA_BYTES, aws_error, check_data

# the errors that Step Functions reports if a function dies, and if it cannot call one
REFUSED = "Lambda.TooManyRequestsException"
DEATHS = ("Lambda.Unknown", "Runtime.ExitError", "Sandbox.Timedout", "Lambda.ServiceException")
RESULTS = {"${SettleStageFunctionArn}": "settle_stage", "${DeliverFunctionArn}": "deliver"}


@dataclass
class Execution:
    """An execution, or an item of its Map, whose execution is `parent`. `events`: the length of its history, counted
    as AWS does; `largest`: the size in bytes of the largest data that one of its states received."""

    name: str
    input: Json
    data: Json
    started_at: Any
    status: str = "RUNNING"
    stopped_at: Any = None
    state: str = ""
    entered_at: Any = None
    token: str | None = None  # of the waiting task
    visit: int = 0  # increased at every attempt at a state, so that timers of earlier attempts are ignored
    beats: int = 0  # increased at every heartbeat of a task
    beat_at: float = 0.0  # when the last heartbeat came
    tries: Counter[int] = field(default_factory=Counter)
    history: list[Json] = field(default_factory=list)
    transitions: int = 0
    states: Json = field(default_factory=dict)
    parent: Execution | None = None
    items: list[Execution] = field(default_factory=list)  # items of the Map that it is in
    results: dict[int, Any] = field(default_factory=dict)  # of the items that have ended
    number: int = 0  # index among the items
    events: int = 2
    largest: int = 0

    @property
    def whole(self) -> Execution:
        return self.parent or self


class Machine:
    """`invoke(function, event)` runs a function; `put_event` receives what a state puts on the bus; `ended` receives
    an execution's status change, which EventBridge delivers on a best-effort basis."""

    def __init__(
        self,
        world: World,
        invoke: Callable[[str, Json], Any],
        put_event: Callable[[str, Json], None],
        ended: Callable[[Execution], None],
    ) -> None:
        self._world, self._invoke, self._put_event, self._ended = world, invoke, put_event, ended
        self._definition = load_pipeline()
        self.entered: Callable[[Execution], None] = lambda execution: None
        self.executions: dict[str, Execution] = {}
        self.tokens: dict[str, Execution] = {}
        self.given_up: list[str] = []  # executions with a task that failed because Lambda refused to run its function

    # ── the API ──

    def start_execution(self, stateMachineArn: str, name: str, input: str, traceHeader: str) -> Json:
        check_data(input, "StartExecution")
        document = json.loads(input)
        known = self.executions.get(name)
        if known is not None:
            if known.status != "RUNNING" or known.input != document:
                raise aws_error("ExecutionAlreadyExists", "StartExecution")
            return {}
        states = self._definition["States"]
        execution = Execution(name, document, copy.deepcopy(document), self._world.at(), states=states)
        self.executions[name] = execution
        self._world.after(self._definition["TimeoutSeconds"], lambda: self._end(execution, "TIMED_OUT"))
        self._world.after(0.1, lambda: self._enter(execution, self._definition["StartAt"]))
        return {}

    def describe_execution(self, executionArn: str) -> Json:
        execution = self._find(executionArn)
        return {"name": execution.name, "status": execution.status, "input": json.dumps(execution.input)}

    def stop_execution(self, executionArn: str, error: str, cause: str) -> Json:
        self._end(self._find(executionArn), "ABORTED")
        return {}

    def get_execution_history(self, executionArn: str, maxResults: int, **_: Any) -> Json:
        return {"events": self._find(executionArn).history[::-1][:maxResults]}

    def list_executions(self, statusFilter: str, **_: Any) -> Json:
        found = [one for one in self.executions.values() if one.status == statusFilter]
        pages = [{"name": one.name, "startDate": one.started_at, "stopDate": one.stopped_at} for one in found]
        return {"executions": sorted(pages, key=lambda one: one["startDate"], reverse=True)}

    def send_task_success(self, taskToken: str, output: str) -> None:
        check_data(output, "SendTaskSuccess")
        execution = self._waiting(taskToken)
        self._succeed(execution, json.loads(output))

    def send_task_failure(self, taskToken: str, error: str, cause: str) -> None:
        self._fail(self._waiting(taskToken), StateError(error, cause))

    def send_task_heartbeat(self, taskToken: str) -> None:
        self._watch_heartbeat(self._waiting(taskToken))

    def redrive(self, name: str) -> bool:
        """RedriveExecution: continues with the state that failed or was interrupted."""
        execution = self.executions[name]
        if execution.status not in ("FAILED", "ABORTED", "TIMED_OUT"):
            return False
        execution.status, execution.stopped_at, execution.tries = "RUNNING", None, Counter()
        if self._state(execution)["Type"] == "Map" and execution.items:
            self._resume(execution)
        else:
            self._enter(execution, execution.state)
        return True

    def frames(self) -> Iterator[Execution]:
        """All executions, and all items of the Maps that they are in."""
        for execution in self.executions.values():
            yield execution
            yield from execution.items

    # ── the States Language ──

    def _enter(self, execution: Execution, name: str) -> None:
        if execution.status != "RUNNING":
            return
        if name != execution.state:
            execution.tries = Counter()
        execution.state, execution.entered_at = name, self._world.at()
        execution.transitions += 1
        execution.whole.events += 2  # entered, exited
        size = len(json.dumps(execution.data, ensure_ascii=False).encode())
        execution.whole.largest = max(execution.whole.largest, size)
        state = self._state(execution)
        self.entered(execution)
        if state["Type"] == "Task":
            entered = {"type": "TaskStateEntered", "stateEnteredEventDetails": {"name": name}}
            execution.whole.history.append(entered)
        self._attempt(execution)

    def _attempt(self, execution: Execution) -> None:
        if execution.status != "RUNNING":
            return
        execution.visit += 1
        state = self._state(execution)
        try:
            if state["Type"] == "Task":
                self._task(execution, state)
            elif state["Type"] == "Choice":
                self._enter(execution, self._choose(execution, state))
            elif state["Type"] == "Map":
                self._map(execution, state)
            elif state["Type"] == "Pass":
                self._succeed(execution, passed(execution, state))
            else:
                self._end(execution, "SUCCEEDED" if state["Type"] == "Succeed" else "FAILED")
        except StateError as error:
            self._fail(execution, error)

    def _map(self, execution: Execution, state: Json) -> None:
        values = read(execution.data, state["ItemsPath"])
        processor = state["ItemProcessor"]
        execution.items, execution.results = [], {}
        execution.events += 2
        for number, value in enumerate(values):
            data = fill(state["ItemSelector"], execution, None, value)
            item = replace(Execution(execution.name, {}, data, self._world.at()), parent=execution, number=number)
            item.states, item.state = processor["States"], processor["StartAt"]
            item.status = "PENDING"
            execution.items.append(item)
        self._start_items(execution, state)
        if not values:
            self._succeed(execution, [])

    def _start_items(self, execution: Execution, state: Json) -> None:
        """Starts as many items as the Map allows at a time; none of an execution that has ended."""
        if execution.status != "RUNNING":
            return
        running = sum(item.status == "RUNNING" for item in execution.items)
        pending = [item for item in execution.items if item.status == "PENDING"]
        for item in pending[: (state["MaxConcurrency"] or len(pending)) - running]:
            item.status = "RUNNING"
            execution.events += 2  # iteration started, succeeded
            self._later_enter(item)

    def _later_enter(self, item: Execution) -> None:
        self._world.after(0.1, lambda: self._enter(item, item.state))

    def _resume(self, execution: Execution) -> None:
        """Resumes a redriven Map: items that have succeeded keep their results, the others continue where they
        stopped."""
        for item in execution.items:
            if item.status == "ABORTED":
                item.status, item.tries = "PENDING", Counter()
        self._start_items(execution, self._state(execution))

    def _item_ended(self, item: Execution) -> None:
        execution = item.whole
        execution.results[item.number] = item.data
        if len(execution.results) == len(execution.items):
            self._succeed(execution, [execution.results[number] for number in range(len(execution.items))])
        else:
            self._start_items(execution, self._state(execution))

    def _task(self, execution: Execution, state: Json) -> None:
        visit = execution.visit
        execution.whole.events += 4 if state["Resource"] == CALLBACK else 3
        if state["Resource"] == CALLBACK:
            self._callback(execution, state)
            return
        parameters = fill(state["Parameters"], execution, None) if "Parameters" in state else execution.data
        if state["Resource"] == PUT_EVENTS:
            (entry,) = parameters["Entries"]
            if self._world.happens(self._world.faults.throttle):
                raise StateError("EventBridge.ThrottlingException")
            self._put_event(entry["DetailType"], entry["Detail"])
            if self._world.happens(self._world.faults.throttle):  # accepted, but the answer is lost
                raise StateError("States.TaskFailed")
            answer: Any = {}
        else:
            answer = self._call(RESULTS[state["Resource"]], parameters)
        self._world.after(self._world.random.uniform(0, 1), lambda: self._answered(execution, visit, answer))

    def _answered(self, execution: Execution, visit: int, answer: Any) -> None:
        if execution.status == "RUNNING" and execution.visit == visit:
            self._succeed(execution, answer)

    def _callback(self, execution: Execution, state: Json) -> None:
        part = "" if execution.parent is None else f"#{execution.number}"
        execution.token = token = f"{execution.name}{part}/{execution.visit}"
        self.tokens[token] = execution
        self._watch_heartbeat(execution)
        self._world.after(state["TimeoutSeconds"], lambda: self._time_out(execution, token))
        payload = fill(state["Parameters"], execution, token)["Payload"]

        def call() -> None:
            try:
                self._call("run_stage", payload)
            except StateError as error:
                if execution.token == token:
                    self._fail(execution, error)

        self._world.after(self._world.random.uniform(0, 1), call)

    def _call(self, function: str, event: Json) -> Any:
        """Invokes the function. Raises StateError under Step Functions' name for a crash or an exception."""
        try:
            return self._invoke(function, event)
        except Refused as refused:
            raise StateError(REFUSED) from refused
        except Crash as crash:
            raise StateError(self._world.random.choice(DEATHS)) from crash
        except Exception as error:
            raise StateError(type(error).__name__, str(error)) from error

    def _watch_heartbeat(self, execution: Execution) -> None:
        token, state = execution.token, self._state(execution)
        execution.beats += 1
        execution.beat_at = self._world.now
        beats = execution.beats

        def silent() -> None:
            if execution.token == token and execution.beats == beats:
                self._fail(execution, StateError("States.HeartbeatTimeout"))

        self._world.after(state["HeartbeatSeconds"], silent)

    def _time_out(self, execution: Execution, token: str) -> None:
        if execution.token == token:
            self._fail(execution, StateError("States.Timeout"))

    def _succeed(self, execution: Execution, answer: Any) -> None:
        execution.token = None
        state = self._state(execution)
        write(execution, state.get("ResultPath", "$"), answer)
        if len(json.dumps(execution.data, ensure_ascii=False).encode()) > MAX_DATA_BYTES:
            self._end(execution, "FAILED")  # States.DataLimitExceeded, which no Catch handles
            return
        if state["Type"] == "Task":
            left = {"type": "TaskStateExited", "stateExitedEventDetails": {"name": execution.state}}
            execution.whole.history.append(left)
        if state.get("End"):
            self._end(execution, "SUCCEEDED")
        else:
            self._go_on(execution, state["Next"])

    def _go_on(self, execution: Execution, name: str) -> None:
        self._world.after(0.1, lambda: self._enter(execution, name))

    def _fail(self, execution: Execution, error: StateError) -> None:
        execution.token = None
        execution.visit += 1
        state = self._state(execution)
        for number, retry in enumerate(state.get("Retry", [])):
            if matches(error.error, retry["ErrorEquals"]):
                if execution.tries[number] < retry["MaxAttempts"]:
                    delay = retry["IntervalSeconds"] * retry["BackoffRate"] ** execution.tries[number]
                    execution.tries[number] += 1
                    execution.transitions += 1
                    longest = min(delay, retry["MaxDelaySeconds"])
                    self._again_after(execution, self._world.random.uniform(0, longest))
                    return
                break
        if error.error == REFUSED:
            self.given_up.append(execution.name)
        for catch in state.get("Catch", []):
            if matches(error.error, catch["ErrorEquals"]):
                write(execution, catch["ResultPath"], {"Error": error.error, "Cause": error.cause})
                self._go_on(execution, catch["Next"])
                return
        self._end(execution, "FAILED")

    def _again_after(self, execution: Execution, seconds: float) -> None:
        visit = execution.visit

        def again() -> None:
            if execution.status == "RUNNING" and execution.visit == visit:
                self._attempt(execution)

        self._world.after(seconds, again)

    def _choose(self, execution: Execution, state: Json) -> str:
        for choice in state["Choices"]:
            if all(holds(execution.data, rule) for rule in choice.get("And", [choice])):
                return str(choice["Next"])
        return str(state["Default"])

    def _end(self, execution: Execution, status: str) -> None:
        if execution.status != "RUNNING":
            return
        execution.status, execution.stopped_at, execution.token = status, self._world.at(), None
        execution.visit += 1
        for item in execution.items:  # items end with their Map: their tokens expire, and no further item starts
            if item.status in ("RUNNING", "PENDING"):
                item.status, item.token = "ABORTED", None
                item.visit += 1
        if execution.parent is None:
            self._ended(execution)
        elif status == "SUCCEEDED":
            self._item_ended(execution)
        else:
            self._fail(execution.parent, StateError("States.ExceedToleratedFailureThreshold"))

    def _state(self, execution: Execution) -> Json:
        state: Json = execution.states[execution.state]
        return state

    def _find(self, arn: str) -> Execution:
        name = arn.rpartition(":")[2]
        if name not in self.executions:
            raise aws_error("ExecutionDoesNotExist", "DescribeExecution")
        return self.executions[name]

    def _waiting(self, token: str) -> Execution:
        execution = self.tokens.get(token)
        if execution is None or execution.token != token:
            raise aws_error("TaskTimedOut", "SendTask")
        return execution
