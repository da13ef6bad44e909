"""What the container does with an upload: it reconstructs photos, and prepares a scene that already has its cameras."""

from __future__ import annotations

from contract.stages import PipelineStep
from sfm.given import prepare_scene
from sfm.stage import reconstruct_scene
from stage.contract import StageContext
from stage.result import StageOutcome


def work(context: StageContext) -> StageOutcome:
    """See `reconstruct_scene` and `prepare_scene`."""
    if context.options.pipeline_step is PipelineStep.SCENE:
        return prepare_scene(context)
    return reconstruct_scene(context)
