"""The state machine's data stays far below Step Functions' 262,144 bytes, whatever the job."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from contract.codes import ErrorCode
from contract.stages import Stage
from contract.warning_codes import WarningCode
from domain.errors import JobError
from domain.results import StageResult, output_from
from domain.stages import state_output
from tests.support.events import sample_event
from tests.support.fakes import MAX_DATA_BYTES, FakeStepFunctions
from tests.support.runs import JOB_ID, output_of

MAX_BYTES = 200_000
REASON = "matches no other photo: it shows another place, or overlaps too little"


def result(stage: Stage, metrics: dict[str, Any], warnings: list[dict[str, Any]]) -> StageResult:
    about = {"version": 1, "stage": stage, "jobId": JOB_ID, "attempt": 1, "counts": {}, "timings": {}, "files": []}
    return StageResult.model_validate({**about, "metrics": metrics, "warnings": warnings})


def output(stage: Stage, metrics: dict[str, Any], warnings: list[dict[str, Any]]) -> str:
    return state_output(output_from(result(stage, metrics, warnings), output_of(stage), 1.0, {}))


@pytest.mark.parametrize("folder", ["DCIM/101MEDIA", "\u822a\u62cd/\u7b2c\u4e00\u6b21\u98de\u884c"])
def test_half_of_five_thousand_photos_lost_is_a_small_part_of_it(folder: str) -> None:
    lost = [f"{folder}/DJI_20260504{number:06d}_V.JPG" for number in range(2500)]
    message = "; ".join(f"{name} {REASON}" for name in lost)
    warnings = [{"code": code, "message": message, "names": lost} for code in WarningCode]
    exposure = {"photos": [{"name": f"{number}.jpg", "gain": [1.0, 1.0, 1.0]} for number in range(5000)]}
    metrics = {"views": [{"name": name, "psnr": 24.0} for name in lost[:625]], "exposure": exposure, "psnr": 24.0}
    job = sample_event("deliver/full")
    job["stages"] = {stage.state_key: json.loads(output(stage, metrics, warnings)) for stage in Stage}
    assert len(json.dumps(job, ensure_ascii=False).encode()) < MAX_BYTES
    assert all(stage["metrics"]["psnr"] == 24.0 for stage in job["stages"].values())


def long_text(most: int) -> st.SearchStrategy[str]:
    """Up to `most` characters, repeated: drawing them one by one would cost more than the test."""
    return st.tuples(st.text(max_size=10), st.integers(0, most // 10)).map(lambda drawn: drawn[0] * drawn[1])


json_values = st.recursive(
    st.none() | st.floats(allow_nan=False) | long_text(2000), lambda inner: st.lists(inner, max_size=50)
)


@given(
    st.dictionaries(st.text(max_size=40), json_values, max_size=30),
    st.lists(st.tuples(st.sampled_from(WarningCode), long_text(3000)), max_size=40),
)
def test_a_stages_output_is_small_whatever_its_result_says(
    metrics: dict[str, Any], warned: list[tuple[WarningCode, str]]
) -> None:
    warnings = [{"code": code, "message": message, "names": []} for code, message in warned]
    assert len(output(Stage.SFM, metrics, warnings).encode()) < MAX_BYTES // len(Stage)


def test_the_facts_of_a_failure_are_short() -> None:
    assert len(JobError.of(ErrorCode.INVALID_OPTION, "x" * 500_000).message) < 1200


def test_step_functions_refuses_more_than_its_quota() -> None:
    stepfunctions = FakeStepFunctions()
    stepfunctions.send_task_success(taskToken="a", output=json.dumps("x" * (MAX_DATA_BYTES - 2)))
    with pytest.raises(ClientError, match="InvalidOutput"):
        stepfunctions.send_task_success(taskToken="b", output=json.dumps("x" * (MAX_DATA_BYTES - 1)))
