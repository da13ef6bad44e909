"""`python -m trainer`: the entry point of the container."""

from __future__ import annotations

import os

# set before torch and numba start their OpenMP threads: one library's threads must not spin while the other's work
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from stage.cli import main
from trainer.stage import result_folder, train_scene

if __name__ == "__main__":
    raise SystemExit(main("3dgs", result_folder, train_scene))
