"""What a customer may ask of a job. The environment variables are those of a container (docs/contracts.md)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, get_args, get_type_hints


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

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        """Pydantic's hook for annotations: a model that has the option refuses a number out of range."""
        return {**handler(source), "ge": self.low, "le": self.high}


@dataclass(frozen=True)
class WholeNumberOptions:
    """The options that are whole numbers, camelCase in JSON. None leaves the choice to the stage."""

    training_steps: Annotated[int, WholeNumber("TRAINING_STEPS", 1, 100_000)] | None = None
    max_gaussians: Annotated[int, WholeNumber("MAX_GAUSSIANS", 1_000, 20_000_000)] | None = None
    sh_degree: Annotated[int, WholeNumber("SH_DEGREE", 0, 3)] | None = None
    products: Annotated[int, WholeNumber("PRODUCTS", 0, 1)] | None = None  # 0: no maps and point clouds
    gsd_millimetres: Annotated[int, WholeNumber("GSD_MILLIMETRES", 2, 5_000)] | None = None  # a cell of the maps
    epsg: Annotated[int, WholeNumber("EPSG", 1_024, 32_767)] | None = None  # the system of maps and point clouds


WHOLE_NUMBERS: dict[str, WholeNumber] = {
    name: get_args(get_args(hint)[0])[1]
    for name, hint in get_type_hints(WholeNumberOptions, include_extras=True).items()
}
