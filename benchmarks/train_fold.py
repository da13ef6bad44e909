"""`python -m benchmarks.train_fold FOLD`: run the 3dgs stage with every 8th photo from number FOLD on held out.

Beside the delivered splat it writes `scored.ply`, the splat before the final training on all photos, which can be
compared with the held-out ones.
"""

from __future__ import annotations

import os
import sys
from functools import partial

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the stage's own entry point, before torch starts its threads

from benchmarks.stage_runs import SCORED
from contract.stages import Stage
from splat.ply import write_ply
from stage.contract import StageContext, run_stage
from stage.result import StageOutcome
from trainer.stage import result_folder, train_scene


def work(context: StageContext) -> StageOutcome:
    """Train with the fold of the command line held out, and keep what was scored."""
    return train_scene(context, int(sys.argv[1]), partial(write_ply, context.folders.root / SCORED))


if __name__ == "__main__":
    raise SystemExit(run_stage(Stage.TRAINING, result_folder, work, os.environ))
