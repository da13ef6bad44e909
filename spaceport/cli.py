"""The command line: photos to a scene on this machine, the local cloud, and a look at the machine itself."""

from __future__ import annotations

import argparse
import json
import sys
import webbrowser
from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory

from contract.blocks import MAX_BLOCKS, MIN_BLOCK_PHOTOS, PHOTOS_A_BLOCK, UNDIVIDED_BELOW
from contract.branding import MAX_COMPANY, Company
from contract.options import DEFAULT_QUALITY, TEXTS, WHOLE_NUMBERS, Quality
from contract.stages import PipelineStep, Stage
from domain.errors import JobError, RejectedUpload, one_line
from domain.job import JobOptions, parse_options
from domain.pace import in_words
from local.display import printable, stop_in_order
from local.folders import SHOWN, free_folder
from local.sagemaker.container import project_images
from spaceport.estimate import PaceFile
from spaceport.run import Outcome, Plan, Run, estimate_of
from spaceport.source import Source, read_source

OK, FAILED, WRONG_USE, STOPPED = 0, 1, 2, 130
EPILOG = """\
commands:
  spaceport cloud up|down   start or stop the pipeline on an embedded cloud
  spaceport doctor          check what this machine has and lacks

Progress goes to standard error; standard output is one line of JSON. Exit code:
0 succeeded, 1 failed, 2 wrong use, 130 stopped by Ctrl-C. Earlier results stay:
the next run of the same name gets a folder of its own.
"""


def main(arguments: Sequence[str], root: Path) -> int:
    """Run one command; returns the exit code. `root`: the folder that holds the project's parts."""
    if arguments[:1] == ["cloud"]:
        return cloud(arguments[1:], root)
    stop_in_order()
    return scene(parser().parse_args(arguments), root)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="spaceport",
        description="Turn drone photos into a compressed 3D Gaussian splat, on this machine.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("input", type=Path, help="a ZIP or folder of photos, a film, a COLMAP scene, or a splat (.ply)")
    made.add_argument("-q", "--quality", choices=[*Quality], default=DEFAULT_QUALITY, help="default: %(default)s")
    made.add_argument("-o", "--out", type=Path, help="folder of the result; default: out/<name of the input>")
    made.add_argument("--only", choices=[*Stage], type=Stage, help="run this stage alone")
    made.add_argument(
        "--blocks", type=int, choices=range(1, MAX_BLOCKS + 1), metavar="N",
        help=f"number of blocks to train in, 1 to {MAX_BLOCKS}, each of at least {MIN_BLOCK_PHOTOS} photos; "
        f"default: 1 below {UNDIVIDED_BELOW} photos, otherwise one per {PHOTOS_A_BLOCK}",
    )  # fmt: skip
    made.add_argument("--open", action="store_true", help="open the viewer in the browser at the end")
    for name, text in TEXTS.items():
        made.add_argument(f"--{name}", metavar="TEXT", help=text.meaning)
    made.add_argument("--company", metavar="TEXT", default="", help="company on the quality report")
    made.add_argument("--company-address", metavar="TEXT", default="", help="company address on the quality report")
    made.add_argument("--logo", type=Path, metavar="FILE", help="logo on the quality report, PNG or JPEG, at most 1 MB")
    for name, number in WHOLE_NUMBERS.items():
        flag = f"--{name.replace('_', '-')}"
        made.add_argument(flag, type=int, metavar="N", help=f"{number.low:,} to {number.high:,}; default: by quality")
    made.add_argument("--version", action="version", version=f"spaceport {_version()}")
    return made


