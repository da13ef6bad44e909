"""`python -m sfm`: the entry point of the container."""

from __future__ import annotations

import os

# idle threads of the native libraries would otherwise use up the cores that the next step needs; our own threads each
# process one photo or pair, so one thread is enough for a matrix product
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

if __name__ == "__main__":  # the steps' processes also run this file, and need little of the stage
    from sfm.entry import work
    from stage.cli import main

    raise SystemExit(main("sfm", lambda folders: folders.processing_output, work))
