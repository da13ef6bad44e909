"""What a customer may ask of a job. The environment variables are those of a container (docs/contracts.md)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Quality(StrEnum):
    PREVIEW = "preview"
    STANDARD = "standard"
    HIGH = "high"


DEFAULT_QUALITY = Quality.STANDARD
MAX_NAME = 80  # characters of a scene's name


@dataclass(frozen=True)
class WholeNumber:
    """An option that is a whole number: its range, both ends included, and the container's variable."""

    variable: str
    low: int
    high: int


# by the option's name in Python; camelCase in JSON. None leaves the choice to the stage
WHOLE_NUMBERS = {
    "training_steps": WholeNumber("TRAINING_STEPS", 1, 100_000),
    "max_gaussians": WholeNumber("MAX_GAUSSIANS", 1_000, 20_000_000),
    "sh_degree": WholeNumber("SH_DEGREE", 0, 3),
}
