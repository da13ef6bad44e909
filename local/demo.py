"""Turn photos into a splat on this machine, through the whole pipeline: `make demo [ZIP=photos.zip] [QUALITY=preview]`.

The last line of the output is JSON. Exit code 0: the job succeeded; 1: it did not; 2: wrong usage; 130: Ctrl-C.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from contract.blocks import MAX_BLOCKS
from contract.branding import BRANDING
from contract.codes import FAILURES
from contract.events import StatusType
from contract.options import DEFAULT_QUALITY, Quality
from local.address import Address
from local.board import Board
from local.bundle import BundleError
from local.cloud import ROOT, Cloud, CloudError, attached_cloud
from local.customer import Mail, StatusEvent, fetch, subscribed, upload, wait_for_mail
from local.deploy import DeployError, deploy_pipeline
from local.display import printable, progress_display, stop_in_order
from local.folders import SHOWN, code_of, free_folder, pack
from local.logs import function_logs
from local.ports import DEFAULT_PORT
from local.sagemaker.engine import EngineError, build_images
from local.sample_photos import BUILD, make_sample
from local.template import load_template

CUSTOMER = "customer@example.com"
JOB_SECONDS = 24 * 3600.0
MAIL_SECONDS = 30.0
FULL_BYTES = 8 * 10**6  # left on the disk: less than a function unpacks
LOGO_KEY = f"{BRANDING}/logo"
USAGE = (
    "usage: make demo [ZIP=photos.zip or a folder] [QUALITY=preview, standard or high] [BLOCKS=4] [IMAGES=1]"
    " [COMPANY=name] [LOGO=logo.png]"
)


class Parser(argparse.ArgumentParser):
    """Explains wrong usage with the names that the user typed, those of make's variables."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{message}\n{USAGE}\n")


