"""start_job through its handler: one upload becomes one execution or one rejection, whatever is repeated or crashes."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from contract.codes import ErrorCode
from domain.starting import REPLACED
from tests.support.archives import photos, zip_of
from tests.support.cloud import UPLOADS, Cloud, Crash, invoke, job_id
from tests.support.events import sample_event
from tests.support.fakes import aws_error
from tests.support.models import binary_model, scene_of

# a crash leaves no metrics to publish, which Powertools remarks upon
pytestmark = pytest.mark.filterwarnings("ignore:No application metrics")

GOOD = zip_of(photos(6))
TWO_PHOTOS = zip_of(photos(2))
SCENE_PHOTOS = photos(6)


def test_an_upload_starts_one_execution_named_as_its_job(cloud: Cloud) -> None:
    event = cloud.upload("flights/meadow.zip", GOOD, email="pilot@example.com", quality="high", trainingsteps="500")
    answer = invoke("start_job", event)
    assert list(cloud.stepfunctions.executions) == [job_id(event)]
    assert answer == {"jobId": job_id(event), "executionName": job_id(event), "error": None}


def test_the_executions_input_is_the_job(cloud: Cloud) -> None:
    event = cloud.upload("flights/meadow.zip", GOOD, email="pilot@example.com", quality="high", trainingsteps="500")
    invoke("start_job", event)
    document = cloud.stepfunctions.executions[job_id(event)].input
    uploaded_at = document.pop("uploadedAt")
    assert document.pop("traceHeader") == cloud.stepfunctions.executions[job_id(event)].trace_header
    head = cloud.s3.head_object(Bucket=UPLOADS, Key="flights/meadow.zip")
    assert uploaded_at == head["LastModified"].isoformat().replace("+00:00", "Z")
    assert document == {
        "version": "1",
        "jobId": job_id(event),
        "name": "meadow",
        "owner": "mailto:pilot@example.com",
        "bucket": UPLOADS,
        "key": "flights/meadow.zip",
        "versionId": event["detail"]["object"]["version-id"],
        "etag": event["detail"]["object"]["etag"],
        "options": {
            "email": "pilot@example.com",
            "pipelineStep": "full",
            "quality": "high",
            "trainingSteps": 500,
            "maxGaussians": None,
            "shDegree": None,
            "products": None,
            "gsdMillimetres": None,
            "epsg": None,
            "name": None,
            "project": None,
            "customer": None,
            "site": None,
        },
        "remarks": [],
        "firstStage": "sfm",
        "stages": {},
    }


@pytest.mark.parametrize(("count", "step", "first"), [(599, "3dgs", "3dgs"), (600, "scene", "sfm")])
def test_a_large_scene_is_cut_into_blocks_before_it_is_trained(cloud: Cloud, count: int, step: str, first: str) -> None:
    names = photos(count)
    event = cloud.upload("meadow.zip", zip_of(scene_of(binary_model(names), names)), pipelinestep="3dgs")
    invoke("start_job", event)
    started = cloud.stepfunctions.executions[job_id(event)].input
    assert (started["firstStage"], started["options"]["pipelineStep"]) == (first, step)
    item = cloud.item(job_id(event))
    assert item is not None
    assert (item["pipelineStep"], item["photos"]) == (step, count)


def test_the_job_is_in_the_jobs_table_before_its_first_event(cloud: Cloud) -> None:
    event = cloud.upload("meadow.zip", GOOD, email="pilot@example.com", pipelinestep="full")
    invoke("start_job", event)
    item = cloud.item(job_id(event))
    assert item is not None
    assert {name: item[name] for name in ("name", "email", "objectKey", "bucket", "pipelineStep")} == {
        "name": "meadow",
        "email": "pilot@example.com",
        "objectKey": "meadow.zip",
        "bucket": UPLOADS,
        "pipelineStep": "full",
    }


def test_an_accepted_upload_puts_no_event_of_its_own(cloud: Cloud) -> None:
    invoke("start_job", cloud.upload("meadow.zip", GOOD))
    assert cloud.heard() == []


def test_a_duplicate_event_starts_nothing_more(cloud: Cloud) -> None:
    event = cloud.upload("meadow.zip", GOOD)
    assert invoke("start_job", event) == invoke("start_job", event)
    assert len(cloud.stepfunctions.executions) == 1


def test_an_event_that_comes_again_after_the_execution_ended_starts_nothing_more(cloud: Cloud) -> None:
    event = cloud.upload("meadow.zip", GOOD)
    first = invoke("start_job", event)
    cloud.stepfunctions.executions[first["jobId"]].status = "SUCCEEDED"
    assert invoke("start_job", event) == first
    assert len(cloud.stepfunctions.executions) == 1


def test_a_repeated_event_does_not_turn_back_what_the_job_has_reached(cloud: Cloud) -> None:
    event = cloud.upload("meadow.zip", GOOD)
    invoke("start_job", event)
    invoke(
        "track_progress", sample_event("status/job-succeeded") | {"detail": job_detail(event, "status/job-succeeded")}
    )
    before = cloud.item(job_id(event))
    invoke("start_job", event)
    assert cloud.item(job_id(event)) == before


def job_detail(event: dict[str, Any], sample: str) -> dict[str, Any]:
    return {**sample_event(sample)["detail"], "jobId": job_id(event)}


def final_state(cloud: Cloud, event: dict[str, Any]) -> dict[str, Any]:
    item = cloud.item(job_id(event))
    assert item is not None
    drawn = ("expiresAt", "uploadedAt", "startedAt", "sceneKey")
    return {
        "item": {name: value for name, value in item.items() if name not in drawn},
        "executions": [execution.input["jobId"] for execution in cloud.stepfunctions.executions.values()],
        "said": {(said["detail-type"], said["detail"]["error"]["code"]) for said in cloud.heard()},
    }


@pytest.mark.parametrize("arrives", [False, True], ids=["before the call", "after the call"])
@pytest.mark.parametrize("body", [GOOD, TWO_PHOTOS, b"no zip at all" * 10], ids=["accepted", "rejected", "not a zip"])
def test_a_crash_at_any_call_and_a_second_delivery_end_as_if_nothing_had_happened(
    cloud: Cloud, body: bytes, arrives: bool
) -> None:
    reference = cloud.upload("a/scene.zip", body, email="pilot@example.com")
    invoke("start_job", reference)
    expected = final_state(cloud, reference)
    calls = list(cloud.watch.calls)
    assert len(calls) >= 4
    for crash_at in range(len(calls)):
        event = cloud.upload("a/scene.zip", body, email="pilot@example.com")
        already = len(cloud.stepfunctions.executions), len(cloud.heard())
        cloud.watch.calls.clear()
        cloud.watch.crash_at, cloud.watch.arrives = crash_at, arrives
        with pytest.raises(Crash):
            invoke("start_job", event)
        cloud.watch.crash_at = None
        invoke("start_job", event)
        state = final_state(cloud, event)
        own = {"jobId": job_id(event), "versionId": event["detail"]["object"]["version-id"]}
        assert state["item"] == {**expected["item"], **own}, calls[crash_at]
        assert len(state["executions"]) - already[0] == len(expected["executions"]), calls[crash_at]
        assert state["said"] == expected["said"], calls[crash_at]


def test_a_deleted_object_starts_nothing(cloud: Cloud) -> None:
    event = cloud.upload("meadow.zip", GOOD)
    cloud.s3.delete_object(Bucket=UPLOADS, Key="meadow.zip")
    assert invoke("start_job", event) == {"jobId": job_id(event), "executionName": None, "error": None}
    assert cloud.stepfunctions.executions == {}
    assert cloud.item(job_id(event)) is None


def test_an_object_that_never_was_starts_nothing(cloud: Cloud) -> None:
    assert invoke("start_job", sample_event("start_job/object-created"))["executionName"] is None


@pytest.mark.parametrize("second", [zip_of(photos(7)), GOOD], ids=["other bytes", "the same bytes"])
def test_two_pilots_of_one_key_get_a_job_each_of_their_own_version(cloud: Cloud, second: bytes) -> None:
    alice = cloud.upload("photos.zip", GOOD, email="alice@example.com")
    bob = cloud.upload("photos.zip", second, email="bob@example.com")
    for event in (bob, alice):
        invoke("start_job", event)
    inputs = {name: execution.input for name, execution in cloud.stepfunctions.executions.items()}
    for event, owner in ((alice, "mailto:alice@example.com"), (bob, "mailto:bob@example.com")):
        started = inputs[job_id(event)]
        assert (started["versionId"], started["owner"]) == (event["detail"]["object"]["version-id"], owner)


def test_without_versioning_the_etag_reveals_an_overwritten_object(cloud: Cloud) -> None:
    older = cloud.upload("meadow.zip", GOOD)
    del older["detail"]["object"]["version-id"]
    cloud.upload("meadow.zip", zip_of(photos(7)))
    assert invoke("start_job", older)["executionName"] is None


def test_without_versioning_an_upload_starts_too(cloud: Cloud) -> None:
    event = cloud.upload("meadow.zip", GOOD)
    del event["detail"]["object"]["version-id"]
    answer = invoke("start_job", event)
    assert list(cloud.stepfunctions.executions) == [answer["jobId"]]


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
    answer = invoke("start_job", cloud.upload("meadow.zip", GOOD, **metadata))
    assert answer["error"]["code"] == ErrorCode.INVALID_OPTION
    assert named in answer["error"]["message"]
    assert "s3.get_object" not in cloud.watch.calls


@pytest.mark.parametrize("name", ["email", "e-mail"])
def test_an_address_beside_a_wrong_option_is_still_recorded(cloud: Cloud, name: str) -> None:
    event = cloud.upload("meadow.zip", GOOD, **{name: "pilot@example.com"}, quality="best")
    invoke("start_job", event)
    assert (cloud.item(job_id(event)) or {})["email"] == "pilot@example.com"


def test_a_wrong_address_is_rejected_and_not_recorded(cloud: Cloud) -> None:
    event = cloud.upload("meadow.zip", GOOD, email="pilot")
    assert invoke("start_job", event)["error"]["code"] == ErrorCode.INVALID_OPTION
    assert "email" not in (cloud.item(job_id(event)) or {})


def test_metadata_of_upload_tools_start_the_job(cloud: Cloud) -> None:
    foreign = {"mtime": "1714550400.5", "s3cmd-attrs": "uid:0", "user-agent": "AWSTransfer"}
    event = cloud.upload("meadow.zip", GOOD, **foreign)
    assert invoke("start_job", event)["executionName"] == job_id(event)


def test_a_near_miss_of_a_setting_is_told_with_the_start_and_in_the_report(cloud: Cloud) -> None:
    event = cloud.upload("meadow.zip", GOOD, email="pilot@example.com", traningsteps="500")
    invoke("start_job", event)
    remarks = ["traningsteps was ignored: did you mean trainingSteps?"]
    assert (cloud.item(job_id(event)) or {})["remarks"] == remarks
    assert cloud.stepfunctions.executions[job_id(event)].input["remarks"] == remarks


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


def test_a_zip_with_a_splat_can_be_compressed(cloud: Cloud) -> None:
    event = cloud.upload("scene.zip", zip_of(["scene.ply"]), pipelinestep="compression")
    assert invoke("start_job", event)["executionName"] == job_id(event)


@pytest.mark.parametrize("fault", ["head_object", "start_execution"])
def test_a_fault_of_aws_is_raised_so_that_the_event_comes_again(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    event = cloud.upload("meadow.zip", GOOD)

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


def test_what_became_of_an_upload_is_counted(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    invoke("start_job", cloud.upload("good.zip", GOOD))
    assert '"JobsStarted":[1.0]' in capsys.readouterr().out
    invoke("start_job", cloud.upload("bad.zip", TWO_PHOTOS))
    assert '"JobsRejected":[1.0]' in capsys.readouterr().out


def test_an_upload_that_is_gone_is_counted_as_such(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    invoke("start_job", sample_event("start_job/object-created"))
    printed = capsys.readouterr().out
    assert '"UploadsGone":[1.0]' in printed


def test_a_job_that_was_recorded_and_whose_upload_was_deleted_before_it_began_is_closed(cloud: Cloud) -> None:
    """The start crashed in between, and S3's next delivery finds nothing."""
    event = cloud.upload("meadow.zip", GOOD)
    cloud.watch.crash_at = next_call(cloud, event, "stepfunctions.start_execution")
    with pytest.raises(Crash):
        invoke("start_job", event)
    cloud.watch.crash_at = None
    cloud.s3.delete_object(Bucket=UPLOADS, Key="meadow.zip")
    assert invoke("start_job", event)["executionName"] is None
    item = cloud.item(job_id(event))
    assert item is not None
    assert (item["status"], item["message"]) == ("REJECTED", REPLACED)


