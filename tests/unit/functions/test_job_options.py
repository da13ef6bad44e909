"""Job ids, names and options: pure functions of the uploaded object."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.codes import ErrorCode
from contract.options import MAX_NAME, Quality
from contract.stages import PipelineStep, Stage
from domain.errors import RejectedUpload
from domain.job import (
    JobOptions,
    UploadedObject,
    email_from_metadata,
    job_id_of,
    job_of,
    options_from_metadata,
    parse_options,
    remarks_on,
)
from domain.stages import StageRun
from tests.support.cloud import STACK

KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)
VERSIONS = st.none() | st.text("abcdef0123456789", min_size=1, max_size=32)
AT = datetime(2026, 5, 4, tzinfo=UTC)


def uploaded(key: str = "meadow.zip", version_id: str | None = "v1", etag: str = "e1") -> UploadedObject:
    return UploadedObject(bucket="uploads", key=key, version_id=version_id, etag=etag)


def refusal(**metadata: str) -> str:
    with pytest.raises(RejectedUpload) as caught:
        options_from_metadata(metadata)
    assert caught.value.error.code is ErrorCode.INVALID_OPTION
    return caught.value.error.message


@given(KEYS, VERSIONS)
def test_the_same_object_version_always_gets_the_same_id(key: str, version: str | None) -> None:
    assert job_id_of(uploaded(key, version), STACK) == job_id_of(uploaded(key, version), STACK)


@given(KEYS)
def test_an_id_has_only_what_sagemaker_and_the_event_schema_allow(key: str) -> None:
    job_id = job_id_of(uploaded(key), STACK)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", job_id)
    assert len(job_id) <= 33


@given(KEYS, KEYS)
def test_different_keys_get_different_ids(one: str, other: str) -> None:
    assert (job_id_of(uploaded(one), STACK) == job_id_of(uploaded(other), STACK)) == (one == other)


def test_an_overwritten_object_is_another_job() -> None:
    assert job_id_of(uploaded(version_id="v1"), STACK) != job_id_of(uploaded(version_id="v2"), STACK)


def test_without_versioning_the_etag_distinguishes_contents() -> None:
    ids = {job_id_of(uploaded(version_id=None, etag=etag), STACK) for etag in ("e1", "e2")}
    assert len(ids) == 2


def test_the_parts_of_an_identity_do_not_run_together() -> None:
    one = UploadedObject(bucket="ab", key="c", version_id="v", etag="e")
    other = UploadedObject(bucket="a", key="bc", version_id="v", etag="e")
    assert job_id_of(one, STACK).split("-")[-1] != job_id_of(other, STACK).split("-")[-1]


@pytest.mark.parametrize(
    ("key", "start"),
    [
        ("flights/2026/North Meadow (1).zip", "north-meadow-1-"),
        ("日本.zip", "job-"),
        ("a-very-long-name-of-a-flight-over-a-meadow.zip", "a-very-long-name-of-"),
        ("exactly-nineteen-ab -c.zip", "exactly-nineteen-ab-"),
    ],
)
def test_an_id_begins_with_the_readable_part_of_the_file_name(key: str, start: str) -> None:
    assert re.fullmatch(re.escape(start.rstrip("-")) + "-[0-9a-f]{12}", job_id_of(uploaded(key), STACK))


def test_without_metadata_a_job_runs_from_the_photos_at_standard_quality() -> None:
    options = options_from_metadata({})
    assert options == JobOptions(email=None, pipeline_step=PipelineStep.FULL, quality="standard")


@pytest.mark.parametrize("name", ["pipelinestep", "pipelineStep", "pipeline-step", "PIPELINE_STEP"])
def test_case_hyphens_and_underscores_in_names_do_not_count(name: str) -> None:
    assert options_from_metadata({name: "3dgs"}).pipeline_step is PipelineStep.TRAINING


def test_every_option_is_read_with_its_type() -> None:
    options = options_from_metadata(
        {
            "email": " pilot@example.com ",
            "pipelinestep": "compression",
            "quality": "high",
            "trainingsteps": "7000",
            "maxgaussians": "250000",
            "shdegree": "2",
            "name": "North meadow",
            "project": "Bridge 7",
            "customer": "=?utf-8?b?U3RyYcOfZW5iYXVhbXQ=?=",
            "site": "Mill Lane 4",
        }
    )
    assert options == JobOptions.model_validate(
        {
            "email": "pilot@example.com",
            "pipeline_step": PipelineStep.COMPRESSION,
            "quality": "high",
            "training_steps": 7000,
            "max_gaussians": 250_000,
            "sh_degree": 2,
            "name": "North meadow",
            "project": "Bridge 7",
            "customer": "Straßenbauamt",
            "site": "Mill Lane 4",
        }
    )


def test_an_empty_value_sets_no_option() -> None:
    assert options_from_metadata({"trainingsteps": " ", "email": ""}) == JobOptions()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("email", "pilot"),
        ("email", "pilot@localhost"),
        ("email", "a@b.c, d@e.f"),
        ("email", "Pilot <a@example.com>"),
        ("email", "a@" + "b" * 250 + ".com"),
        ("pipelineStep", "sfm"),
        ("quality", "best"),
        ("trainingSteps", "0"),
        ("trainingSteps", "100001"),
        ("trainingSteps", "many"),
        ("maxGaussians", "999"),
        ("maxGaussians", "20000001"),
        ("shDegree", "4"),
        ("shDegree", "-1"),
        ("name", "x" * 81),
        ("name", "two\nlines"),
        ("project", "x" * 81),
        ("customer", "two\r\nlines"),
        ("site", "\x1b[2J"),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_options_name(option: str, value: str) -> None:
    assert f"{option}: " in refusal(**{option.lower(): value})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("trainingSteps", "1"),
        ("trainingSteps", "100000"),
        ("maxGaussians", "1000"),
        ("maxGaussians", "20000000"),
        ("shDegree", "0"),
        ("shDegree", "3"),
        ("name", "x" * 80),
        ("site", "x" * 80),
    ],
)
def test_the_ends_of_a_range_are_in_it(option: str, value: str) -> None:
    assert str(options_from_metadata({option: value}).model_dump(by_alias=True)[option]) == value


def test_every_wrong_option_is_named_at_once() -> None:
    message = refusal(quality="best", shdegree="9")
    assert "quality: " in message
    assert "shDegree: " in message


# metadata that tools set by themselves: rclone, s3cmd, s3fs, Transfer Family, Cyberduck, DataSync, AWS' own SDKs
FOREIGN = {
    "mtime": "1714550400.5", "s3cmd-attrs": "atime:1/ctime:2/gid:0/gname:root/md5:x/mode:33188", "uid": "1000",
    "gid": "1000", "mode": "33188", "ctime": "1", "atime": "1", "user-agent": "AWSTransfer",
    "user-agent-id": "pilot@s-1",
    "file-permissions": "0644", "file-owner": "1000", "file-group": "1000", "file-mtime": "1714550400000ns",
    "permissions": "rw-r--r--", "sha256": "x", "md5chksum": "x", "original-filename": "a.zip", "colour": "red",
    "x-amz-key": "v", "creation-date": "2026", "client": "mobile", "filename": "a.zip",
}  # fmt: skip


@pytest.mark.parametrize("name", FOREIGN)
def test_metadata_of_upload_tools_are_no_settings(name: str) -> None:
    assert options_from_metadata({name: FOREIGN[name], "quality": "high"}) == JobOptions(quality=Quality.HIGH)
    assert remarks_on({name: FOREIGN[name]}) == ()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("traningsteps", "trainingSteps"), ("training-step", "trainingSteps"), ("max-gausians", "maxGaussians"),
        ("qualty", "quality"), ("e-mails", "email"), ("sh-degrees", "shDegree"), ("pipeline-steps", "pipelineStep"),
    ],
)  # fmt: skip
def test_a_near_miss_of_a_setting_is_ignored_and_remarked_upon(name: str, meant: str) -> None:
    assert options_from_metadata({name: "1"}) == JobOptions()
    assert remarks_on({name: "1"}) == (f"{name} was ignored: did you mean {meant}?",)


@pytest.mark.parametrize("name", ["email", "E_MAIL", "pipelinestep", "pipeline-step", "name", "owner", "SHDEGREE"])
def test_a_setting_is_no_near_miss(name: str) -> None:
    assert remarks_on({name: "x"}) == ()


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=8))
def test_whatever_metadata_there_are_the_answer_is_options_or_a_coded_refusal(metadata: dict[str, str]) -> None:
    assert len(remarks_on(metadata)) <= 5
    with suppress(RejectedUpload):
        options_from_metadata(metadata)


@pytest.mark.parametrize(
    ("values", "read"),
    [
        ({"quality": "High"}, JobOptions(quality=Quality.HIGH)),
        ({"quality": "PREVIEW "}, JobOptions(quality=Quality.PREVIEW)),
        ({"pipelinestep": "Full"}, JobOptions()),
        ({"pipelinestep": "3DGS"}, JobOptions(pipeline_step=PipelineStep.TRAINING)),
        ({"pipelinestep": "Compression"}, JobOptions(pipeline_step=PipelineStep.COMPRESSION)),
    ],
)
def test_values_are_read_in_any_case(values: dict[str, str], read: JobOptions) -> None:
    assert options_from_metadata(values) == read


def test_a_wrong_address_is_refused_without_a_pattern() -> None:
    assert "email: must be one address, such as you@example.com" in refusal(email="Pilot <a@example.com>")


def test_an_unknown_name_in_an_api_body_is_refused_too() -> None:
    with pytest.raises(RejectedUpload, match="colour"):
        parse_options({"colour": "red"})


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=MAX_NAME))
def test_a_text_option_is_one_printable_line_or_none_or_refused(value: str) -> None:
    with suppress(RejectedUpload):
        site = parse_options({"site": value}).site
        assert site is None or (site and site.isprintable() and len(site) <= MAX_NAME)


def test_what_turns_a_text_round_is_taken_out_of_it() -> None:
    assert parse_options({"project": " a\u202egnp.exe ", "site": "\u200b"}) == parse_options({"project": "a gnp.exe"})


@pytest.mark.parametrize("name", ["email", "Email", "e-mail", "E_MAIL"])
def test_the_address_is_found_beside_settings_that_are_wrong(name: str) -> None:
    assert email_from_metadata({"quality": "best", "colour": "red", name: "pilot@example.com"}) == "pilot@example.com"


def test_a_wrong_address_is_no_address() -> None:
    assert email_from_metadata({"email": "pilot"}) is None


@pytest.mark.parametrize(
    ("key", "option", "name"),
    [
        ("flights/meadow.zip", None, "meadow"),
        ("flights/meadow.zip", "North meadow", "North meadow"),
        ("two\nlines\u2028three.zip", None, "two lines three"),
        ("Dachfla\u0308che.zip", None, "Dachfläche"),
        ("Flug 3:4 空撮.zip", None, "Flug 3:4 空撮"),
        ("\x01.zip", None, "scene"),
        ("x" * 500 + ".zip", None, "x" * 79 + "…"),
    ],
)
def test_a_job_has_a_name_of_one_printable_line(key: str, option: str | None, name: str) -> None:
    asked = JobOptions.model_validate({"name": option})
    assert job_of(uploaded(key), "meadow-0123456789ab", asked, AT).name == name


@given(KEYS, VERSIONS)
def test_a_job_survives_its_way_through_json(key: str, version: str | None) -> None:
    job = job_of(uploaded(key, version), job_id_of(uploaded(key, version), STACK), JobOptions(), AT)
    assert type(job).model_validate_json(job.model_dump_json(by_alias=True)) == job


STACKS = ("spaceport-dev", "spaceport-prod", "spaceport-prod2", "spaceport-d", "spaceport-evprod")


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("step", PipelineStep)
def test_two_stacks_that_take_the_same_object_never_name_a_sagemaker_job_alike(
    stage: Stage, step: PipelineStep
) -> None:
    """Names are shared within an account: the second stack would mistake the first one's job for its own."""
    objects = [uploaded(), uploaded("duploads/meadow.zip"), uploaded(version_id="v2"), uploaded(version_id=None)]
    options = JobOptions(pipeline_step=step)
    jobs = [(stack, job_of(one, job_id_of(one, stack), options, AT)) for stack in STACKS for one in objects]
    names = {StageRun(job_id=job.job_id, stage=stage, attempt=1).job_name for _, job in jobs}
    assert len(names) == len(jobs)
    for stack, job in jobs:
        assert job == job_of(job.uploaded, job_id_of(job.uploaded, stack), options, AT)
        run = StageRun(job_id=job.job_id, stage=stage, attempt=99)
        assert StageRun.parse(run.job_name) == run


