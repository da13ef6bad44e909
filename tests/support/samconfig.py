"""samconfig.toml as data."""

from __future__ import annotations

import tomllib
from typing import Any

from local.cloud import ROOT

CONFIG: dict[str, Any] = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))


def deployed_with(stage: str) -> dict[str, str]:
    """The template's parameters that `sam deploy --config-env STAGE` gives."""
    pairs = CONFIG[stage]["deploy"]["parameters"]["parameter_overrides"].split()
    return dict(pair.split("=", 1) for pair in pairs)
