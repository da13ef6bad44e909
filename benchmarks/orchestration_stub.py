"""A stand-in for every stage's container, which follows the stage contract (docs/contracts.md) but does no work.

All time that passes is therefore that of the orchestration. Imports only the standard library.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

INPUTS = {"sfm": "processing/input/upload", "3dgs": "input/data/scene", "compressor": "processing/input/model"}
OUTPUTS = ("processing/output", "model")  # of a processing and of a training job


def main() -> None:
    root = Path(os.environ["ML_ROOT"])
    (output,) = (root / name for name in OUTPUTS if (root / name).is_dir())
    stage = next(stage for stage, folder in INPUTS.items() if (root / folder).is_dir())
    about = {"version": 1, "stage": stage, "jobId": os.environ["JOB_ID"], "attempt": int(os.environ["ATTEMPT"])}
    result = {**about, "counts": {}, "metrics": {}, "timings": {}, "warnings": [], "files": []}
    partial = output / ".result.json.partial"
    partial.write_text(json.dumps(result), encoding="utf-8")
    partial.rename(output / "result.json")


if __name__ == "__main__":
    main()