@given(KEYS, st.sampled_from(Stage), st.integers(1, 10**6))
def test_a_sagemaker_job_name_fits_and_identifies_its_run(key: str, stage: Stage, attempt: int) -> None:
    run = StageRun(job_id=job_id_of(uploaded(key), STACK), stage=stage, attempt=attempt)
    assert len(run.job_name) <= 63
    assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*", run.job_name)
    assert StageRun.parse(run.job_name) == run


def test_a_name_that_would_not_fit_is_an_error_and_not_cut() -> None:
    with pytest.raises(ValueError, match="63"):
        _ = StageRun(job_id="x" * 60, stage=Stage.SFM, attempt=1).job_name


@pytest.mark.parametrize("name", ["", "somebody-elses-job", "meadow-sfm-0", "meadow-sfm-1-x", "-sfm-1", "meadow-SFM-1"])
def test_somebody_elses_job_name_is_no_stage_run(name: str) -> None:
    assert StageRun.parse(name) is None


@given(KEYS, st.datetimes(min_value=datetime(2006, 3, 14), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_a_job_has_one_trace_in_the_form_that_xray_takes(key: str, at: datetime) -> None:
    one, same, other = (
        job_of(found, job_id_of(found, STACK), JobOptions(), at).trace_header
        for found in (uploaded(key), uploaded(key), uploaded(key, "v2"))
    )
    assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Sampled=1", one)
    assert int(one[7:15], 16) == int(at.timestamp())
    assert one == same != other
