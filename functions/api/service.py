"""The API's operations on jobs for an authenticated caller; each first checks that the job belongs to the caller."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from api.caller import Caller, owned_job
from api.models import JobList, JobView, RerunBody, StartedJob, StartJobRequest
from api.source import ObjectAddress, parse_s3_url
from api.views import summary_of, view_of
from contract.codes import ErrorCode
from domain.cancel import Cancellation, Canceller
from domain.errors import JobError, RefusedRequest, RejectedUpload
from domain.job import UploadedObject, owner_in, parse_options
from domain.job_item import REJECTED, JobItem
from domain.jobs_table import JobsTable
from domain.limits import OwnerLimits
from domain.links import Links
from domain.rerun import Rerunner, RerunRequest, StartedRerun
from domain.starting import Asked, Starter
from domain.streaming import manifest_of

# a malformed key cannot exist; what the function may not read does not belong to the caller either
_NO_OBJECT = ("404", "NoSuchKey", "NoSuchBucket", "400", "403")

MAX_SEARCHED = 500  # jobs that one call searches


class RejectedJob(Exception):
    """The file cannot become a job. The rejection has a job id, under which it can be looked up, and a coded reason."""

    def __init__(self, job_id: str, error: JobError) -> None:
        self.job_id, self.error = job_id, error
        super().__init__(f"{job_id}: {error.code}")


class Service:
    """`s3` is a boto3 client; `buckets` are those that jobs may start from, the uploads bucket first."""

    def __init__(
        self,
        s3: Any,
        jobs: JobsTable,
        starter: Starter,
        canceller: Canceller,
        rerunner: Rerunner,
        limits: OwnerLimits,
        links: Links,
        buckets: tuple[str, ...],
        clock: Callable[[], datetime],
    ) -> None:
        self._s3, self._jobs, self._starter = s3, jobs, starter
        self._canceller, self._rerunner = canceller, rerunner
        self._links, self._buckets, self._clock = links, buckets, clock
        self._limits = limits

    def check(self, email: str | None, caller: Caller) -> None:
        """Check, before an upload of 50 GB, whether the caller may start another job whose mails go to `email`.

        Raises RefusedRequest(LIMIT_REACHED), RejectedUpload(INVALID_OPTION).
        """
        _check_address({"email": email}, caller)
        if facts := self._limits.reached_by(caller.subject):
            raise RefusedRequest(ErrorCode.LIMIT_REACHED, facts)

    def start(self, request: StartJobRequest, caller: Caller) -> StartedJob:
        """Start a job from an object in S3, once per version; one that was rejected is checked again.

        Raises RefusedRequest, RejectedUpload for invalid options, RejectedJob for a file that cannot become a job.
        """
        uploaded = self._find(request.s3_url, caller)
        options = {"email": request.email, "pipelineStep": request.pipeline_step.value, **request.options}
        _check_address(options, caller)
        parsed = parse_options({name: value for name, value in options.items() if value is not None})
        job_id = self._starter.job_id_for(uploaded)
        item = self._jobs.find(job_id)
        if item is not None and item.owner is not None:
            if item.owner not in caller.owners:
                raise RefusedRequest(ErrorCode.NO_SUCH_OBJECT)
            if item.status not in (None, REJECTED):
                return StartedJob(job_id=job_id, created=False)
        outcome = self._starter.start(uploaded, Asked(parsed, caller.subject))
        if outcome.error is not None:
            raise RejectedJob(outcome.job_id, outcome.error)
        if outcome.execution_name is None:  # it was replaced after `_find`
            raise RefusedRequest(ErrorCode.NO_SUCH_OBJECT)
        return StartedJob(job_id=job_id, created=item is None or item.status == REJECTED)

    def _find(self, url: str, caller: Caller) -> UploadedObject:
        """The object at `url`. An object that is missing, somebody else's or nobody's gets the same refusal, so that
        callers cannot find out whether it exists."""
        address = parse_s3_url(url)
        if address.bucket not in self._buckets:
            raise RefusedRequest(ErrorCode.NOT_PERMITTED, address.bucket)
        try:
            head = self._s3.head_object(Bucket=address.bucket, Key=address.key)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _NO_OBJECT:
                raise
            raise RefusedRequest(ErrorCode.NO_SUCH_OBJECT) from None
        if not _owns(caller, address, head["Metadata"]):
            raise RefusedRequest(ErrorCode.NO_SUCH_OBJECT)
        if address.version_id not in (None, head.get("VersionId")):
            raise RefusedRequest(ErrorCode.NO_SUCH_OBJECT, "there is a newer version")
        return UploadedObject(
            bucket=address.bucket, key=address.key, version_id=head.get("VersionId"), etag=head["ETag"].strip('"')
        )

    def list(self, caller: Caller, limit: int, before: str | None, search: str | None = None) -> JobList:
        """The caller's jobs, newest first; `before` is the `next` of an earlier page. With `search`, only those of the
        next MAX_SEARCHED jobs whose names contain it: such a page may be empty and still have a `next`."""
        time, _, last_id = (before or "").partition("~")
        window = limit if search is None else MAX_SEARCHED
        after = (time, last_id) if before else None
        found = [item for owner in caller.owners for item in self._jobs.of_owner(owner, window + 1, before=after)]
        items = sorted(found, key=_age, reverse=True)
        looked = items[:window]
        matching = [item for item in looked if _folded(search or "") in _folded(item.name)]
        page = matching[:limit]
        last = page[-1] if len(matching) > limit else looked[-1] if len(items) > window else None
        jobs = [summary_of(item, self._links.of_job) for item in page]
        return JobList(jobs=jobs, next=None if last is None else "~".join(_age(last)))

    def look(self, job_id: str, caller: Caller, api: str) -> JobView:
        """A job with links to its files; `api`: the API's URL. Raises RefusedRequest(NO_SUCH_JOB)."""
        item = owned_job(self._jobs, job_id, caller)
        now = self._clock()
        expire = now + timedelta(seconds=self._links.seconds)
        more = self._links.snapshots(job_id)
        if item.error is not None:
            more |= self._links.evidence(job_id)
        links_of = partial(self._links.of_job, manifest=manifest_of(api, item, expire))
        return view_of(item, links_of, more, now, expire)

    def stop(self, job_id: str, caller: Caller) -> Cancellation:
        """Stop a job. Raises RefusedRequest(NO_SUCH_JOB)."""
        item = owned_job(self._jobs, job_id, caller)
        try:
            return self._canceller.cancel(job_id)
        except RefusedRequest:
            if item.open:
                raise
            # without an execution: it was rejected, or AWS has forgotten it by now
            return Cancellation(job_id=job_id, status=item.status, stopping=False)

    def rerun(self, job_id: str, body: RerunBody, key: str | None, caller: Caller) -> StartedRerun:
        """Run a job again from a stage on; `key` makes a repeated request start only one rerun.

        Raises RefusedRequest (NO_SUCH_JOB, JOB_RUNNING, NOT_REUSABLE), RejectedUpload(INVALID_OPTION).
        """
        owned_job(self._jobs, job_id, caller)
        _check_address(body.options, caller)
        request = RerunRequest(job_id=job_id, from_stage=body.from_stage, options=body.options, request_id=key)
        return self._rerunner.rerun(request)


def _check_address(options: Mapping[str, object], caller: Caller) -> None:
    """Allow mails only to the verified address in the caller's token.

    Raises RejectedUpload(INVALID_OPTION) for any other address.
    """
    email = options.get("email")
    if email is not None and str(email).lower() != (caller.email or "").lower():
        raise RejectedUpload(ErrorCode.INVALID_OPTION, "email: e-mails are sent only to your own verified address")


def _owns(caller: Caller, address: ObjectAddress, metadata: Mapping[str, str]) -> bool:
    """Whether the object belongs to the caller: its metadata names the caller, or names nobody and its key is below the
    caller's prefix."""
    owner = owner_in(metadata)
    return owner in caller.owners if owner else address.key.startswith(caller.prefix)


def _folded(text: str) -> str:
    """`text` in a form in which names that people take for the same are equal: case and Unicode composition do not
    matter."""
    return unicodedata.normalize("NFKC", text).casefold()


def _age(item: JobItem) -> tuple[str, str]:
    return item.uploaded_at, item.job_id
