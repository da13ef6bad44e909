"""Every producer of status events follows their schema: the functions, the containers, the state machine."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from contract.blocks import COARSE, MAX_BLOCKS, BlockName
from contract.codes import ErrorCode
from contract.events import StatusType, progress_sequence
from contract.stages import Stage
from domain.errors import JobError
from domain.event_bridge import StatusMessage
from domain.stages import StageRun
from domain.status import StatusBus, StatusDetail, StatusEvent, job_ended, job_rejected, stage_started
from stage.progress import ProgressReporter, event_bridge_sink
from tests.support.asl import PUT_EVENTS, load_pipeline, states_of
from tests.support.events import sample_event, sample_names
from tests.support.status_events import entry_faults, faults, validator

AT = datetime(2026, 5, 4, 10, 0, 0, 123000, tzinfo=UTC)
SAMPLES = sample_names("status")
ANNOUNCEMENTS = {
    name: state["Parameters"]["Entries"][0] for name, state in states_of(load_pipeline(), PUT_EVENTS).items()
}

errors = st.builds(JobError.of, st.sampled_from(ErrorCode), st.text(max_size=30))
stages = st.sampled_from(Stage)
attempts = st.integers(1, 98)
blocks = st.none() | st.just(COARSE) | st.integers(1, MAX_BLOCKS)
shares = st.floats(0, 1)


class FakeEvents:
    """Keeps all entries put on any bus."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []

    def put_events(self, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        self.entries += Entries
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"} for _ in Entries]}


def put(event: StatusEvent) -> dict[str, Any]:
    events = FakeEvents()
    StatusBus(events, "bus").put(event)
    (entry,) = events.entries
    return entry


# ── the schema and the samples ──


def test_the_schema_is_valid_json_schema() -> None:
    Draft202012Validator.check_schema(validator().schema)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_valid(name: str) -> None:
    assert faults(sample_event(name)) == []


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_can_be_read_by_the_functions(name: str) -> None:
    event = sample_event(name)
    assert StatusMessage.model_validate(event).status.type == event["detail-type"]


def test_there_is_a_sample_of_each_type() -> None:
    whole = [event for name in SAMPLES if "block" not in (event := sample_event(name))["detail"]]
    assert sorted(event["detail-type"] for event in whole) == sorted(StatusType)


def test_the_schema_knows_the_types_that_the_code_knows() -> None:
    assert sorted(validator().schema["properties"]["detail-type"]["enum"]) == sorted(StatusType)


def test_the_schema_knows_the_fields_that_the_code_knows() -> None:
    fields = {field.alias for field in StatusDetail.model_fields.values()}
    assert set(validator().schema["properties"]["detail"]["properties"]) == fields


def test_every_error_code_fits_the_schema() -> None:
    pattern = validator().schema["properties"]["detail"]["properties"]["error"]["properties"]["code"]["pattern"]
    assert all(re.search(pattern, code) for code in ErrorCode)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        *((name, "jobId") for name in SAMPLES),
        *((name, "at") for name in SAMPLES),
        *((f"status/stage-{end}", "attempt") for end in ("started", "progressed", "succeeded", "failed")),
        *((f"status/job-{end}", "error") for end in ("rejected", "failed", "stopped")),
        ("status/stage-failed", "error"),
        ("status/job-succeeded", "outputs"),
        ("status/stage-succeeded", "cost"),
    ],
)
def test_the_schema_misses_what_an_event_lacks(name: str, field: str) -> None:
    event = sample_event(name)
    del event["detail"][field]
    assert any(repr(field) in fault for fault in faults(event))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("version", "2"),
        ("jobId", "Not A Job"),
        ("stage", "mapping"),
        ("attempt", 0),
        ("sequence", 10_000_000),
        ("at", "2026-05-04T10:00:00"),
        ("progress", 1.1),
        ("outputs", {"scene.sog": "https://example.com/scene.sog"}),
        ("taskToken", "a token has no business here"),
    ],
)
def test_the_schema_refuses_a_wrong_value(field: str, value: object) -> None:
    event = sample_event("status/stage-succeeded")
    event["detail"][field] = value
    assert len(faults(event)) == 1


# ── the functions ──


@given(stages, st.integers(1, 200), blocks)
def test_stage_started_is_valid(stage: Stage, attempt: int, block: BlockName | None) -> None:
    run = StageRun(job_id="meadow-0123456789ab", stage=stage, attempt=attempt, block=block)
    assert entry_faults(put(stage_started(run, AT))) == []


@given(errors)
def test_job_rejected_is_valid(error: JobError) -> None:
    assert entry_faults(put(job_rejected("meadow-0123456789ab", error, AT))) == []


@given(st.sampled_from([StatusType.JOB_FAILED, StatusType.JOB_STOPPED]), errors)
def test_a_job_that_ended_from_outside_is_valid(kind: StatusType, error: JobError) -> None:
    assert entry_faults(put(job_ended(kind, "meadow-0123456789ab", error, AT))) == []


def test_a_status_event_goes_to_the_bus_it_was_given() -> None:
    entry = put(stage_started(StageRun(job_id="a", stage=Stage.SFM, attempt=1), AT))
    assert entry["EventBusName"] == "bus"


# ── the containers ──