def main() -> int:
    arguments = parse(sys.argv[1:])
    stop_in_order()
    # a separate folder, so that two simultaneous demos do not collide
    folder = ROOT / ".local" / f"demo-{os.getpid()}"
    try:
        photos = arguments.zip or make_sample(BUILD)
        images = build_images(ROOT) if arguments.images else None
        with attached_cloud(
            folder, DEFAULT_PORT, images=images, quotas=one_of_each(), blocks=arguments.blocks
        ) as cloud:
            if photos.is_dir():
                photos = packed(photos, cloud.folder)
            outputs = deploy_for(cloud.address, arguments.company, arguments.logo)
            code = run(cloud, outputs, photos, arguments.quality, arguments.out)
    except (BundleError, CloudError, DeployError, EngineError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        code = 1
    except OSError as fault:
        reason = code_of(fault)
        print(f"{reason}: {fault}\n{FAILURES[reason].hint}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        code = 130
    tidy(folder, keep_logs=code == 1)
    return code


def parse(given: list[str]) -> argparse.Namespace:
    """Exits with code 2 and the usage if the input or the quality is invalid."""
    parser = Parser(prog="make demo", add_help=False)
    parser.add_argument("--zip", type=Path, help="your own photos; without it the project's sample is made and used")
    parser.add_argument("--quality", default=DEFAULT_QUALITY)
    parser.add_argument("--blocks", help="number of blocks to train the flight in; default: by the number of photos")
    parser.add_argument("--images", action="store_true", help="run the stages in images built with a container engine")
    parser.add_argument("--company", default="", help="the company on the quality report")
    parser.add_argument("--logo", type=Path, help="logo on the quality report, PNG or JPEG")
    parser.add_argument("--out", type=Path, default=ROOT / "out")
    arguments = parser.parse_args(given)
    if arguments.quality not in set(Quality):
        parser.error(f"QUALITY is {arguments.quality!r}, and must be one of {', '.join(Quality)}")
    if arguments.blocks is not None:
        if not (arguments.blocks.isascii() and arguments.blocks.isdigit() and 1 <= int(arguments.blocks) <= MAX_BLOCKS):
            parser.error(f"BLOCKS is {arguments.blocks!r}, and must be a number from 1 to {MAX_BLOCKS}")
        arguments.blocks = int(arguments.blocks)
    for path, folders in ((arguments.zip, True), (arguments.logo, False)):
        if path is not None and (fault := unreadable(path, folders=folders)):
            parser.error(fault)
    return arguments


def unreadable(path: Path, *, folders: bool) -> str | None:
    """Why there is no such file to read, or folder if `folders` are accepted; None if there is one."""
    wanted = "file or folder" if folders else "file"
    try:
        str(path).encode()
        if path.is_file():
            path.open("rb").close()
        elif not (folders and path.is_dir()):
            return f"there is no {wanted} {str(path)!r}"
    except UnicodeEncodeError:
        return f"the name {str(path)!r} is not UTF-8; rename the {wanted}"
    except OSError as fault:
        return f"{str(path)!r} cannot be read: {fault.strerror}"
    return None


def one_of_each() -> dict[str, int]:
    """Machines for training, by type: the blocks of a large flight take turns, since all of them are this machine."""
    types = load_template(ROOT / "template.yaml")["Parameters"]["TrainingInstanceTypes"]["Default"]
    return dict.fromkeys(re.split("[,+]", types), 1)


def packed(photos: Path, folder: Path) -> Path:
    """Pack a folder of photos into a ZIP of the same name, as the page does. Raises OSError."""
    archive = folder / f"{photos.resolve().name}.zip"
    pack(photos, archive)
    return archive


def deploy_for(address: Address, company: str = "", logo: Path | None = None) -> dict[str, str]:
    """Deploy with the company and its logo on the quality report; the stack's outputs."""
    started = time.monotonic()
    parameters = {"CompanyName": company, "CompanyLogo": LOGO_KEY if logo else ""}
    outputs = deploy_pipeline(address, ROOT, parameters)
    if logo is not None:
        address.client("s3").put_object(Bucket=outputs["ResultsBucket"], Key=LOGO_KEY, Body=logo.read_bytes())
    print(f"local cloud at {address.url}, stack up in {time.monotonic() - started:.1f} s", flush=True)
    return outputs


def run(cloud: Cloud, outputs: Mapping[str, str], photos: Path, quality: str, out: Path) -> int:
    """Upload, follow, fetch, report. The exit code. `outputs`: the stack's."""
    board = Board()
    with subscribed(cloud.address, outputs["StatusBusName"]) as subscription:
        options = {"email": CUSTOMER, "quality": quality}
        upload(cloud.address, outputs["UploadsBucket"], photos, options)
        print(
            f"uploaded {printable(photos.name)} ({photos.stat().st_size / 1e6:.1f} MB), quality {quality}", flush=True
        )
        with progress_display(board) as show:
            for event in subscription.follow(JOB_SECONDS, lambda: check_room(cloud.folder)):
                board.apply(event)
                show(event)
    assert board.last is not None  # follow ends with the job's final event, or raises
    succeeded = board.last.type == StatusType.JOB_SUCCEEDED
    mail = wait_for_mail(cloud.address, CUSTOMER, MAIL_SECONDS)
    folder = deliver(cloud, board.last, out / (photos.stem if succeeded else f"{photos.stem}.failed"), mail)
    for line in closing_lines(board.last, folder, mail):
        print(line)
    if not succeeded:
        functions = cloud.folder / "functions.log"
        functions.write_text("\n".join(function_logs(cloud.address)), encoding="utf-8")
        print(f"logs     {cloud.folder}")
    print(json.dumps(summary(board, datetime.now(UTC))), flush=True)
    return 0 if succeeded else 1


def check_room(folder: Path) -> None:
    """Raises OSError(ENOSPC) if the cloud's disk is full: its functions would then fail to start without a message."""
    if shutil.disk_usage(folder).free < FULL_BYTES:
        raise OSError(errno.ENOSPC, "No space left on device", str(folder))


def deliver(cloud: Cloud, last: StatusEvent, wanted: Path, mail: Mail | None) -> Path:
    """Copy the job's results and its mail to `wanted` or a folder beside it. If nothing can be written there, copy them
    to a folder below .local, so that they are not lost. Raises OSError only if that fails, too."""
    for place in (wanted, ROOT / ".local" / "delivered" / wanted.name):
        try:
            folder = free_folder(place)
            fetch(cloud.address, last.outputs, folder)
            if mail is not None:
                (folder / "mail.html").write_text(mail.page(cloud.address, last.outputs), encoding="utf-8")
        except OSError as fault:
            last_fault = fault
            print(f"the result cannot be written to {place.parent}: {fault.strerror}", file=sys.stderr)
        else:
            return folder
    raise last_fault


def closing_lines(last: StatusEvent, folder: Path, mail: Mail | None) -> list[str]:
    """The list of delivered files, or what went wrong and what to do about it."""
    lines = [""]
    if last.error is not None:
        told = (f"{last.type}: {last.error['message']}", f"What to do: {last.error['hint']}")
        lines += map(printable, told)  # they contain names from the customer
    lines += [f"{label:<8} {folder / name}" for name, label in SHOWN.items() if name in last.outputs]
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


def tidy(folder: Path, keep_logs: bool) -> None:
    """Remove what a run left in its cloud's folder: photos, models, scratch; after a failure the logs stay. Files that
    containers wrote as root stay, too, and are reported."""
    if not keep_logs:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        for path in sorted(folder.rglob("*"), reverse=True):
            with suppress(OSError):
                if path.is_dir() and not path.is_symlink():
                    if not any(path.iterdir()):
                        path.rmdir()
                elif path.suffix != ".log":
                    path.unlink(missing_ok=True)
    if any(path.is_file() and not (keep_logs and path.suffix == ".log") for path in folder.rglob("*")):
        print(f"files in {folder} could not be removed: they belong to another user", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
