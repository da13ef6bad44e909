"""`python -m sfm`: the entry point of the container."""

from __future__ import annotations

import os

# idle OpenMP threads of the native libraries would otherwise burn the cores that the next step needs
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from sfm.stage import reconstruct_scene
from stage.cli import main

if __name__ == "__main__":
    raise SystemExit(main("sfm", lambda folders: folders.processing_output, reconstruct_scene))
