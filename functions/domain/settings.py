"""Typed settings from the environment: a misspelt name fails at start and in a test, not in production."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """One field a variable: `jobs_table` reads JOBS_TABLE. Raises ValidationError when one is missing."""

    model_config = ConfigDict(frozen=True)

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> Self:
        return cls.model_validate({name: environ[name.upper()] for name in cls.model_fields if name.upper() in environ})
