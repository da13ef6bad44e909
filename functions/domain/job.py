"""A job: one upload on its way through the pipeline. Everything here is a pure function of the uploaded object."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from difflib import get_close_matches
from email.errors import MessageError
from email.header import decode_header, make_header
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints, ValidationError, field_validator
from pydantic.alias_generators import to_camel

from contract.codes import ErrorCode
from contract.options import DEFAULT_QUALITY, MAX_NAME, TEXTS, WHOLE_NUMBERS, Quality, TextOptions, WholeNumberOptions
from contract.stages import PipelineStep
from domain.errors import RejectedUpload, one_line

NEAR_MISS = 0.8  # of 1, difflib's ratio: `traningsteps` is one, `mtime` and `user-agent` are none
MAX_REMARKS = 5
MAX_SLUG = 20  # jobId-stage-attempt must fit SageMaker's 63 characters
OWNER_METADATA = "owner"  # set on objects uploaded through the API; not an option of the customer's


class Camel(BaseModel):
    """Frozen model whose JSON names are camelCase, as in events, the state machine and the API."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class UploadedObject(Camel):
    """The object version of an S3 event. `version` is its versionId, or its ETag without versioning."""

    bucket: str
    key: str
    version_id: str | None = None
    etag: str

    @property
    def version(self) -> str:
        return self.version_id or self.etag


MAX_ADDRESS = 254  # characters of an e-mail address (RFC 5321)
# what browsers take for <input type=email> (html.spec.whatwg.org), with a dot in the domain, and no "=?", which begins
# an encoded word in a mail header (RFC 2047) and would be read as another address
Email = Annotated[
    str,
    StringConstraints(
        pattern=r"^([A-Za-z0-9.!#$%&'*+/?^_`{|}~-]|=+[A-Za-z0-9.!#$%&'*+/^_`{|}~-])+=*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$",
        max_length=MAX_ADDRESS,
    ),
]


# names of settings are read in any case, and so are their values
AnyCase = BeforeValidator(lambda value: value.strip().lower() if isinstance(value, str) else value)
# what a customer reads instead of the pattern
_FORMS = {
    "email": "must be one address, such as you@example.com",
    **dict.fromkeys(map(to_camel, TEXTS), "must not contain control characters"),
}