def scene(given: argparse.Namespace, root: Path) -> int:
    try:
        source = read_source(given.input, given.only)
        if given.blocks is not None and source.step is PipelineStep.TRAINING and not given.only:
            source = replace(source, step=PipelineStep.SCENE)
        options = _options(given, source)
    except FileNotFoundError:
        print(f"spaceport: there is no {printable(str(given.input))}", file=sys.stderr)
        return WRONG_USE
    except OSError as fault:
        unreadable = printable(str(fault.filename or given.input))
        print(f"spaceport: {unreadable} cannot be read: {fault.strerror}", file=sys.stderr)
        return WRONG_USE
    except RejectedUpload as rejected:
        _explain(rejected.error)
        print(json.dumps({"jobId": None, "status": "rejected", "error": rejected.error.code}), flush=True)
        return FAILED
    stages = (given.only,) if given.only else source.step.stages
    if given.blocks is not None and Stage.SFM not in stages:
        print(
            "spaceport: --blocks needs photos or a COLMAP scene: the flight is divided before training", file=sys.stderr
        )
        return WRONG_USE
    if given.logo is not None:
        try:
            given.logo.open("rb").close()
        except OSError as fault:
            print(f"spaceport: {printable(str(given.logo))} cannot be read: {fault.strerror}", file=sys.stderr)
            return WRONG_USE
    company = Company(*(one_line(text, MAX_COMPANY) for text in (given.company, given.company_address)))
    out = given.out or Path("out") / source.name
    if out.name in ("", ".."):  # `.` has no name and `..` not its own, but the folders beside it are named after it
        out = out.resolve()
    if not out.name:
        print(f"spaceport: {out} cannot be the folder of the result", file=sys.stderr)
        return WRONG_USE
    try:
        out = _usable(out)
    except OSError as fault:
        print(f"spaceport: nothing can be written at {printable(str(out))}: {fault.strerror}", file=sys.stderr)
        return WRONG_USE
    plan = Plan(source, stages, options, out, given.blocks, company, given.logo)
    paces = PaceFile.of_user()
    print(_opening(plan, paces), file=sys.stderr, flush=True)
    outcome = Run(project_images(root), paces, sys.stderr).go(plan)
    _close(outcome)
    print(json.dumps(outcome.summary), flush=True)
    if given.open and outcome.folder and not outcome.error:
        viewer = outcome.folder / "viewer" / "index.html"
        if viewer.is_file():
            webbrowser.open(viewer.resolve().as_uri())
    return STOPPED if outcome.stopped else FAILED if outcome.error else OK


def cloud(arguments: Sequence[str], root: Path) -> int:
    made = argparse.ArgumentParser(prog="spaceport cloud", description="The whole pipeline on an embedded cloud.")
    made.add_argument("what", choices=["up", "down"])
    what = made.parse_args(arguments).what
    if not (root / "template.yaml").is_file():
        print("spaceport: the local cloud needs a checkout of the project; run it there", file=sys.stderr)
        return WRONG_USE
    from local import down, up  # the local cloud's own packages are needed for this command alone

    return up.main() if what == "up" else down.main()


def _usable(out: Path) -> Path:
    """`out`, or a folder beside it if it holds anything. Raises OSError if no folder can be made there."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{out.name[:50]}-", dir=out.parent):
        return free_folder(out)


def _options(given: argparse.Namespace, source: Source) -> JobOptions:
    asked = {name: getattr(given, name) for name in (*TEXTS, *WHOLE_NUMBERS)}
    set_ones = {name: value for name, value in asked.items() if value not in (None, "")}
    return parse_options({"quality": given.quality, "pipelineStep": source.step, **set_ones})


def _opening(plan: Plan, paces: PaceFile) -> str:
    source = plan.source
    holds = f"{source.photos} photos, " if source.photos else ""
    left = in_words(*estimate_of(plan, paces).left(0.0))
    return (
        f"{printable(source.name)}: {holds}{source.bytes / 1e6:.1f} MB, quality {plan.options.quality}\n"
        f"time    {left} on this machine\n"
        f"result  {printable(str(plan.out))}"
    )


def _close(outcome: Outcome) -> None:
    if outcome.error:
        _explain(outcome.error)
        if outcome.folder:
            print(f"logs and finished stages: {printable(str(outcome.folder))}", file=sys.stderr)
        return
    assert outcome.folder is not None
    shown = [(label, outcome.folder / name) for name, label in SHOWN.items() if (outcome.folder / name).is_file()]
    for label, path in shown or [("result", outcome.folder)]:
        print(f"{label:<8} {printable(str(path))}", file=sys.stderr)


def _explain(error: JobError) -> None:
    print(f"{error.code}: {printable(error.message)}\nWhat to do: {printable(error.hint)}", file=sys.stderr)


def _version() -> str:
    try:
        return metadata.version("spaceport")
    except metadata.PackageNotFoundError:
        return "(checkout)"
