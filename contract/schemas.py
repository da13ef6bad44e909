"""JSON Schemas (2020-12) of what crosses a border as JSON: status events, and the files that stages leave.

A consumer takes names that it does not know in `counts`, `metrics` and `timings` as they come: more may be added.
"""

from __future__ import annotations

from contract.blocks import COARSE, MAX_BLOCKS, block_photos_schema, blocks_schema
from contract.events import LAST_SEQUENCE, SOURCE, VERSION, StatusType
from contract.scene_schemas import georeference, offset, photos, surroundings, survey, views
from contract.schema_parts import AMOUNT, COUNT, JOB_ID, NUMBER, STRING, Schema, growing, listed, nullable, strict
from contract.stages import Stage
from contract.warning_codes import WarningCode

_DRAFT = "https://json-schema.org/draft/2020-12/schema"


def status_event() -> Schema:
    detail = strict(
        {
            "version": {"const": VERSION},
            "jobId": JOB_ID,
            "stage": {"enum": [*Stage]},
            "attempt": {"type": "integer", "minimum": 1},
            "block": {
                "anyOf": [{"type": "integer", "minimum": 1, "maximum": MAX_BLOCKS}, {"const": COARSE}],
                "description": "The part of a large flight that the event is about; without it, the whole stage",
            },
            "sequence": {
                "type": "integer",
                "minimum": 0,
                "maximum": LAST_SEQUENCE,
                "description": "Rises along a job: by stage, attempt and progress (docs/contracts.md)",
            },
            "at": {"type": "string", "format": "date-time"},
            "progress": {
                "type": "number",
                "minimum": 0,
                "maximum": 1,
                "description": "The stage's in Stage events, the job's in Job events",
            },
            "message": {"type": "string", "description": "For people"},
            "metrics": {"type": "object", "description": "Figures by name; more names may come"},
            "error": strict(
                {
                    "code": {"type": "string", "pattern": "^[A-Z][A-Z_0-9]+$"},
                    "message": {"type": "string", "description": "What happened, for the customer"},
                    "hint": {"type": "string", "description": "What the customer can do about it"},
                }
            ),
            "outputs": {
                "type": "object",
                "description": "Name → S3 URI",
                "additionalProperties": {"type": "string", "pattern": "^s3://"},
            },
            "cost": {
                "type": "object",
                "required": ["seconds"],
                "properties": {"seconds": AMOUNT, "dollars": AMOUNT, "stages": {"type": "object"}},
            },
        },
        optional=("stage", "attempt", "block", "metrics", "error", "outputs", "cost"),
    )
    failed = [StatusType.JOB_REJECTED, StatusType.JOB_FAILED, StatusType.JOB_STOPPED, StatusType.STAGE_FAILED]
    return {
        "title": "Spaceport status event",
        "description": f"A message on the status bus (EventBridge, source {SOURCE}). Consumers take duplicates and any "
        "order: `sequence` rises along a job.",
        "type": "object",
        "required": ["source", "detail-type", "detail"],
        "properties": {"source": {"const": SOURCE}, "detail-type": {"enum": [*StatusType]}, "detail": detail},
        "allOf": [
            _required_of([kind for kind in StatusType if kind.startswith("Stage ")], ["stage", "attempt"]),
            _required_of(failed, ["error"]),
            _required_of([StatusType.JOB_SUCCEEDED, StatusType.STAGE_SUCCEEDED], ["metrics", "outputs", "cost"]),
        ],
    }


def _required_of(types: list[StatusType], names: list[str]) -> Schema:
    return {
        "if": {"properties": {"detail-type": {"enum": types}}},
        "then": {"properties": {"detail": {"required": names}}},
    }


