"""The API's operations on finished scenes: rename, share by links, delete; each first checks the scene's owner."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from api.caller import Caller, owned_job
from api.models import NewShare, ShareRequest, ShareView
from contract.codes import ErrorCode
from domain.errors import RefusedRequest
from domain.job import first_job_id, job_id_of
from domain.job_item import JobItem
from domain.jobs_table import JobsTable
from domain.layout import EXPIRING, KEPT
from domain.links import ORBIT, VIEWERS, Links, with_orbit
from domain.results import read_json
from domain.shares import MAX_SHARES, Share, hash_of, new_secret, opened_by
from domain.streaming import MANIFEST, manifest_url
from domain.tickets import good_until
from domain.uploads import newest_at

MAX_FAMILY = 100  # jobs that are searched for other runs of an upload before its photos are deleted


class Sharing:
    """`s3` is a boto3 client; `uploads_bucket` holds what people uploaded; `stack`: as in `job_id_of`."""

    def __init__(
        self,
        s3: Any,
        jobs: JobsTable,
        links: Links,
        uploads_bucket: str,
        results_bucket: str,
        stack: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._s3, self._jobs, self._links, self._clock = s3, jobs, links, clock
        self._uploads, self._results, self._stack = uploads_bucket, results_bucket, stack

    def rename(self, job_id: str, name: str, caller: Caller) -> None:
        """Rename a scene. Raises RefusedRequest(NO_SUCH_JOB), like every method here."""
        owned_job(self._jobs, job_id, caller)
        self._jobs.set_name(job_id, name)

    def share(self, job_id: str, request: ShareRequest, caller: Caller) -> NewShare:
        owned_job(self._jobs, job_id, caller)
        now, secret, share_id = self._clock(), new_secret(), uuid.uuid4().hex[:12]
        expires = None if request.days is None else now + timedelta(days=request.days)
        share = Share(label=request.label, secret_hash=hash_of(secret), created_at=now, expires_at=expires)
        if not self._jobs.add_share(job_id, share_id, share):
            owned_job(self._jobs, job_id, caller)  # it may be gone by now
            raise RefusedRequest(ErrorCode.INVALID_REQUEST, f"at most {MAX_SHARES} links per scene: withdraw one first")
        return NewShare(**_view(share_id, share), token=f"{job_id}.{secret}")

    def shares(self, job_id: str, caller: Caller) -> list[ShareView]:
        """The scene's shares, oldest first."""
        item = owned_job(self._jobs, job_id, caller)
        found = sorted(item.shares.items(), key=lambda entry: entry[1].created_at)
        return [ShareView(**_view(share_id, share)) for share_id, share in found]

    def withdraw(self, job_id: str, share_id: str, caller: Caller) -> None:
        owned_job(self._jobs, job_id, caller)
        self._jobs.remove_share(job_id, share_id)

    def opened(self, token: str, api: str) -> str | None:
        """A link to the viewer, valid for hours, for a share's token; None if the token opens nothing. `api`: the API's
        URL."""
        job_id, _, secret = token.partition(".")
        item = self._jobs.find(job_id)
        if item is None or opened_by(secret, item.shares, self._clock()) is None:
            return None
        uris = {name: item.outputs[name] for name in (*VIEWERS, MANIFEST, ORBIT) if name in item.outputs}
        links = self._links.of_job(job_id, uris, item.name, manifest_url(api, token))
        viewer = next((links[name] for name in VIEWERS if name in links), None)
        return viewer and with_orbit(viewer, links.get(ORBIT))

    def manifest(self, token: str) -> dict[str, Any] | None:
        """The manifest of a streamed scene with links to its parts, for a share's token or a ticket; None if the token
        opens nothing."""
        job_id, _, secret = token.partition(".")
        item = self._jobs.find(job_id)
        uri = None if item is None else item.outputs.get(MANIFEST)
        if item is None or uri is None or not self._links.is_of_job(uri, job_id):
            return None
        now = self._clock()
        share = opened_by(secret, item.shares, now)
        until = good_until(token, item, now) if share is None else share.expires_at or self._links.until
        manifest = None if until is None else read_json(self._s3, uri)
        return None if until is None or manifest is None else self._links.of_parts(manifest, uri, until)

    def delete(self, job_id: str, caller: Caller) -> None:
        """Delete a job that has ended, and its files; with the last run of an upload, also its photos and the
        intermediate files of all its runs. Also raises RefusedRequest(JOB_RUNNING).

        The files are deleted first, so that a call that was interrupted can be repeated: the job still exists then.
        """
        item = owned_job(self._jobs, job_id, caller)
        if item.open:
            raise RefusedRequest(ErrorCode.JOB_RUNNING)
        self._delete_below(self._results, f"{KEPT}/{job_id}/")
        if not self._other_runs(item):  # other runs may use the results of the earlier stages
            for run in self._runs_with_intermediates(first_job_id(job_id)):  # those of runs deleted earlier, too
                self._delete_below(self._results, f"{EXPIRING}/{run}/")
            self._delete_upload(item)
        self._jobs.delete(item)

    def _delete_upload(self, item: JobItem) -> None:
        """Delete only the version that became the job: somebody else may have uploaded to the same key since, and a
        delete marker would hide that object."""
        if item.bucket != self._uploads or not item.object_key:
            return
        version = item.version_id
        if version is None:  # the item was written by a release that did not record it
            newest = newest_at(self._s3, self._uploads, item.object_key)
            if newest is not None and job_id_of(newest, self._stack) == first_job_id(item.job_id):
                version = newest.version_id
        if version is not None:
            self._s3.delete_object(Bucket=self._uploads, Key=item.object_key, VersionId=version)

    def _other_runs(self, item: JobItem) -> bool:
        owned = self._jobs.of_owner(item.owner or "", MAX_FAMILY, item.uploaded_at)
        first = first_job_id(item.job_id)
        return any(other.job_id != item.job_id and first_job_id(other.job_id) == first for other in owned)

    def _runs_with_intermediates(self, first: str) -> list[str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._results, Prefix=f"{EXPIRING}/{first}", Delimiter="/"
        )
        folders = [entry["Prefix"] for page in pages for entry in page.get("CommonPrefixes", [])]
        found = [folder.removeprefix(f"{EXPIRING}/").removesuffix("/") for folder in folders]
        return [run for run in found if first_job_id(run) == first]  # other jobs' ids may begin like this one

    def _delete_below(self, bucket: str, prefix: str) -> None:
        while True:  # deleted objects are not listed again
            listed = self._s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
            if not listed:
                return
            keys = [{"Key": entry["Key"]} for entry in listed]
            answer = self._s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
            if answer.get("Errors"):
                raise RuntimeError(f"not deleted: {answer['Errors'][:3]}")


def _view(share_id: str, share: Share) -> dict[str, Any]:
    return {"share_id": share_id, **share.model_dump(exclude={"secret_hash"})}