def next_call(cloud: Cloud, event: dict[str, Any], name: str) -> int:
    """How many calls come before the call of that name when another upload of the same kind is started."""
    other = cloud.upload("other.zip", GOOD)
    cloud.watch.calls.clear()
    invoke("start_job", other)
    before = cloud.watch.calls.index(name)
    cloud.watch.calls.clear()
    return before


# what S3 answers where it lets nobody of us read (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html)
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
    event = cloud.upload("meadow.zip", zip_of(photos(6)), email="pilot@example.com")
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
    event = cloud.upload("meadow.zip", zip_of(photos(6)))
    _refuse_reading(cloud, monkeypatch, call, code)
    with pytest.raises(ClientError):
        invoke("start_job", event)
    assert cloud.said() == []


def _refuse_reading(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, call: str, code: str) -> None:
    def refuse(**_: Any) -> None:
        raise aws_error(code, call)

    monkeypatch.setattr(cloud.s3, call, refuse)


def test_what_is_left_to_do_is_recorded_until_it_is_done(cloud: Cloud) -> None:
    job_id = invoke("start_job", cloud.upload("meadow.zip", zip_of(photos(6))))["jobId"]
    item = cloud.item(job_id)
    assert item is not None
    assert {"startingFor", "startingAt", "startWith"} & set(item) == set()


def test_a_folder_is_no_upload(cloud: Cloud) -> None:
    """Consoles and sync tools leave an object of no bytes for each."""
    job_id = invoke("start_job", cloud.upload("flights/", b"", email="pilot@example.com"))["jobId"]
    assert cloud.said() == []
    assert cloud.item(job_id) is None
