"""start_job rejects an upload with its code, before any machine is rented; a fault of AWS rejects nothing."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from contract.codes import ErrorCode
from tests.support.archives import SIX_PHOTOS, TWO_PHOTOS, photos, zip_of
from tests.support.cloud import Cloud, invoke, job_id
from tests.support.fakes import aws_error
from tests.support.models import binary_model, scene_of

# a fault leaves no metrics to publish, and Powertools warns about that
pytestmark = pytest.mark.filterwarnings("ignore:No application metrics")

SCENE_PHOTOS = photos(6)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", ErrorCode.EMPTY_ARCHIVE),
        (b"hello", ErrorCode.NOT_A_ZIP),
        (zip_of([]), ErrorCode.EMPTY_ARCHIVE),
        (zip_of(["notes.txt"]), ErrorCode.NO_PHOTOS),
        (zip_of(["../a.jpg"]), ErrorCode.UNSAFE_ARCHIVE),
        (TWO_PHOTOS, ErrorCode.TOO_FEW_PHOTOS),
    ],
)
def test_a_bad_upload_is_rejected_on_the_bus_with_its_code(cloud: Cloud, body: bytes, code: ErrorCode) -> None:
    event = cloud.upload("meadow.zip", body)
    assert invoke("start_job", event)["error"]["code"] == code
    (said,) = cloud.heard()
    assert (said["detail-type"], said["detail"]["jobId"]) == ("Job Rejected", job_id(event))
    assert said["detail"]["error"]["code"] == code


def test_a_rejected_upload_starts_no_execution(cloud: Cloud) -> None:
    invoke("start_job", cloud.upload("meadow.zip", TWO_PHOTOS))
    assert cloud.stepfunctions.executions == {}


@pytest.mark.parametrize(
    ("metadata", "named"),
    [({"quality": "best"}, "quality: "), ({"shdegree": "7"}, "shDegree: ")],
)
def test_a_wrong_option_is_rejected_by_name_before_the_zip_is_read(
    cloud: Cloud, metadata: dict[str, str], named: str
) -> None:
    answer = invoke("start_job", cloud.upload("meadow.zip", SIX_PHOTOS, **metadata))
    assert answer["error"]["code"] == ErrorCode.INVALID_OPTION
    assert named in answer["error"]["message"]
    assert "s3.get_object" not in cloud.watch.calls


@pytest.mark.parametrize("name", ["email", "e-mail"])
def test_an_address_beside_a_wrong_option_is_still_recorded(cloud: Cloud, name: str) -> None:
    event = cloud.upload("meadow.zip", SIX_PHOTOS, **{name: "pilot@example.com"}, quality="best")
    invoke("start_job", event)
    assert (cloud.item(job_id(event)) or {})["email"] == "pilot@example.com"


def test_a_wrong_address_is_rejected_and_not_recorded(cloud: Cloud) -> None:
    event = cloud.upload("meadow.zip", SIX_PHOTOS, email="pilot")
    assert invoke("start_job", event)["error"]["code"] == ErrorCode.INVALID_OPTION
    assert "email" not in (cloud.item(job_id(event)) or {})


@pytest.mark.parametrize(
    ("files", "step", "code"),
    [
        (scene_of(binary_model(SCENE_PHOTOS), SCENE_PHOTOS), "3dgs", None),
        (scene_of(binary_model(SCENE_PHOTOS, camera=7), SCENE_PHOTOS), "3dgs", ErrorCode.INVALID_SCENE),
        (scene_of(binary_model([f"{n}.png" for n in range(9)]), SCENE_PHOTOS), "3dgs", ErrorCode.INVALID_SCENE),
        ({"DJI_0001.MP4": b"no film" * 99}, "full", ErrorCode.UNREADABLE_FILM),
    ],
)
def test_what_lies_in_an_archive_is_looked_at(
    cloud: Cloud, files: dict[str, bytes], step: str, code: ErrorCode | None
) -> None:
    """Before any machine is rented."""
    answer = invoke("start_job", cloud.upload("scene.zip", zip_of(files), pipelinestep=step))
    assert (answer.get("error") or {}).get("code") == code
    assert len(cloud.stepfunctions.executions) == (0 if code else 1)


@pytest.mark.parametrize("fault", ["head_object", "start_execution"])
def test_a_fault_of_aws_is_raised_so_that_the_event_comes_again(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    event = cloud.upload("meadow.zip", SIX_PHOTOS)

    def fail(**_arguments: Any) -> None:
        raise aws_error("ServiceUnavailable", fault)

    monkeypatch.setattr(cloud.s3 if fault == "head_object" else cloud.stepfunctions, fault, fail)
    with pytest.raises(ClientError, match="ServiceUnavailable"):
        invoke("start_job", event)


def test_a_status_bus_that_takes_no_event_is_an_error(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    event = cloud.upload("meadow.zip", TWO_PHOTOS)
    refusal = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure"}]}
    monkeypatch.setattr(cloud.events, "put_events", lambda **_entries: refusal)
    with pytest.raises(RuntimeError, match="InternalFailure"):
        invoke("start_job", event)


# what S3 answers if it denies us access (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html)
@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("head_object", "403"),
        ("head_object", "400"),
        ("get_object", "AccessDenied"),
        ("get_object", "InvalidObjectState"),
        ("get_object", "KMS.DisabledException"),
        ("get_object", "KMS.InvalidKeyUsageException"),
    ],
)
def test_an_upload_that_we_may_not_read_is_rejected(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, call: str, code: str
) -> None:
    event = cloud.upload("meadow.zip", SIX_PHOTOS, email="pilot@example.com")
    _refuse_reading(cloud, monkeypatch, call, code)
    assert invoke("start_job", event)["error"]["code"] == ErrorCode.UNREADABLE
    (told,) = cloud.heard()
    assert told["detail"]["error"]["code"] == ErrorCode.UNREADABLE
    assert cloud.stepfunctions.executions == {}


@pytest.mark.parametrize(
    ("call", "code"), [("head_object", "503"), ("get_object", "SlowDown"), ("get_object", "KMS.ThrottlingException")]
)
def test_a_passing_fault_of_reading_is_no_rejection(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, call: str, code: str
) -> None:
    event = cloud.upload("meadow.zip", SIX_PHOTOS)
    _refuse_reading(cloud, monkeypatch, call, code)
    with pytest.raises(ClientError):
        invoke("start_job", event)
    assert cloud.said() == []


def _refuse_reading(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, call: str, code: str) -> None:
    def refuse(**_: Any) -> None:
        raise aws_error(code, call)

    monkeypatch.setattr(cloud.s3, call, refuse)
