"""Sign links to objects in the results bucket, which expire."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from mimetypes import guess_type
from typing import Any
from urllib.parse import quote

from contract.stages import Stage
from domain.layout import checkpoints_prefix, evidence_prefix, is_of_job, snapshot_of, split_uri
from domain.streaming import MANIFEST, page_link, with_links

VIEWER, SAVED_VIEWER = "viewer/index.html", "viewer.html"
STREAMING_VIEWER = "viewer/stream.html.gz"  # of a large scene
VIEWERS = (STREAMING_VIEWER, VIEWER)  # the first that exists is opened
ORBIT = "orbit.webp"
# files that browsers save instead of showing: delivered name → what follows the scene's title in the file name
SAVED_AS = {
    "scene.sog": ".sog",
    "scene.ply": ".ply",
    "scene.spz": ".spz",
    "scene.v4.spz": " v4.spz",
    "scene.glb": ".glb",
    "products/orthophoto.tif": " orthophoto.tif",
    "products/surface.tif": " surface.tif",
    "products/surface_sigma.tif": " surface accuracy.tif",
    "products/hillshade.tif": " hillshade.tif",
    "products/contours.geojson": " contours.geojson",
    "products/points.laz": ".laz",
    "products/points.copc.laz": ".copc.laz",
    "products/quality.pdf": " quality.pdf",
}


def attachment(file_name: str) -> str:
    """The Content-Disposition of a file to be saved (RFC 6266); its name may contain any letters."""
    plain = re.sub(r'[^\x20-\x7e]|["\\%/]', "_", file_name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(file_name, safe='')}"


def with_orbit(viewer: str, orbit: str | None) -> str:
    """A link to a viewer, with the files that it offers if a browser cannot draw the scene."""
    if orbit is None:
        return viewer
    return f"{viewer}{'&' if '#' in viewer else '#'}orbit={quote(orbit, safe='')}"


class Links:
    """`s3` is a boto3 client; a link is valid for `seconds`, but never longer than the credentials that sign it."""

    def __init__(self, s3: Any, results_bucket: str, seconds: int, clock: Callable[[], float] = time.time) -> None:
        self._s3, self._bucket, self.seconds, self._clock = s3, results_bucket, seconds, clock

    @property
    def until(self) -> datetime:
        """When a link made now expires."""
        return datetime.fromtimestamp(self._clock() + self.seconds, UTC)

    def of_job(self, job_id: str, uris: Mapping[str, str], title: str, manifest: str | None = None) -> dict[str, str]:
        """Links to GET the objects, by their names. URIs come from events; one outside the folders of the job and its
        other runs gets no link. Files to be saved are named after the scene's `title`.

        `manifest`: where the page that streams a scene gets the links to its parts; without it, that page gets none.
        """
        own = {name: uri for name, uri in uris.items() if self.is_of_job(uri, job_id)}
        saved = {name: title + SAVED_AS[name] for name in own if name in SAVED_AS}
        streaming = own.pop(STREAMING_VIEWER, None), own.pop(MANIFEST, None)
        signed = {name: self._sign(uri, saved.get(name)) for name, uri in own.items()}
        if manifest is not None and streaming[1] is not None:
            signed[MANIFEST] = manifest
            if streaming[0] is not None:
                signed[STREAMING_VIEWER] = page_link(self._sign(streaming[0]), manifest)
        if VIEWER in own:  # a second link to the same page, for saving it
            signed[SAVED_VIEWER] = self._sign(own[VIEWER], f"{title}.html")
        return signed

    def of_parts(self, manifest: dict[str, Any], uri: str, until: datetime) -> dict[str, Any]:
        """The manifest at `uri`, with links to the parts beside it. They are valid until then, but never longer than
        any other link."""
        until = min(until, self.until)
        seconds = max(1, int(until.timestamp() - self._clock()))
        folder = uri.rpartition("/")[0]
        return with_links(manifest, lambda name: self._sign(f"{folder}/{name}", seconds=seconds), until)

    def is_of_job(self, uri: str, job_id: str) -> bool:
        return is_of_job(uri, job_id, self._bucket)

    def _sign(self, uri: str, save_as: str | None = None, seconds: int | None = None) -> str:
        bucket, key = split_uri(uri)
        params = {"Bucket": bucket, "Key": key}
        content_type, encoding = guess_type(key)
        if content_type is not None:  # overrides the declared type: a page must open instead of being downloaded
            params["ResponseContentType"] = content_type
        if encoding is not None:
            params["ResponseContentEncoding"] = encoding
        if save_as is not None:
            params["ResponseContentDisposition"] = attachment(save_as)
        url: str = self._s3.generate_presigned_url("get_object", Params=params, ExpiresIn=seconds or self.seconds)
        return url

    def evidence(self, job_id: str) -> dict[str, str]:
        """The files with which stages that refused their input show why: s3 URIs by `<stage>/<file>`."""
        found = {}
        for stage in Stage:
            if stage.spec.leaves_evidence:
                prefix = evidence_prefix(job_id, stage)
                answer = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=prefix)
                for entry in answer.get("Contents", []):
                    found[f"{stage}/{entry['Key'].removeprefix(prefix)}"] = f"s3://{self._bucket}/{entry['Key']}"
        return found

    def snapshots(self, job_id: str) -> dict[str, str]:
        """The pictures that training has written so far: s3 URIs by `snapshots/<step>.jpg`, in the order of steps."""
        answer = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=checkpoints_prefix(job_id))
        keys = [entry["Key"] for entry in answer.get("Contents", [])]
        found = sorted((*shown, key) for key in keys if (shown := snapshot_of(key, job_id)))
        # if two attempts began the training anew, the later one's picture of a step replaces the earlier one's
        return {f"snapshots/{step}.jpg": f"s3://{self._bucket}/{key}" for step, _first, key in found}
