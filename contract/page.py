"""What the customer's page must know of the contract, as a JavaScript module."""

from __future__ import annotations

import json

from contract.archive import PHOTO_SUFFIXES
from contract.counts import MIN_PHOTOS
from contract.events import JOB_STATUS
from contract.options import Quality
from contract.stages import Stage


def module() -> str:
    """The text of web/src/contract.js."""
    constants = {
        "STAGES": {stage.value: stage.spec.title for stage in Stage},
        "QUALITIES": [*Quality],
        "ENDED": [*JOB_STATUS.values()],
        "PHOTO_SUFFIXES": sorted(PHOTO_SUFFIXES),
        "MIN_PHOTOS": MIN_PHOTOS,
    }
    lines = [f"export const {name} = {json.dumps(value, ensure_ascii=False)};" for name, value in constants.items()]
    return "\n".join(["// Written by `make contract` from contract/.", *lines, ""])
