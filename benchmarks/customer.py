"""`make bench-customer`: measure on the sample what a customer notices of time.

That is the accuracy of the page's estimate, the time that the API takes to start a job, and the time until the
delivered viewer shows its first picture. Two jobs run one after the other: the first with the built-in paces, the
second with those learnt from the first. GET /jobs/{jobId} is called every second, like from a customer's page. The last
line is one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from contract.stages import Stage
from local.address import Address
from local.cloud import ROOT, attached_cloud
from local.customer import fetch, upload
from local.deploy import deploy_pipeline
from local.ports import DEFAULT_PORT
from local.sample_photos import BUILD, make_sample
from local.web import api_url, sign_in

ENDS = ("SUCCEEDED", "FAILED", "REJECTED", "STOPPED")
VIEWER_LOADS = 5


@dataclass(frozen=True)
class Look:
    """One answer about a job: `at`, seconds since 1970; `left`, the estimate in seconds; `progress` of its `stage`."""

    at: float
    stage: str
    progress: float
    left: float


class Api:
    def __init__(self, address: Address, outputs: dict[str, str]) -> None:
        self.url, self.token = api_url(address, outputs), sign_in(address, outputs)["id_token"]
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def call(self, method: str, path: str, body: Any = None) -> Any:
        sent = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, sent, headers, method=method)
        with self.opener.open(request, timeout=60) as answer:
            return json.loads(answer.read())


def started(api: Api, bucket: str, key: str, quality: str) -> tuple[str, float]:
    """Start the job of an object in the bucket; returns its id and the seconds that POST /start-job took."""
    began = time.perf_counter()
    answer = api.call("POST", "/start-job", {"s3Url": f"s3://{bucket}/{key}", "options": {"quality": quality}})
    return answer["jobId"], time.perf_counter() - began


def followed(api: Api, job_id: str) -> tuple[list[Look], float]:
    """Poll the job until it ends; returns every answer, and the time of its end."""
    looks: list[Look] = []
    while True:
        try:
            view = api.call("GET", f"/jobs/{job_id}")
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            view = {"status": "STARTING"}
        now = time.time()
        if view["status"] in ENDS:
            if view["status"] != "SUCCEEDED":
                raise SystemExit(f"{job_id} is {view['status']}: {view['error']}")
            return looks, now
        running = [stage for stage in view.get("stages", []) if stage["status"] == "RUNNING"]
        if running and view["secondsLeft"] is not None:
            looks.append(Look(now, running[-1]["stage"], running[-1]["progress"], view["secondsLeft"]))
            print(
                f"\r{running[-1]['stage']:<11} {running[-1]['progress']:4.0%} {view['secondsLeft']:6.0f} s left ",
                end="",
            )
        time.sleep(1)


def errors(looks: Sequence[Look], end: float) -> dict[str, float]:
    """For each stage: the worst error of the job's estimated end in the second half of the stage, as a share of the
    total job time; and the error at the middle of the stage, as a share of the time then left."""
    whole = end - looks[0].at
    found: dict[str, float] = {}
    for stage in Stage:
        of_stage = [look for look in looks if look.stage == stage]
        middle = (of_stage[0].at + of_stage[-1].at) / 2
        late = [look for look in of_stage if look.at >= middle]
        found[f"{stage}_of_job"] = max(abs(look.at + look.left - end) for look in late) / whole
        found[f"{stage}_of_rest"] = abs(late[0].at + late[0].left - end) / (end - late[0].at)
    return {name: round(100 * value, 1) for name, value in found.items()}


def first_picture_seconds(viewer: Path, folder: Path) -> list[float]:
    """Seconds from opening the delivered page to the scene's first picture, in headless Chromium; a fresh page each."""
    from playwright.sync_api import sync_playwright

    from tests.support.browser import BARE, FLAGS

    chromium = shutil.which("chromium")
    taken = []
    with sync_playwright() as api:
        context = api.chromium.launch_persistent_context(
            folder, executable_path=chromium, args=[*FLAGS, *BARE], viewport={"width": 1280, "height": 800}
        )
        for _ in range(VIEWER_LOADS):
            page = context.new_page()
            began = time.perf_counter()
            page.goto(viewer.as_uri(), wait_until="commit")
            page.wait_for_function("document.documentElement.dataset.loaded === 'true'", timeout=120_000)
            taken.append(time.perf_counter() - began)
            page.close()
        context.close()
    return taken


def main() -> int:
    parser = argparse.ArgumentParser(description="What the customer waits for")
    parser.add_argument("--quality", default="standard")
    quality = parser.parse_args().quality
    photos = make_sample(BUILD)
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="spaceport-bench-") as out:
        with attached_cloud(ROOT / ".local" / f"bench-{os.getpid()}", DEFAULT_PORT) as cloud:
            outputs = deploy_pipeline(cloud.address, ROOT)
            api = Api(cloud.address, outputs)
            s3 = cloud.address.client("s3")
            # else S3's own event would start the job while the API does
            s3.put_bucket_notification_configuration(Bucket=outputs["UploadsBucket"], NotificationConfiguration={})
            for run in ("first", "second"):
                key = upload(cloud.address, outputs["UploadsBucket"], photos, {"quality": quality}, f"{run}.zip")
                job_id, seconds = started(api, outputs["UploadsBucket"], key, quality)
                figures[f"start_job_{'cold' if run == 'first' else 'warm'}_s"] = round(seconds, 2)
                looks, end = followed(api, job_id)
                figures |= {f"eta_{run}_{name}_percent": value for name, value in errors(looks, end).items()}
                print(
                    f"\r{run}: {datetime.fromtimestamp(end).isoformat(timespec='seconds')}, {end - looks[0].at:.0f} s"
                )
            bucket = outputs["ResultsBucket"]
            listed = s3.list_objects_v2(Bucket=bucket, Prefix=f"jobs/{job_id}/compressor/")
            (viewer,) = [item["Key"] for item in listed["Contents"] if item["Key"].endswith("viewer/index.html")]
            fetch(cloud.address, {"index.html": f"s3://{bucket}/{viewer}"}, Path(out) / "viewer")
        times = first_picture_seconds(Path(out) / "viewer" / "index.html", Path(out) / "profile")
    figures["viewer_first_picture_s"] = round(statistics.median(times), 2)
    figures["viewer_first_picture_slowest_s"] = round(max(times), 2)
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