class JobOptions(Camel, WholeNumberOptions, TextOptions):
    """The options that a customer may set, in object metadata or in the API's body."""

    model_config = ConfigDict(extra="forbid")

    email: Email | None = None
    pipeline_step: Annotated[PipelineStep, AnyCase] = PipelineStep.FULL
    quality: Annotated[Quality, AnyCase] = DEFAULT_QUALITY

    @field_validator(*WHOLE_NUMBERS, mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        """Metadata contain numbers as text, JSON as numbers. True is rejected, although Python treats it as 1."""
        return str(value) if isinstance(value, bool) else value

    @field_validator(*TEXTS)
    @classmethod
    def _text(cls, value: str | None) -> str | None:
        """The text as mails and reports print it: one line. None if nothing printable remains."""
        return None if value is None else text_line(value) or None


class Job(Camel):
    """The input of one execution of the state machine. `owner`: as in JobItem; `remarks`: notes for the customer on
    metadata that look like settings but are not.
    """

    version: Literal["1"] = "1"
    job_id: str
    name: str
    owner: str | None = None
    bucket: str
    key: str
    version_id: str | None
    etag: str
    uploaded_at: datetime
    options: JobOptions
    remarks: tuple[str, ...] = ()

    @property
    def uploaded(self) -> UploadedObject:
        """The version that the job was started for."""
        return UploadedObject(bucket=self.bucket, key=self.key, version_id=self.version_id, etag=self.etag)

    @property
    def trace_header(self) -> str:
        """The X-Ray trace of everything done for the job, from the upload to the mail; always the same for one job.

        docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html: the second it began, and 96 bits.
        """
        digest = hashlib.sha256(self.job_id.encode()).hexdigest()[:24]
        return f"Root=1-{int(self.uploaded_at.timestamp()):08x}-{digest};Sampled=1"


def job_id_of(uploaded: UploadedObject, stack: str) -> str:
    """Readable and unique: a stack always gives the same object version the same id (at most 33 characters, a-z0-9-).

    Two stacks give it different ids, because SageMaker job names begin with the id and must be unique in the account.
    """
    identity = "\0".join((stack, uploaded.bucket, uploaded.key, uploaded.version))
    digest = hashlib.sha256(identity.encode()).hexdigest()[:12]
    slug = re.sub(r"[^a-z0-9]+", "-", PurePosixPath(uploaded.key).stem.lower()).strip("-")[:MAX_SLUG].strip("-")
    return f"{slug or 'job'}-{digest}"


def first_job_id(job_id: str) -> str:
    """The id of the first run of a job's upload: `meadow-0123456789ab` of its rerun `meadow-0123456789ab-r2`."""
    return re.sub(r"(?<=-[0-9a-f]{12})-r[0-9]+$", "", job_id)


def job_id_of_rerun(job_id: str, number: int) -> str:
    """The id of the `number`th run of the upload that `job_id`, itself maybe a rerun, belongs to; 1 is the first."""
    first = first_job_id(job_id)
    return first if number == 1 else f"{first}-r{number}"


def run_number(job_id: str) -> int:
    """Which run of its upload it is: 1 is the first."""
    return int(job_id.removeprefix(first_job_id(job_id)).removeprefix("-r") or 1)


def earlier_job_ids(job_id: str) -> list[str]:
    """The ids of the runs before a rerun, newest first; empty for the first run."""
    return [job_id_of_rerun(job_id, earlier) for earlier in range(run_number(job_id) - 1, 0, -1)]


def options_from_metadata(metadata: Mapping[str, str]) -> JobOptions:
    """Read `x-amz-meta-*`: S3 lower-cases the names, so case, '-' and '_' do not count.

    Other names are the upload tools' own: rclone writes `mtime`, s3cmd `s3cmd-attrs`, Transfer Family `user-agent`.
    Raises RejectedUpload(INVALID_OPTION) that names the option and what it may be.
    """
    values = {
        _OPTIONS[_plain(raw)]: _decoded(value).strip() for raw, value in metadata.items() if _plain(raw) in _OPTIONS
    }
    return parse_options({name: value for name, value in values.items() if value})


def remarks_on(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """A note on each metadata name that is almost a setting: what the customer may have meant."""
    found = []
    for raw in sorted(metadata):
        plain = _plain(raw)
        near = get_close_matches(plain, _OPTIONS, n=1, cutoff=NEAR_MISS)
        if near and near[0] != plain and raw != OWNER_METADATA:
            found.append(f"{one_line(raw, MAX_NAME)} was ignored: did you mean {_OPTIONS[near[0]]}?")
    return tuple(found[:MAX_REMARKS])


BY_EMAIL = "mailto:"


def owner_by_email(email: str) -> str:
    """The owner of a job that came with an address and without a token. `email` must be ASCII, because `lower` turns a
    Kelvin sign into a k."""
    return BY_EMAIL + email.lower()


def owner_in(metadata: Mapping[str, str]) -> str | None:
    """The owner of an object according to its own metadata: the API caller who uploaded it, otherwise the address in
    it. A token must contain that address as verified."""
    if OWNER_METADATA in metadata:
        return metadata[OWNER_METADATA]
    email = email_from_metadata(metadata)
    return owner_by_email(email) if email else None


def email_from_metadata(metadata: Mapping[str, str]) -> str | None:
    """Only the address, for a customer whose other settings are wrong; None if it is missing or wrong itself."""
    try:
        return options_from_metadata({name: text for name, text in metadata.items() if _plain(name) == "email"}).email
    except RejectedUpload:
        return None


def parse_options(values: Mapping[str, object]) -> JobOptions:
    """Raises RejectedUpload(INVALID_OPTION) naming every option that is wrong."""
    try:
        return JobOptions.model_validate(values)
    except ValidationError as error:
        faults = "; ".join(_fault(".".join(map(str, fault["loc"])), fault) for fault in error.errors())
        raise RejectedUpload(ErrorCode.INVALID_OPTION, faults) from error


def _fault(option: str, fault: Mapping[str, Any]) -> str:
    message = _FORMS.get(option, "") if fault["type"] == "string_pattern_mismatch" else ""
    return f"{option}: {message or fault['msg']}"


def job_of(
    uploaded: UploadedObject,
    job_id: str,
    options: JobOptions,
    uploaded_at: datetime,
    owner: str | None = None,
    remarks: tuple[str, ...] = (),
) -> Job:
    return Job(
        remarks=remarks,
        owner=owner,
        job_id=job_id,
        name=scene_name(options.name or PurePosixPath(uploaded.key).stem),
        bucket=uploaded.bucket,
        key=uploaded.key,
        version_id=uploaded.version_id,
        etag=uploaded.etag,
        uploaded_at=uploaded_at,
        options=options,
    )


def scene_name(text: str) -> str:
    """Fit for a mail's subject and an environment variable: an S3 key may hold line breaks and 1,024 bytes."""
    return text_line(text) or "scene"


def text_line(text: str) -> str:
    """A customer's text as pages, mails and reports show it: one printable line of at most MAX_NAME characters, with
    the decomposed letters of macOS composed again."""
    return one_line(unicodedata.normalize("NFC", text), MAX_NAME)


def _decoded(text: str) -> str:
    """Metadata are HTTP headers, so non-ASCII text arrives encoded as in RFC 2047."""
    try:
        return str(make_header(decode_header(text))) if "=?" in text else text
    except (LookupError, ValueError, MessageError):  # it only looks like that
        return text


def _plain(name: str) -> str:
    return re.sub(r"[-_]", "", name).lower()


_OPTIONS = {_plain(field.alias or name): field.alias or name for name, field in JobOptions.model_fields.items()}
