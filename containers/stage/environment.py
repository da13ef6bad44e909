"""What `run_stage` tells a container: the environment variables of its SageMaker job, typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stage.errors import ErrorCode, StageError

QUALITIES = ("preview", "standard", "high")


@dataclass(frozen=True)
class Options:
    """The customer's wishes; None leaves the choice to the stage."""

    quality: str = "standard"
    training_steps: int | None = None
    max_gaussians: int | None = None
    sh_degree: int | None = None
    training_seconds: int | None = None
    scene_name: str = "scene"
    gaussians_divisor: int = 1  # not a wish: what the cap is divided by after a run for which memory did not do


@dataclass(frozen=True)
class StageEnvironment:
    """The job this stage run belongs to, the bus it reports to, and the root of SageMaker's folders."""

    job_id: str
    attempt: int
    status_bus: str | None
    ml_root: Path
    options: Options

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> StageEnvironment:
        """Parse the variables of docs/contracts.md. Raises StageError(INVALID_OPTION) naming the variable."""
        quality = environ.get("QUALITY", "standard")
        if quality not in QUALITIES:
            raise StageError(
                ErrorCode.INVALID_OPTION, f"QUALITY must be one of {', '.join(QUALITIES)}, not {quality!r}"
            )
        return cls(
            job_id=environ.get("JOB_ID", "local"),
            attempt=_positive(environ, "ATTEMPT") or 1,
            status_bus=environ.get("STATUS_BUS") or None,
            ml_root=Path(environ.get("ML_ROOT", "/opt/ml")),
            options=Options(
                quality=quality,
                training_steps=_positive(environ, "TRAINING_STEPS"),
                max_gaussians=_positive(environ, "MAX_GAUSSIANS"),
                sh_degree=_whole(environ, "SH_DEGREE", 0, 3),
                gaussians_divisor=_positive(environ, "GAUSSIANS_DIVISOR") or 1,
                training_seconds=_positive(environ, "TRAINING_SECONDS"),
                scene_name=environ.get("SCENE_NAME", "scene"),
            ),
        )


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