@given(
    stages,
    attempts,
    blocks,
    shares,
    st.text(max_size=20),
    st.dictionaries(st.text(max_size=8), st.integers(), max_size=3),
)
def test_stage_progressed_is_valid(
    stage: Stage, attempt: int, block: BlockName | None, share: float, message: str, metrics: dict[str, int]
) -> None:
    events = FakeEvents()
    sink = event_bridge_sink("bus", events)
    ProgressReporter(stage.value, "meadow-0123456789ab", attempt, sink, block=block).report(share, message, metrics)
    (entry,) = events.entries
    assert entry_faults(entry) == []
    assert entry["EventBusName"] == "bus"


@pytest.mark.parametrize("stage", Stage)
def test_the_last_progress_of_a_stage_is_valid(stage: Stage) -> None:
    said: list[dict[str, Any]] = []
    reporter = ProgressReporter(stage.value, "local", 1, lambda detail: said.append(detail))
    reporter.report(0.5, "half")
    reporter.report(1.0, "done", {"psnr": None, "gaussians": 100})
    assert [detail["progress"] for detail in said] == [0.5, 1.0]
    entries = [{"Source": "spaceport.pipeline", "DetailType": "Stage Progressed", "Detail": detail} for detail in said]
    assert [entry_faults(entry) for entry in entries] == [[], []]


# ── the state machine ──


def full_data() -> dict[str, Any]:
    """The state machine's data with everything that it can contain: every stage's output, a delivery, a settled
    failure."""
    error = JobError.of(ErrorCode.NO_OVERLAP, "12 of 12 photos match no other photo")
    succeeded = sample_event("status/job-succeeded")["detail"]
    data = sample_event("deliver/full")
    of_any = data["stages"][Stage.SFM.state_key]
    return {
        **data,
        "stages": {stage.state_key: of_any for stage in Stage} | data["stages"],
        "settlement": {"attempt": 2, "succeeded": False, "error": error.model_dump(mode="json")},
        "delivery": {name: succeeded[name] for name in ("metrics", "outputs", "cost")},
    }


def filled(template: Any, data: dict[str, Any]) -> Any:
    """`Parameters` as Step Functions fills them in: keys that end in `.$` contain a path into the data."""
    if isinstance(template, list):
        return [filled(item, data) for item in template]
    if not isinstance(template, dict):
        return template
    return {
        name.removesuffix(".$"): looked_up(value, data) if name.endswith(".$") else filled(value, data)
        for name, value in template.items()
    }


def looked_up(path: str, data: dict[str, Any]) -> Any:
    if path == "$$.State.EnteredTime":
        return "2026-05-04T10:00:00.123Z"
    formatted = re.fullmatch(r"States\.Format\('(.*)', (\$\..*)\)", path)
    if formatted:
        return formatted[1].replace("{}", str(looked_up(formatted[2], data)))
    value: Any = data
    for name in path.removeprefix("$.").split("."):
        value = value[name]
    return value


@pytest.mark.parametrize("state", ANNOUNCEMENTS)
def test_what_the_state_machine_announces_is_valid(state: str) -> None:
    assert entry_faults(filled(ANNOUNCEMENTS[state], full_data())) == []


@pytest.mark.parametrize("state", ANNOUNCEMENTS)
def test_what_the_state_machine_announces_is_read_by_the_functions(state: str) -> None:
    detail = filled(ANNOUNCEMENTS[state], full_data())["Detail"]
    assert StatusDetail.model_validate(json.loads(json.dumps(detail))).job_id == "meadow-0123456789ab"


def test_every_type_of_event_has_one_kind_of_producer() -> None:
    """The state machine publishes its decisions; the functions and containers publish what only they observe."""
    announced = {entry["DetailType"] for entry in ANNOUNCEMENTS.values()}
    assert sorted(StatusType) == sorted(
        announced
        | {StatusType.JOB_REJECTED, StatusType.JOB_STOPPED, StatusType.STAGE_STARTED, StatusType.STAGE_PROGRESSED}
    )


# ── sequence: one order, whoever publishes ──


@given(stages, attempts, shares, shares)
def test_progress_comes_after_the_start_and_before_the_end_of_its_stage(
    stage: Stage, attempt: int, less: float, more: float
) -> None:
    less, more = sorted((less, more))
    started = stage_started(StageRun(job_id="a", stage=stage, attempt=attempt), AT).detail.sequence
    early, late = (progress_sequence(stage, attempt, share) for share in (less, more))
    assert started < early <= late < stage.ordinal * 1_000_000 + 999_999


@given(stages, st.integers(1, 97), shares)
def test_a_new_attempt_comes_after_all_of_the_one_before(stage: Stage, attempt: int, share: float) -> None:
    again = stage_started(StageRun(job_id="a", stage=stage, attempt=attempt + 1), AT).detail.sequence
    assert progress_sequence(stage, attempt, share) < again


@given(attempts, shares)
def test_a_stage_comes_after_all_of_the_stage_before(attempt: int, share: float) -> None:
    for before, after in zip(list(Stage), list(Stage)[1:], strict=False):
        started = stage_started(StageRun(job_id="a", stage=after, attempt=1), AT).detail.sequence
        assert progress_sequence(before, attempt, share) < before.ordinal * 1_000_000 + 999_999 < started
