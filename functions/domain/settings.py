"""Typed settings from the environment: a misspelt name fails at start and in a test, not in production."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any, Self, TypeAlias, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict

from contract.stages import Stage

T = TypeVar("T")


def _of_every_stage(values: dict[Stage, T]) -> dict[Stage, T]:
    missing = [stage for stage in Stage if stage not in values]
    if missing:
        raise ValueError(f"no value for {', '.join(missing)}")
    return values


ByStage: TypeAlias = Annotated[dict[Stage, T], AfterValidator(_of_every_stage)]


class Settings(BaseModel):
    """Each field reads one variable: `jobs_table` reads JOBS_TABLE. A field `image: ByStage[str]` reads one variable
    per stage: SFM_IMAGE, TRAINING_IMAGE, …"""

    model_config = ConfigDict(frozen=True)

    @classmethod
    def variables(cls) -> list[str]:
        """The variables that are read."""
        return [variable for name in cls.model_fields for variable in _variables(cls, name).values()]

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Raises ValidationError when a variable is missing or has the wrong type."""
        found: dict[str, Any] = {}
        for name in cls.model_fields:
            values = {stage: environ[key] for stage, key in _variables(cls, name).items() if key in environ}
            found |= {name: values.get(None, values)} if values else {}
        return cls.model_validate(found)


def _variables(settings: type[Settings], name: str) -> dict[Stage | None, str]:
    """The variables of one field: by stage, or one alone under None."""
    if get_args(settings.model_fields[name].annotation)[:1] == (Stage,):
        return {stage: f"{stage.state_key}_{name}".upper() for stage in Stage}
    return {None: name.upper()}
