"""`python -m benchmarks.train_fold FOLD`: the 3dgs stage with other photos held out, every 8th from number FOLD."""

from __future__ import annotations

import os
import sys

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the stage's own entry point, before torch starts its threads

from stage.cli import main
from trainer import dataset
from trainer.stage import result_folder, train_scene

if __name__ == "__main__":
    dataset.HOLD_OUT_FIRST = int(sys.argv[1])
    raise SystemExit(main("3dgs", result_folder, train_scene))
