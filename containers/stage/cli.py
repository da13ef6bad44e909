"""The command line of a stage's container: `python -m <stage> [--version] [train]`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from stage import __version__
from stage.contract import Folders, Work, run_stage


def main(stage: str, result_folder: Callable[[Folders], Path], work: Work) -> int:
    """Print the version, or run the stage with the process's environment; returns the exit code.

    SageMaker starts a training container with the argument `train`; it says nothing that is not known already.
    """
    if "--version" in sys.argv[1:]:
        print(f"spaceport {stage} {__version__}")
        return 0
    return run_stage(stage, result_folder, work, os.environ)
