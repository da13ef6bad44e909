"""The contract's values that the customer's page needs, as a JavaScript module."""

from __future__ import annotations

import json

from contract.archive import METHODS
from contract.codes import FAILURES, ErrorCode
from contract.counts import MAX_PHOTOS, MAX_UPLOAD_BYTES, MIN_PHOTOS
from contract.events import JOB_STATUS
from contract.films import FILM_SUFFIXES, FIRST_BOXES, PICTURE_BRANDS, TELEMETRY_SUFFIX
from contract.options import Quality
from contract.stages import Stage
from contract.wanted import CONTROL_POINT_FILES, MODEL_FILES, PHOTO_SUFFIXES, SPLAT_SUFFIXES, UNREADABLE_SUFFIXES

# what the page finds wrong with files before it sends them
FOUND_BY_PAGE = (
    ErrorCode.NOT_A_ZIP,
    ErrorCode.EMPTY_ARCHIVE,
    ErrorCode.ENCRYPTED_ARCHIVE,
    ErrorCode.UNSUPPORTED_ARCHIVE,
    ErrorCode.ARCHIVE_TOO_LARGE,
    ErrorCode.NO_PHOTOS,
    ErrorCode.UNSUPPORTED_PHOTOS,
    ErrorCode.TOO_FEW_PHOTOS,
    ErrorCode.TOO_MANY_PHOTOS,
    ErrorCode.INVALID_SPLAT,
)


def module() -> str:
    """The text of web/src/contract.js."""
    constants = {
        "STAGES": {stage.value: stage.spec.title for stage in Stage},
        "SFM": Stage.SFM,
        "TRAINING": Stage.TRAINING,
        "QUALITIES": [*Quality],
        "ENDED": [*JOB_STATUS.values()],
        "PHOTO_SUFFIXES": sorted(PHOTO_SUFFIXES),
        "FILM_SUFFIXES": sorted(FILM_SUFFIXES),
        "FILM_BOXES": [box.decode() for box in FIRST_BOXES],
        "PICTURE_BRANDS": [brand.decode() for brand in PICTURE_BRANDS],
        "TELEMETRY_SUFFIX": TELEMETRY_SUFFIX,
        "SPLAT_SUFFIXES": sorted(SPLAT_SUFFIXES),
        "CONTROL_POINT_FILES": sorted(CONTROL_POINT_FILES),
        "MODEL_FILES": [name for model in MODEL_FILES for name in model],
        "UNREADABLE_SUFFIXES": sorted(UNREADABLE_SUFFIXES),
        "ZIP_METHODS": sorted(METHODS),
        "MIN_PHOTOS": MIN_PHOTOS,
        "MAX_PHOTOS": MAX_PHOTOS,
        "MAX_UPLOAD_BYTES": MAX_UPLOAD_BYTES,
        "REFUSALS": {
            code.value: {"message": FAILURES[code].sentence, "hint": FAILURES[code].hint} for code in FOUND_BY_PAGE
        },
    }
    lines = [f"export const {name} = {json.dumps(value, ensure_ascii=False)};" for name, value in constants.items()]
    return "\n".join(["// Written by `make contract` from contract/.", *lines, ""])