_COUNTS: dict[Stage, tuple[str, ...]] = {
    Stage.SFM: ("photos", "usable", "registered", "points", "models", "cameras", "pairs", "verifiedPairs", "blocks"),
    Stage.TRAINING: ("gaussians", "steps", "trainViews", "heldOutViews", "denseSeeds", "densePoints", "virtualViews"),
    Stage.COMPRESSOR: ("gaussians", "pruned", "bytes"),
}
_METRICS: dict[Stage, Schema] = {
    Stage.SFM: {
        "reprojectionError": {**AMOUNT, "description": "Mean, in pixels"},
        "meanTrackLength": AMOUNT,
        "registeredShare": {**AMOUNT, "maximum": 1},
        "gpsRms": {**nullable(AMOUNT), "description": "Metres; of the control points where those place the scene"},
        "meanOverlap": {**AMOUNT, "description": "Photos that see a part of the ground"},
        "overlapShare": {**AMOUNT, "maximum": 1, "description": "Share of the ground that three photos or more see"},
    },
    Stage.TRAINING: {
        "psnr": {**nullable(NUMBER), "description": "dB, held-out views before they were trained on; null without any"},
        "ssim": nullable(NUMBER),
        "gmsd": {**nullable(NUMBER), "description": "How unevenly edges are lost; 0 is best"},
        "psnrFitted": {**nullable(NUMBER), "description": "dB, after a gain and an offset a channel"},
        "psnrPredicted": {**nullable(NUMBER), "description": "dB, exposed as the photos before and after suggest"},
        "seen": {**nullable(NUMBER), "description": "Share of the held-out views that three training photos see"},
        "psnrSeen": {**nullable(NUMBER), "description": "dB, over that share alone"},
        "psnrSeenFitted": {**nullable(NUMBER), "description": "dB, over that share, after that gain and offset"},
        "psnrOffPath": {
            **nullable(NUMBER),
            "description": "dB, the delivered splat against dense.ply from views around that no photo has",
        },
        "contrastOffPath": {
            **nullable(NUMBER),
            "description": "dB, the variance of dense.ply's colours in these views over the squared error",
        },
        "psnrTrain": {**nullable(NUMBER), "description": "dB, some training views"},
        "viewsPerPlace": {**NUMBER, "description": "Training photos that see a place, mean"},
        "trainedSteps": {**COUNT, "description": "Without the finish on all photos"},
        "curve": listed(growing({"step": COUNT, "gaussians": COUNT, "psnr": NUMBER, "seconds": AMOUNT})),
        "ended": {"enum": ["steps", "time", "plateau"]},
        "exposure": {
            "type": "object",
            "description": "`photos`: by which factors each photo is brighter than the flight; `spread`: the "
            "standard deviation of their logarithms. The splat has the flight's mean exposure",
        },
    },
    Stage.COMPRESSOR: {
        "psnrBefore": {**nullable(NUMBER), "description": "dB, held-out views against photos, before compression"},
        "psnrAfter": nullable(NUMBER),
        "ssimBefore": nullable(NUMBER),
        "ssimAfter": nullable(NUMBER),
        "views": listed(
            growing(
                {
                    "name": STRING,
                    "psnrBefore": NUMBER,
                    "psnrAfter": NUMBER,
                    "ssimBefore": NUMBER,
                    "ssimAfter": NUMBER,
                    "picture": STRING,
                }
            )
        ),
        "inventedShare": {**AMOUNT, "maximum": 1, "description": "Of the preview: what no photo shows"},
        "fidelity": {
            **nullable(NUMBER),
            "description": "dB, decoded against original renders of 960 px, per covered pixel, a third from nearby",
        },
        "ratio": AMOUNT,
        "bytesByFile": {"type": "object", "additionalProperties": COUNT},
        "products": {
            **nullable(growing({"version": {"const": 1}, "files": listed(STRING), "missing": {"type": "object"}})),
            "description": "products.json: the survey products; null where none were asked for",
        },
    },
}


def result(stage: Stage) -> Schema:
    """`result.json`, which a stage writes last, beside its output."""
    return {
        "title": f"Result of the stage {stage}",
        **strict(
            {
                "version": {"const": 1},
                "stage": {"const": stage.value},
                "jobId": STRING,
                "attempt": {"type": "integer", "minimum": 1},
                "counts": growing(dict.fromkeys(_COUNTS.get(stage, ()), COUNT), COUNT),
                "metrics": growing(_METRICS.get(stage, {})),
                "timings": {"type": "object", "additionalProperties": AMOUNT, "description": "Seconds by part"},
                "resources": strict({"wallSeconds": AMOUNT, "cpuSeconds": AMOUNT, "peakMemoryBytes": COUNT}),
                "warnings": listed(
                    strict({"code": {"enum": [*WarningCode]}, "message": STRING, "names": listed(STRING)})
                ),
                "files": listed(
                    strict({"path": STRING, "bytes": COUNT, "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"}})
                ),
            }
        ),
    }


def schemas() -> dict[str, Schema]:
    """Every schema by its file's name."""
    found = {
        "status-event": status_event(),
        **{f"result-{stage}": result(stage) for stage in Stage},
        "photos": photos(),
        "georeference": georeference(),
        "offset": offset(),
        "blocks": blocks_schema(),
        "block-photos": block_photos_schema(),
        "survey": survey(),
        "views": views(),
        "surroundings": surroundings(),
    }
    files = {f"{name}.schema.json": schema for name, schema in found.items()}
    return {file: {"$schema": _DRAFT, "$id": file, **schema} for file, schema in files.items()}
