"""What a customer may ask of a job. The environment variables are those of a container (docs/contracts.md)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

T = TypeVar("T")


class Quality(StrEnum):
    PREVIEW = "preview"
    STANDARD = "standard"
    HIGH = "high"


DEFAULT_QUALITY = Quality.STANDARD
MAX_NAME = 80  # characters of a scene's name, and of any other option that is text


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


@dataclass(frozen=True)
class Text:
    """An option that is a line of text of MAX_NAME characters at most: the container's variable, and what it says."""

    variable: str
    meaning: str

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        """Pydantic's hook for annotations: a model that has the option refuses longer texts and control characters."""
        return {**handler(source), "min_length": 1, "max_length": MAX_NAME, "pattern": r"^[^\x00-\x1f]+$"}


@dataclass(frozen=True)
class TextOptions:
    """The options that are text. None says nothing; a scene without a name is named after its file."""

    name: Annotated[str, Text("SCENE_NAME", "name of the scene; default: that of the file")] | None = None
    project: Annotated[str, Text("PROJECT", "project, for the quality report")] | None = None
    customer: Annotated[str, Text("CUSTOMER", "customer, for the quality report")] | None = None
    site: Annotated[str, Text("SITE", "address of the site, for the quality report")] | None = None


def _options(declared: type, kind: type[T]) -> dict[str, T]:
    """The annotations of the fields of `declared`, by name."""
    hints = get_type_hints(declared, include_extras=True)
    notes = {name: get_args(get_args(hint)[0])[1] for name, hint in hints.items()}
    return {name: note for name, note in notes.items() if isinstance(note, kind)}


WHOLE_NUMBERS = _options(WholeNumberOptions, WholeNumber)
TEXTS = _options(TextOptions, Text)
