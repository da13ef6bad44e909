"""The command line of a stage's container: `python -m <stage> [--help | --version | train]`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from contract.stages import Stage
from stage import __version__
from stage.contract import Folders, Work, run_stage

USAGE = """\
usage: python -m {module} [--help | --version | train]

The entry point of a container: it reads and writes SageMaker's folders below
/opt/ml, or below $ML_ROOT (docs/contracts.md), and takes no file by name.
On one machine, run a stage by: python -m spaceport FILE --only {stage}
"""


def main(stage: str, result_folder: Callable[[Folders], Path], work: Work) -> int:
    """Print the version or the usage, or run the stage with the process's environment; returns the exit code.

    SageMaker starts a training container with the argument `train`, which makes no difference here. Any other
    argument prints the usage and returns 2, without touching anything.
    """
    given = sys.argv[1:]
    usage = USAGE.format(module=Stage(stage).spec.module, stage=stage)
    if "--version" in given:
        print(f"spaceport {stage} {__version__}")
        return 0
    if {"--help", "-h"} & set(given):
        print(usage, end="")
        return 0
    if given not in ([], ["train"]):
        print(usage, end="", file=sys.stderr)
        return 2
    return run_stage(stage, result_folder, work, os.environ)
