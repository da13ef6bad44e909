"""Make the survey products (containers/products) in a separate process, so that an error does not lose the scene."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contract.branding import BRANDING, LOGO, LOGO_UNUSED
from contract.warning_codes import WarningCode
from splat.files import read_document
from stage.contract import StageContext
from stage.result import Warning

CAMERAS = "cameras"  # the input with structure from motion's output, which the products are also made from
FOLDER = "products"
MAX_SECONDS = 1500  # the stage may take an hour in total
_POLL_SECONDS = 0.2
_KILLED = -9  # SIGKILL, which the kernel sends when memory runs out
_LINE = re.compile(r"(0\.\d+|1\.0+) (.+)")  # `<share> <step>`


def make_products(
    context: StageContext, model: Path, progress: Callable[[float, str], None]
) -> tuple[dict[str, Any] | None, list[Warning]]:
    """Write `products/` into the stage's output; returns the content of products.json, and warnings of missing ones.

    Without the photos there are no products and no warning. Raises StageError(INTERRUPTED).
    """
    cameras = context.folders.processing_input(CAMERAS)
    if not photo_folder(context).is_dir():
        return None, []
    staging, goal = context.scratch / FOLDER, context.folders.processing_output / FOLDER
    found: dict[str, Any] | None = None
    missing: dict[str, str]
    try:
        problem = _run(context, [str(model), str(cameras), str(staging)], progress)
        if problem is None:
            figures = json.loads((staging / "products.json").read_text(encoding="utf-8"))
            missing = dict(figures["missing"])
            shutil.move(staging, goal)
            found = figures
    except (OSError, ValueError, KeyError, TypeError):  # for example a full disk
        traceback.print_exc(file=sys.stderr)
        shutil.rmtree(goal, ignore_errors=True)  # an incomplete set of files is not delivered
        problem = "they could not be written"
    if problem is not None:
        missing = {"survey products": problem}
    warnings = []
    if missing:
        facts = "; ".join(f"{name}: {reason}" for name, reason in missing.items())
        warnings.append(Warning(WarningCode.PRODUCTS_MISSING, facts, list(missing)))
    if found and LOGO_UNUSED in found:
        warnings.append(Warning(WarningCode.LOGO_UNUSED, f"{context.options.company.logo}: {found[LOGO_UNUSED]}"))
    return found, warnings


def photo_folder(context: StageContext) -> Path:
    """The folder of the undistorted photos, if the stage received them."""
    return context.folders.processing_input(CAMERAS) / "images"


def survey_figures(context: StageContext) -> dict[str, Any] | None:
    """The content of structure from motion's survey.json; None if the stage did not receive it."""
    found: dict[str, Any] | None = _passed_on(context, "survey.json")
    return found


def photo_rows(context: StageContext) -> list[dict[str, Any]] | None:
    """The content of structure from motion's photos.json; None if the stage did not receive it."""
    found: list[dict[str, Any]] | None = _passed_on(context, "photos.json")
    return found


def _passed_on(context: StageContext, name: str) -> Any:
    try:
        return read_document(context.folders.processing_input(CAMERAS) / name)
    except (OSError, ValueError):
        return None


def _run(context: StageContext, folders: list[str], progress: Callable[[float, str], None]) -> str | None:
    """Run `python -m products`; returns why it failed, for the customer, or None."""
    options = context.options
    command = [sys.executable, "-m", "products", *folders, "--quality", options.quality]
    command += [f"--{name}={text}" for name, text in _letterhead(context).items()]
    if options.gsd_millimetres is not None:
        command += ["--cell", str(options.gsd_millimetres / 1000)]
    if options.epsg is not None:
        command += ["--epsg", str(options.epsg)]
    log = context.scratch / "products.log"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    began = time.monotonic()
    with log.open("w+", encoding="utf-8") as out, subprocess.Popen(command, stdout=out, env=environment) as process:
        try:
            while process.poll() is None:
                context.check_stop()
                if time.monotonic() - began > MAX_SECONDS:
                    return f"they took more than {MAX_SECONDS // 60} minutes: choose a larger gsdMillimetres"
                _pass_on(log, progress)
                time.sleep(_POLL_SECONDS)
        finally:
            if process.poll() is None:
                process.kill()
    if process.returncode == _KILLED:
        return "memory ran out: choose a larger gsdMillimetres"
    return f"an internal error ({process.returncode})" if process.returncode else None


def _letterhead(context: StageContext) -> dict[str, str]:
    """The texts and the logo of the quality report, by option of `python -m products`."""
    options, company = context.options, context.options.company
    folder = context.folders.processing_input(BRANDING)
    found = {
        "name": options.scene_name,
        "project": options.project,
        "customer": options.customer,
        "site": options.site,
        "company": company.name,
        "address": company.address,
        "logo": str(next(folder.glob("*"), folder / LOGO)) if company.logo else None,
    }
    return {name: text for name, text in found.items() if text}


def _pass_on(log: Path, progress: Callable[[float, str], None]) -> None:
    """Report the last complete line `<share> <step>`. Libraries may write other lines."""
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
    line = next(filter(None, map(_LINE.fullmatch, reversed(lines))), None)
    if line:
        progress(float(line[1]), line[2])
