"""`python -m sfm`: the entry point of the container."""

from __future__ import annotations

import os

# idle threads of the native libraries would otherwise burn the cores that the next step needs, and our own threads
# take a photo or a pair each: one for a matrix product is enough
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

if __name__ == "__main__":  # the steps' processes read this file too, and need little of the stage
    from sfm.entry import work
    from stage.cli import main

    raise SystemExit(main("sfm", lambda folders: folders.processing_output, work))
