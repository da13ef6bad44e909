"""Turn one uploaded object into one execution, or into one rejection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any, BinaryIO, cast

from contract.codes import ErrorCode
from contract.stages import PipelineStep
from domain.errors import JobError, RejectedUpload
from domain.executions import Executions, execution_input
from domain.job import (
    Camel,
    Job,
    JobOptions,
    UploadedObject,
    email_from_metadata,
    job_id_of,
    job_id_of_rerun,
    job_of,
    options_from_metadata,
    owner_in,
    remarks_on,
)
from domain.job_item import REJECTED, ItemUpdate
from domain.jobs_table import JobFacts, JobsTable
from domain.limits import OwnerLimits
from domain.preflight import (
    check_bare_film,
    check_bare_splat,
    check_contents,
    check_entries,
    divided_from,
    read_entries,
    step_of,
)
from domain.ranged import RangedObject
from domain.status import StatusBus, job_rejected
from domain.unstarted import Unstarted
from domain.upload_kind import START_BYTES, UploadKind, kind_by_key, kind_of
from domain.uploads import UnreadableUpload, head_of

REPLACED = "the upload was deleted or replaced before the job began"


class StartOutcome(Camel):
    """The outcome of an upload: an execution, a rejection (`error`), or nothing because the object is gone."""

    job_id: str
    execution_name: str | None = None
    error: JobError | None = None


class LoosePhoto(RejectedUpload):
    """A single photo arrived instead of a ZIP; others are likely to follow."""

    def __init__(self) -> None:
        super().__init__(ErrorCode.LOOSE_PHOTOS)


def group_of(uploaded: UploadedObject, at: datetime, owner: str | None) -> UploadedObject:
    """The key for all loose photos of one owner below one prefix in a day (UTC): they get one answer."""
    folder = uploaded.key.rpartition("/")[0]
    day = at.astimezone(UTC).date().isoformat()
    key = folder or "photos"
    return uploaded.model_copy(update={"key": key, "version_id": None, "etag": f"{owner or ''} {day}"})


@dataclass(frozen=True)
class Asked:
    """A request through the API: the job's options, and the owner if the object does not name one."""

    options: JobOptions
    owner: str


