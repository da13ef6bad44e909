"""The stages of the pipeline: names, order, SageMaker kinds, limits, job names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Literal, NamedTuple

from contract.blocks import COARSE, MAX_BLOCKS, BlockName

MAX_JOB_NAME = 63  # CreateProcessingJob and CreateTrainingJob
SPOT_WAIT_SECONDS = 3600  # how long a Spot training job may wait for capacity on top of its runtime

Kind = Literal["Processing", "Training"]


@dataclass(frozen=True)
class StageSpec:
    """What the parts of the pipeline must agree on about one stage.

    `key`: its name in the state machine's data and the jobs table, since a JSONPath name may not begin with a digit;
    `title`: its name for customers; `module`: the container's Python package; `channel`: the folder its input is
    mounted at; `max_runtime`: seconds of compute a run may take; `volume_gb`: its disk; `progress_share`: its share of
    a full job's time, measured on the project's sample; `halves`: after OUT_OF_MEMORY it can be tried with half of the
    Gaussians; `kept`: its output is what customers get and does not expire; `leaves_evidence`: when it refuses its
    input it shows why, in EVIDENCE_FOLDER.
    """

    key: str
    title: str
    kind: Kind
    module: str
    channel: str
    max_runtime: int
    volume_gb: int
    progress_share: float
    halves: bool = False
    kept: bool = False
    leaves_evidence: bool = False


class Stage(StrEnum):
    """In the order of the pipeline, named as its container, its image repository and in every message."""

    SFM = "sfm"
    TRAINING = "3dgs"
    COMPRESSOR = "compressor"

    @property
    def spec(self) -> StageSpec:
        return STAGES[self]

    @property
    def ordinal(self) -> int:
        """1 for the first stage."""
        return list(Stage).index(self) + 1

    @property
    def kind(self) -> Kind:
        """The kind of its SageMaker jobs: stages of one kind share the quotas of instances."""
        return self.spec.kind

    @property
    def of_its_kind(self) -> list[Stage]:
        return [other for other in Stage if other.kind == self.kind]

    @property
    def state_key(self) -> str:
        return self.spec.key

    def channel_folder(self, channel: str) -> PurePosixPath:
        """Where the stage finds an input by its name, below /opt/ml."""
        return PurePosixPath("input/data" if self.kind == "Training" else "processing/input") / channel

    @property
    def output_folder(self) -> PurePosixPath:
        """Where the stage leaves its output, below /opt/ml."""
        return PurePosixPath("model" if self.kind == "Training" else "processing/output")


# where a stage that refuses its input leaves what the customer is to see of it, below /opt/ml
EVIDENCE_FOLDER = PurePosixPath("processing/evidence")

STAGES = {
    Stage.SFM: StageSpec(
        key="sfm",
        title="Cameras",
        kind="Processing",
        module="sfm",
        channel="upload",
        max_runtime=3 * 3600,
        volume_gb=200,
        progress_share=0.25,
        leaves_evidence=True,
    ),
    Stage.TRAINING: StageSpec(
        key="training",
        title="Training",
        kind="Training",
        module="trainer",
        channel="scene",
        max_runtime=6 * 3600,
        volume_gb=100,
        progress_share=0.65,
        halves=True,
    ),
    Stage.COMPRESSOR: StageSpec(
        key="compressor",
        title="Compression",
        kind="Processing",
        module="compressor",
        channel="model",
        max_runtime=3600,
        volume_gb=50,
        progress_share=0.1,
        kept=True,
    ),
}


PIPELINE_STEP_VARIABLE = "PIPELINE_STEP"  # of structure from motion's container; `full` without it


class PipelineStep(StrEnum):
    """Where a job starts: at the photos, at structure from motion's output, or at a trained splat. A scene is
    structure from motion's output, too, but so large that it is first cut into blocks (contract/blocks.py): the service
    chooses that for one of UNDIVIDED_BELOW photos or more.
    """

    FULL = "full"
    SCENE = "scene"
    TRAINING = "3dgs"
    COMPRESSION = "compression"

    @property
    def first(self) -> Stage:
        """The stage that reads the upload."""
        return _FIRST[self]

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages of a job that starts here."""
        return tuple(Stage)[self.first.ordinal - 1 :]

    @classmethod
    def for_stage(cls, stage: Stage) -> PipelineStep:
        """The latest place to start from which a job still runs `stage`."""
        return max((step for step in cls if stage in step.stages), key=lambda step: step.first.ordinal)


_FIRST = {
    PipelineStep.FULL: Stage.SFM,
    PipelineStep.SCENE: Stage.SFM,
    PipelineStep.TRAINING: Stage.TRAINING,
    PipelineStep.COMPRESSION: Stage.COMPRESSOR,
}


class JobName(NamedTuple):
    """What the name of a SageMaker job consists of: `<jobId>-<stage>-<attempt>`, or `<jobId>-3dgs-b07-<attempt>` where
    it trains a block of a large flight, `<jobId>-3dgs-coarse-<attempt>` where it trains the coarse model of all.
    """

    job_id: str
    stage: Stage
    attempt: int
    block: BlockName | None = None

    def __str__(self) -> str:
        """Raises ValueError past 63 characters, rather than cutting it silently."""
        block = "" if self.block is None else f"-{block_label(self.block)}"
        name = f"{self.job_id}-{self.stage}{block}-{self.attempt}"
        if len(name) > MAX_JOB_NAME:
            raise ValueError(f"SageMaker job name {name!r} is longer than {MAX_JOB_NAME} characters")
        return name

    @classmethod
    def parse(cls, text: str) -> JobName | None:
        """None for a job that is not ours."""
        match = _JOB_NAME.fullmatch(text)
        if match is None:
            return None
        block = None if match["block"] is None else block_labelled(match["block"])
        if isinstance(block, int) and block > MAX_BLOCKS:
            return None
        return cls(match["job"], Stage(match["stage"]), int(match["attempt"]), block)


def block_label(block: BlockName) -> str:
    """In names: `b07` for block 7, `coarse` for the coarse model."""
    return COARSE if block == COARSE else f"b{block:02d}"


def block_labelled(label: str) -> BlockName:
    """The block with a label that `block_label` makes. Raises ValueError for any other text."""
    block: BlockName = COARSE if label == COARSE else int(label.removeprefix("b"))
    if block_label(block) != label:
        raise ValueError(f"{label!r} is no label of a block")
    return block


_JOB_NAME = re.compile(
    rf"(?P<job>.+)-(?P<stage>{'|'.join(map(re.escape, Stage))})"
    rf"(?:(?<=-{Stage.TRAINING})-(?P<block>{COARSE}|b(?:0[1-9]|[1-9][0-9])))?-(?P<attempt>[1-9][0-9]*)"
)
