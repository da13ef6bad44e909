"""`python -m benchmarks.train_fold FOLD`: the 3dgs stage with other photos held out, every 8th from number FOLD.

Beside the delivered splat it leaves `scored.ply`, as it was before the finish on all photos: what may be compared with
the held-out ones.
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the stage's own entry point, before torch starts its threads

from benchmarks.stage_runs import SCORED
from splat.ply import write_ply
from stage.contract import run_stage
from trainer import dataset, stage
from trainer.run import TrainingRun


class KeptRun(TrainingRun):
    """A training run that keeps what was scored."""

    def finish(self) -> None:
        write_ply(self._context.folders.root / SCORED, self.trainer.splats.gaussians(self._scene.frame))
        super().finish()


if __name__ == "__main__":
    dataset.HOLD_OUT_FIRST = int(sys.argv[1])
    vars(stage)["TrainingRun"] = KeptRun
    raise SystemExit(run_stage("3dgs", stage.result_folder, stage.train_scene, os.environ))
