"""Links into the results bucket that expire."""

from __future__ import annotations

import re
from mimetypes import guess_type
from typing import Any

from domain.results import split_uri

_SNAPSHOT = re.compile(r"(?P<since>\d+)/snapshots/(?P<step>\d+)\.jpg")


class Links:
    """`s3` is a boto3 client; `seconds` is how long a link lives, and no longer than the credentials that sign it."""

    def __init__(self, s3: Any, results_bucket: str, seconds: int) -> None:
        self._s3, self._bucket, self.seconds = s3, results_bucket, seconds

    def sign(self, uri: str) -> str:
        """A link to GET the object at `uri`."""
        bucket, key = split_uri(uri)
        params = {"Bucket": bucket, "Key": key}
        content_type, _ = guess_type(key)
        if content_type is not None:  # whatever the upload called it: a page must open, not download
            params["ResponseContentType"] = content_type
        url: str = self._s3.generate_presigned_url("get_object", Params=params, ExpiresIn=self.seconds)
        return url

    def snapshots(self, job_id: str) -> dict[str, str]:
        """The pictures that training has left so far, by `snapshots/<step>.jpg` in the steps' order: name → s3 URI."""
        prefix = f"intermediates/{job_id}/checkpoints/"
        answer = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=prefix)
        steps = sorted(
            (int(found["step"]), int(found["since"]), entry["Key"])
            for entry in answer.get("Contents", [])
            if (found := _SNAPSHOT.fullmatch(entry["Key"].removeprefix(prefix)))
        )  # of two beginnings the later one's
        return {f"snapshots/{step}.jpg": f"s3://{self._bucket}/{key}" for step, _since, key in steps}
