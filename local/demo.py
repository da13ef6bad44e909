"""Turn a ZIP of photos into a splat on this machine: `python -m local.demo [--zip PATH] [--quality NAME] [--out DIR]`.

Its last line is one line of JSON. Exit code 0 when the job succeeded, 1 when it did not, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from contract.events import StatusType
from contract.options import DEFAULT_QUALITY, Quality
from local.address import DEFAULT_PORT
from local.board import Board
from local.bundle import BundleError
from local.cloud import ROOT, Cloud, CloudError, attached_cloud
from local.customer import Mail, StatusEvent, fetch, subscribed, upload, wait_for_mail
from local.deploy import DeployError, deploy_pipeline
from local.display import printable, progress_display
from local.logs import function_logs
from local.sagemaker.engine import EngineError, build_images

BUILD = ROOT / ".build"
CUSTOMER = "customer@example.com"
JOB_SECONDS = 24 * 3600.0
MAIL_SECONDS = 30.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--zip", type=Path, help="your own photos; without it the project's sample is made and used")
    parser.add_argument("--quality", choices=[*Quality], default=DEFAULT_QUALITY)
    parser.add_argument("--images", action="store_true", help="run the stages in images built with a container engine")
    parser.add_argument("--out", type=Path, default=ROOT / "out")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        photos = arguments.zip or make_sample(BUILD)
        if not photos.is_file():
            parser.error(f"there is no file {photos}")
        # a folder of its own, so that two demos side by side do not meet
        folder = ROOT / ".local" / f"demo-{os.getpid()}"
        images = build_images(ROOT) if arguments.images else None
        with attached_cloud(folder, DEFAULT_PORT, images=images) as cloud:
            code = run(cloud, photos, arguments.quality, arguments.out)
        if code == 0:
            shutil.rmtree(folder)  # the logs of a success are of no use
        return code
    except (BundleError, CloudError, DeployError, EngineError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def run(cloud: Cloud, photos: Path, quality: str, out: Path) -> int:
    """Deploy, upload, follow, fetch, report. The exit code."""
    started = time.monotonic()
    outputs = deploy_pipeline(cloud.address, ROOT)
    print(f"local cloud at {cloud.address.url}, stack up in {time.monotonic() - started:.1f} s", flush=True)
    board = Board()
    with subscribed(cloud.address, outputs["StatusBusName"]) as subscription:
        options = {"email": CUSTOMER, "quality": quality}
        upload(cloud.address, outputs["UploadsBucket"], photos, options)
        print(f"uploaded {photos} ({photos.stat().st_size / 1e6:.1f} MB), quality {quality}", flush=True)
        with progress_display(board) as show:
            for event in subscription.follow(JOB_SECONDS):
                board.apply(event)
                show(event)
    assert board.last is not None  # follow ends with the job's last event or raises
    folder = out / photos.stem
    fetch(cloud.address, board.last.outputs, folder)
    mail = wait_for_mail(cloud.address, CUSTOMER, MAIL_SECONDS)
    if mail is not None:
        (folder / "mail.html").write_text(mail.page(cloud.address, board.last.outputs), encoding="utf-8")
    for line in closing_lines(board.last, folder, mail):
        print(line)
    if board.last.type != StatusType.JOB_SUCCEEDED:
        functions = cloud.folder / "functions.log"
        functions.write_text("\n".join(function_logs(cloud.address)), encoding="utf-8")
        print(f"logs: {functions}, {cloud.log}, {cloud.folder / 'jobs'}")
    print(json.dumps(summary(board, datetime.now(UTC))), flush=True)
    return 0 if board.last.type == StatusType.JOB_SUCCEEDED else 1


def closing_lines(last: StatusEvent, folder: Path, mail: Mail | None) -> list[str]:
    """What the customer has now, or what went wrong and what to do about it."""
    lines = [""]
    if last.error is not None:
        told = (f"{last.type}: {last.error['message']}", f"What to do: {last.error['hint']}")
        lines += map(printable, told)  # names of the customer's are in them
    shown = {
        "scene.sog": "splat",
        "viewer/index.html": "viewer",
        "report.html": "report",
        "preview.png": "picture",
        "orbit.webp": "orbit",
    }
    lines += [f"{label:<8} {folder / name}" for name, label in shown.items() if name in last.outputs]
    lines.append(
        f"{'mail':<8} {folder / 'mail.html'} ({printable(mail.subject)})" if mail else f"{'mail':<8} none came"
    )
    return lines


def summary(board: Board, now: datetime) -> dict[str, Any]:
    """The last line: jobId, status, seconds by stage, registered, photos, psnr (dB), bytes; error when it failed."""
    assert board.last is not None
    metrics = board.last.metrics
    measured = metrics.get("seconds") or board.seconds_by_stage(now)
    seconds = {stage: round(taken, 1) for stage, taken in measured.items()}
    result: dict[str, Any] = {
        "jobId": board.job_id,
        "status": board.last.type.removeprefix("Job ").lower(),
        "seconds": seconds,
        **{name: metrics.get(name) for name in ("registered", "photos", "psnr", "bytes")},
    }
    if board.last.error is not None:
        result["error"] = board.last.error["code"]
    return result


def make_sample(build: Path) -> Path:
    """The sample's ZIP, made once for each version of its code. Raises CalledProcessError."""
    digest = hashlib.sha256()
    for source in sorted((ROOT / "sample").glob("*.py")):
        digest.update(source.read_bytes())
    folder = build / f"sample-{digest.hexdigest()[:12]}"
    if not folder.exists():
        print("making the sample's photos", flush=True)
        build.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="sample-", dir=build) as partial:
            subprocess.run([sys.executable, "-m", "sample", f"{partial}/made"], cwd=ROOT, check=True)
            Path(partial, "made").rename(folder)
    return folder / "sample.zip"


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
