"""The environment variables of a container's SageMaker job, typed (docs/contracts.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contract.blocks import BLOCK_VARIABLE, BLOCKS_VARIABLE, MAX_BLOCKS, BlockName, parse_block
from contract.branding import Company
from contract.options import DEFAULT_QUALITY, TEXTS, WHOLE_NUMBERS, Quality, TextOptions, WholeNumberOptions
from contract.stages import PIPELINE_STEP_VARIABLE, PipelineStep
from stage.errors import ErrorCode, StageError


@dataclass(frozen=True)
class Options(WholeNumberOptions, TextOptions):
    """The customer's options, and what the pipeline adds to them.

    `gaussians_divisor`: the cap on Gaussians is divided by it when a run that ran out of memory is repeated.
    `blocks`: the number of blocks that a flight is trained in; None derives it from the number of photos.
    `pipeline_step`: what the upload holds when the first stage reads it.
    `company`: the company named in the quality report.
    """

    quality: Quality = DEFAULT_QUALITY
    training_seconds: int | None = None
    gaussians_divisor: int = 1
    blocks: int | None = None
    pipeline_step: PipelineStep = PipelineStep.FULL
    company: Company = field(default_factory=Company)

    @property
    def scene_name(self) -> str:
        return self.name or "scene"


@dataclass(frozen=True)
class ExpectedAccelerator:
    """The accelerator that the image was built for: `kind` is cuda, cpu, or None outside an image; `architectures` are
    the CUDA architectures that its kernels were compiled for, in the form of TORCH_CUDA_ARCH_LIST."""

    kind: str | None = None
    architectures: str = ""


@dataclass(frozen=True)
class StageEnvironment:
    """The job this stage run belongs to, the part of a large flight that it trains (None: the whole), the bus it
    reports to, and the root of SageMaker's folders."""

    job_id: str
    attempt: int
    block: BlockName | None
    status_bus: str | None
    ml_root: Path
    options: Options
    accelerator: ExpectedAccelerator

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> StageEnvironment:
        """Parse the variables of docs/contracts.md. Raises StageError(INVALID_OPTION) naming the variable."""
        return cls(
            job_id=environ.get("JOB_ID", "local"),
            attempt=_positive(environ, "ATTEMPT") or 1,
            block=_block(environ),
            status_bus=environ.get("STATUS_BUS") or None,
            ml_root=Path(environ.get("ML_ROOT", "/opt/ml")),
            options=Options(
                quality=_quality(environ),
                **_asked_for(environ),
                gaussians_divisor=_positive(environ, "GAUSSIANS_DIVISOR") or 1,
                training_seconds=_positive(environ, "TRAINING_SECONDS"),
                blocks=_whole(environ, BLOCKS_VARIABLE, 1, MAX_BLOCKS),
                pipeline_step=_pipeline_step(environ),
                company=Company.read(environ),
            ),
            accelerator=ExpectedAccelerator(
                kind=environ.get("EXPECTED_ACCELERATOR") or None, architectures=environ.get("CUDA_ARCHITECTURES", "")
            ),
        )


def _asked_for(environ: Mapping[str, str]) -> dict[str, Any]:
    """The customer's options by name. A stage also accepts values below the minimum that the API enforces."""
    numbers = {name: _whole(environ, of.variable, min(of.low, 1), of.high) for name, of in WHOLE_NUMBERS.items()}
    return {**numbers, **{name: environ.get(text.variable) or None for name, text in TEXTS.items()}}


def _quality(environ: Mapping[str, str]) -> Quality:
    text = environ.get("QUALITY", DEFAULT_QUALITY)
    try:
        return Quality(text)
    except ValueError:
        names = ", ".join(Quality)
        raise StageError(ErrorCode.INVALID_OPTION, f"QUALITY must be one of {names}, not {text!r}") from None


def _pipeline_step(environ: Mapping[str, str]) -> PipelineStep:
    text = environ.get(PIPELINE_STEP_VARIABLE) or PipelineStep.FULL
    try:
        return PipelineStep(text)
    except ValueError:
        names = ", ".join(PipelineStep)
        facts = f"{PIPELINE_STEP_VARIABLE} must be one of {names}, not {text!r}"
        raise StageError(ErrorCode.INVALID_OPTION, facts) from None


def _block(environ: Mapping[str, str]) -> BlockName | None:
    try:
        return parse_block(environ.get(BLOCK_VARIABLE, ""))
    except ValueError as error:
        raise StageError(ErrorCode.INVALID_OPTION, str(error)) from None


def _positive(environ: Mapping[str, str], name: str) -> int | None:
    return _whole(environ, name, 1, 10**9)


def _whole(environ: Mapping[str, str], name: str, low: int, high: int) -> int | None:
    text = environ.get(name, "")
    if not text:
        return None
    try:
        value = int(text)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise StageError(ErrorCode.INVALID_OPTION, f"{name} must be a whole number from {low} to {high}, not {text!r}")
    return value