class Starter:
    """Every call is safe to repeat for the same object version, also after a crash between any two of them."""

    def __init__(
        self,
        s3: Any,
        executions: Executions,
        jobs: JobsTable,
        bus: StatusBus,
        limits: OwnerLimits,
        stack: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._s3, self._executions, self._limits = s3, executions, limits
        self._jobs, self._bus, self._stack, self._clock = jobs, bus, stack, clock

    def start(self, uploaded: UploadedObject, asked: Asked | None = None) -> StartOutcome:
        """Start a job for the object version, or reject it. `asked`: the request, if the job was started through the
        API.

        Raises botocore's ClientError for faults of AWS, so that the event is delivered again.
        """
        if kind_by_key(uploaded.key) is UploadKind.NOTHING:
            return StartOutcome(job_id=job_id_of(uploaded, self._stack))
        job_id = self.job_id_for(uploaded)
        try:
            head = head_of(self._s3, uploaded)
        except UnreadableUpload as unreadable:
            head = {"Metadata": {}, "LastModified": self._clock()}
            return self._reject(job_id, uploaded, head, JobOptions(), asked, unreadable.error)
        if head is None:  # it was deleted since, or overwritten in a bucket without versions
            self._close(job_id)
            return StartOutcome(job_id=job_id)
        options = asked.options if asked else JobOptions()
        owner = _owner(head["Metadata"], asked)
        try:
            if kind_by_key(uploaded.key) is UploadKind.PHOTO:  # checked before the settings, which may be invalid
                raise LoosePhoto
            options = asked.options if asked else options_from_metadata(head["Metadata"])
            options, photos = self._check_upload(uploaded, head["ContentLength"], options)
            self._admit(job_id, owner)
        except LoosePhoto as rejection:
            return self._reject_group(group_of(uploaded, head["LastModified"], owner), head, options, asked, rejection)
        except RejectedUpload as rejection:
            return self._reject(job_id, uploaded, head, options, asked, rejection.error)
        remarks = () if asked else remarks_on(head["Metadata"])
        job = job_of(uploaded, job_id, options, head["LastModified"], owner, remarks)
        document = execution_input(job, options.pipeline_step.stages[0])
        self._record_and_finish(job, JobFacts(photos=photos), Unstarted.execution(job, document))
        return StartOutcome(job_id=job.job_id, execution_name=job.job_id)

    def job_id_for(self, uploaded: UploadedObject) -> str:
        """The id of the job of this object version. A deleted job's id stays taken for as long as Step Functions
        remembers its execution: then the file's next job is named like a rerun of it."""
        first = job_id_of(uploaded, self._stack)
        ids = (job_id_of_rerun(first, number) for number in count(1))
        return next(one for one in ids if self._jobs.find(one) is not None or self._executions.lookup(one) is None)

    def _close(self, job_id: str) -> None:
        """Finish an earlier delivery that may have recorded the job and crashed before starting it."""
        if self._jobs.find(job_id) is not None:
            values = {"sequence": 0, "status": REJECTED, "message": REPLACED, "updatedAt": self._clock().isoformat()}
            self._jobs.apply(job_id, [ItemUpdate(guard="sequence", values=values)])
            self._jobs.started(job_id)  # otherwise the next sweep would start it after all

    def _admit(self, job_id: str, owner: str | None) -> None:
        """Make room for the job. One that was started before stays started; one that was rejected begins anew, because
        limits and options may be others now. Raises RejectedUpload(LIMIT_REACHED)."""
        item = self._jobs.find(job_id)
        if item is not None and item.status != REJECTED:
            return
        if facts := self._limits.reached_by(owner, job_id):
            raise RejectedUpload(ErrorCode.LIMIT_REACHED, facts)
        if item is not None:
            self._jobs.forget_rejection(job_id)

    def _check_upload(self, uploaded: UploadedObject, size: int, options: JobOptions) -> tuple[JobOptions, int]:
        """The options, adapted to the content, and the number of photos (0 if unknown).

        Raises RejectedUpload.
        """
        content = RangedObject(self._s3, uploaded, size)
        # readers need no more than RawIOBase; buffering would read ahead data that is never used
        stream = cast(BinaryIO, content)
        match kind_of(uploaded.key, content.read(START_BYTES)):
            case UploadKind.PHOTO:
                raise LoosePhoto
            case UploadKind.FILM if options.pipeline_step is PipelineStep.FULL:
                check_bare_film(stream)
                return options, 0
            case UploadKind.KSPLAT:
                raise RejectedUpload(ErrorCode.INVALID_SPLAT, "it is a .ksplat")
            case UploadKind.SPLAT:
                check_bare_splat(stream, uploaded.key, size)
                # nothing else can be made of a bare splat
                return options.model_copy(update={"pipeline_step": PipelineStep.COMPRESSION}), 0
        if size == 0:
            raise RejectedUpload(ErrorCode.EMPTY_ARCHIVE, "0 bytes")
        entries = read_entries(stream)
        step = step_of(entries, options.pipeline_step)
        photos = check_entries(entries, size, step)
        check_contents(stream, entries, step)
        return options.model_copy(update={"pipeline_step": divided_from(step, photos)}), photos

    def _reject(
        self,
        job_id: str,
        uploaded: UploadedObject,
        head: dict[str, Any],
        options: JobOptions,
        asked: Asked | None,
        error: JobError,
    ) -> StartOutcome:
        # a setting can be wrong while the address is right: the customer is notified nevertheless
        address = options.email or email_from_metadata(head["Metadata"])
        mailed = options.model_copy(update={"email": address})
        job = job_of(uploaded, job_id, mailed, head["LastModified"], _owner(head["Metadata"], asked))
        rejection = Unstarted(rejection=job_rejected(job.job_id, error, self._clock()))
        self._record_and_finish(job, JobFacts(), rejection)
        return StartOutcome(job_id=job.job_id, error=error)

    def _reject_group(
        self,
        group: UploadedObject,
        head: dict[str, Any],
        options: JobOptions,
        asked: Asked | None,
        rejection: LoosePhoto,
    ) -> StartOutcome:
        """Answer the first photo of a group, and those that arrive before its event is in the jobs table."""
        job_id = job_id_of(group, self._stack)
        item = self._jobs.find(job_id)
        if item is not None and item.status is not None:
            return StartOutcome(job_id=job_id, error=rejection.error)
        return self._reject(job_id, group, head, options, asked, rejection.error)

    def _record_and_finish(self, job: Job, facts: JobFacts, unstarted: Unstarted) -> None:
        self._jobs.record(job, facts, unstarted.as_text())
        unstarted.finish(job.job_id, self._executions, self._bus, self._jobs)


def _owner(metadata: Mapping[str, str], asked: Asked | None) -> str | None:
    """Only the object decides about the owner, so it does not matter who asks first."""
    return owner_in(metadata) or (asked.owner if asked else None)
