"""run_stage copies the company's logo for the run that writes the quality report, and an unusable logo stops no job."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from contract.branding import MAX_LOGO_BYTES
from contract.stages import Stage
from tests.support.cloud import RESULTS, Cloud, invoke
from tests.support.fakes import aws_error
from tests.support.runs import JOB_ID, ask_for, job_name

# a call that fails leaves no metrics to publish, and Powertools warns about that
pytestmark = pytest.mark.filterwarnings("ignore:No application metrics")

LOGO = f"s3://{RESULTS}/branding/logo.png"
COPY = f"intermediates/{JOB_ID}/branding/logo"


@pytest.fixture(autouse=True)
def company(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPANY_NAME", "Söhne & Co")
    monkeypatch.setenv("COMPANY_LOGO", "branding/logo.png")


def copied(cloud: Cloud) -> bytes:
    content: bytes = cloud.s3.get_object(Bucket=RESULTS, Key=COPY)["Body"].read()
    return content


def test_the_report_gets_a_copy_of_the_logo_which_may_go_while_the_run_waits(cloud: Cloud) -> None:
    cloud.put(LOGO, b"a logo")
    invoke("run_stage", ask_for(Stage.COMPRESSOR))
    assert copied(cloud) == b"a logo"
    request = cloud.sagemaker.jobs[job_name(Stage.COMPRESSOR)].request
    assert f"s3://{RESULTS}/{COPY.rpartition('/')[0]}/" in repr(request["ProcessingInputs"])
    assert request["Environment"]["COMPANY_NAME"] == "Söhne & Co"
    assert request["Environment"]["COMPANY_LOGO"] == "branding/logo.png"


@pytest.mark.parametrize("stage", [Stage.SFM, Stage.TRAINING])
def test_no_other_stage_has_it(cloud: Cloud, stage: Stage) -> None:
    cloud.put(LOGO, b"a logo")
    invoke("run_stage", ask_for(stage))
    assert "COMPANY_LOGO" not in cloud.sagemaker.jobs[job_name(stage)].request["Environment"]
    with pytest.raises(ClientError, match="NoSuchKey"):
        copied(cloud)


@pytest.mark.parametrize("content", [None, b""])
def test_a_logo_that_is_gone_or_empty_leaves_an_empty_copy_and_the_job_runs(
    cloud: Cloud, content: bytes | None
) -> None:
    if content is not None:
        cloud.put(LOGO, content)
    invoke("run_stage", ask_for(Stage.COMPRESSOR))
    assert copied(cloud) == b""
    assert cloud.sagemaker.created == [job_name(Stage.COMPRESSOR)]


def test_of_a_huge_file_a_byte_too_many_is_copied(cloud: Cloud) -> None:
    cloud.put(LOGO, bytes(MAX_LOGO_BYTES + 1000))
    invoke("run_stage", ask_for(Stage.COMPRESSOR))
    assert len(copied(cloud)) == MAX_LOGO_BYTES + 1


@pytest.mark.parametrize(("code", "raised"), [("AccessDenied", False), ("SlowDown", True)])
def test_a_fault_of_s3_is_tried_again_and_a_refusal_is_not(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, code: str, raised: bool
) -> None:
    read = cloud.s3.get_object

    def deny(**request: str) -> object:
        if request["Key"] == "branding/logo.png":
            raise aws_error(code, "GetObject")
        return read(**request)

    monkeypatch.setattr(cloud.s3, "get_object", deny)
    if raised:
        with pytest.raises(ClientError, match=code):
            invoke("run_stage", ask_for(Stage.COMPRESSOR))
    else:
        invoke("run_stage", ask_for(Stage.COMPRESSOR))
        assert copied(cloud) == b""
