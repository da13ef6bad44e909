"""JSON Schemas (2020-12) of what crosses a border as JSON: status events, and the files that stages leave.

A consumer takes names that it does not know in `counts`, `metrics` and `timings` as they come: more may be added.
"""

from __future__ import annotations

from typing import Any

from contract.events import LAST_SEQUENCE, SOURCE, VERSION, StatusType
from contract.shots import Kind
from contract.stages import Stage
from contract.warning_codes import WarningCode

Schema = dict[str, Any]

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
STRING: Schema = {"type": "string"}
BOOLEAN: Schema = {"type": "boolean"}
NUMBER: Schema = {"type": "number"}
COUNT: Schema = {"type": "integer", "minimum": 0}
AMOUNT: Schema = {"type": "number", "minimum": 0}
_OFFSET: Schema = {
    "type": "array",
    "items": NUMBER,
    "minItems": 3,
    "maxItems": 3,
    "description": "What to add to a position, in float64, for the coordinates that the scene came with",
}
_AXES: Schema = {
    "type": "array",
    "items": {"anyOf": [{"type": "number"}, {"type": "null"}]},
    "minItems": 3,
    "maxItems": 3,
}
JOB_ID: Schema = {"type": "string", "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$", "maxLength": 40}


def nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def listed(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def strict(properties: Schema, optional: tuple[str, ...] = ()) -> Schema:
    """An object of just these properties, all of them required but the `optional`."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


def growing(properties: Schema, others: Schema | None = None) -> Schema:
    """An object with these properties at least."""
    schema: Schema = {"type": "object", "required": list(properties), "properties": properties}
    return schema if others is None else {**schema, "additionalProperties": others}


def status_event() -> Schema:
    detail = strict(
        {
            "version": {"const": VERSION},
            "jobId": JOB_ID,
            "stage": {"enum": [*Stage]},
            "attempt": {"type": "integer", "minimum": 1},
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
        optional=("stage", "attempt", "metrics", "error", "outputs", "cost"),
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
    Stage.SFM: ("photos", "usable", "registered", "points", "models", "cameras", "pairs", "verifiedPairs"),
    Stage.TRAINING: ("gaussians", "steps", "trainViews", "heldOutViews", "denseSeeds", "densePoints"),
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
        "psnrTrain": {**nullable(NUMBER), "description": "dB, some training views"},
        "viewsPerPlace": {**NUMBER, "description": "Training photos that see a place, mean"},
        "trainedSteps": {**COUNT, "description": "Without the finish on all photos"},
        "curve": listed(growing({"step": COUNT, "gaussians": COUNT, "psnr": NUMBER, "seconds": AMOUNT})),
        "ended": {"enum": ["steps", "time", "plateau"]},
        "exposure": {
            "type": "object",
            "description": "`photos`: by which factors each training photo is brighter than the flight; `spread`: the "
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


def photos() -> Schema:
    """`photos.json`: what became of every photo of the upload."""
    row = strict(
        {
            "name": {"type": "string", "description": "In the stages' output: 000001.jpg"},
            "original": {"type": "string", "description": "In the customer's ZIP"},
            "registered": BOOLEAN,
            "features": {**COUNT, "description": "Absent from a photo that was skipped before matching"},
            "blurred": BOOLEAN,
            "stops": {
                **NUMBER,
                "description": "Light taken, by EXIF: log2 of seconds · ISO / f-number²",
            },
            "film": {"type": "string", "description": "The film that it is a frame of, in the customer's ZIP"},
            "seconds": {**AMOUNT, "description": "Of a frame: from the film's beginning"},
            "reason": {"type": "string", "description": "Why it was not placed, for the customer"},
            "kind": {"enum": [*Kind], "description": "Of a picture that is no photo of its own: not counted"},
        },
        optional=("features", "blurred", "stops", "film", "seconds", "reason", "kind"),
    )
    return {"title": "Photos of an upload", **listed(row)}


def georeference() -> Schema:
    """`georeference.json`: where on Earth the scene is."""
    point = strict(
        {
            "name": STRING,
            "residual_metres": nullable(AMOUNT),
            "offset_metres": {**_AXES, "description": "Model minus survey: east, north, up"},
            "pixels": {**AMOUNT, "description": "RMS distance of its marks from where the photos should show it"},
            "photos": COUNT,
            "used": BOOLEAN,
            "check": {"type": "boolean", "description": "A check point: never fitted"},
        }
    )
    projected = strict(
        {
            "epsg": nullable(COUNT),
            "name": STRING,
            "wkt": STRING,
            "metres_per_unit": AMOUNT,
            "enu_to_projected": {
                **listed({**listed(NUMBER), "minItems": 4, "maxItems": 4}),
                "minItems": 3,
                "maxItems": 3,
                "description": "3 × 4, by rows: x, y and height of (east, north, up, 1); 1 mm off at 80 m",
            },
        }
    )
    heights = strict({"datum": {"type": "string", "description": "In words"}, "epsg": nullable(COUNT)})
    return {
        "title": "Georeference of a scene",
        **strict(
            {
                "version": {"const": 1},
                "georeferenced": BOOLEAN,
                "origin": nullable(strict({"latitude": NUMBER, "longitude": NUMBER, "altitude": nullable(NUMBER)})),
                "crs": nullable({"const": "ENU metres about origin"}),
                "rms_metres": nullable(AMOUNT),
                "vertical_rms_metres": nullable(AMOUNT),
                "outliers": listed(STRING),
                "up": {"type": "string", "description": "What levelled the scene"},
                "reason": nullable(STRING),
                "source": {"enum": ["GPS", "control points", None]},
                "control_points": listed(point),
                "projected": nullable(projected),
                "heights": nullable(heights),
                "offset": _OFFSET,
            },
            optional=("vertical_rms_metres", "up", "source", "control_points", "projected", "heights", "offset"),
        ),
    }


def offset() -> Schema:
    """`offset.json`: what a splat that came in far coordinates (UTM, earth-centred) was moved by."""
    return {"title": "Offset of a splat", **strict({"version": {"const": 1}, "offset": _OFFSET})}


def survey() -> Schema:
    """`survey.json`: figures of the flight that a surveyor's report states."""
    accuracy = strict(
        {
            "count": COUNT,
            "mean_metres": _AXES,
            "sigma_metres": _AXES,
            "rms_metres": _AXES,
            "ce90_metres": nullable(AMOUNT),
            "le90_metres": nullable(AMOUNT),
        }
    )
    camera = strict(
        {
            "make": STRING,
            "model": STRING,
            "photos": COUNT,
            "width": COUNT,
            "height": COUNT,
            "kind": {"type": "string", "description": "COLMAP's name of the camera model"},
            "initial_focal_pixels": {**nullable(AMOUNT), "description": "By the photos' own metadata"},
            "focal_pixels": AMOUNT,
            "parameters": {"type": "object", "additionalProperties": NUMBER},
        }
    )
    return {
        "title": "Survey figures of a flight",
        **strict(
            {
                "version": {"const": 1},
                "gsd_metres": {**nullable(AMOUNT), "description": "Size of a pixel on the scene, median"},
                "flight_height_metres": {**nullable(NUMBER), "description": "Above the middle of the ground, median"},
                "area_square_metres": nullable(strict({"seen": AMOUNT, "seen_by_three": AMOUNT})),
                "captured": {
                    **nullable(strict({"first": STRING, "last": STRING})),
                    "description": "EXIF: YYYY:MM:DD hh:mm:ss by the camera's clock",
                },
                "cameras": listed(camera),
                "reprojection_pixels": {
                    **strict({"mean": AMOUNT, "rms": AMOUNT, "bin": AMOUNT, "counts": listed(COUNT)}),
                    "description": "Of every observation; the last bin has all above as well",
                },
                "track_lengths": {
                    **listed(strict({"photos": COUNT, "points": COUNT})),
                    "description": "Points by the number of photos that see them; the last row has all longer ones",
                },
                "gps": {**nullable(accuracy), "description": "Cameras minus their GPS, without its outliers"},
                "control": {**nullable(accuracy), "description": "Control points that were fitted"},
                "check": {**nullable(accuracy), "description": "Check points: the accuracy of the scene"},
            }
        ),
    }


def views() -> Schema:
    """`views.json`: pixels, OpenCV axes (x right, y down, z forward), pixel centres at +0.5."""
    matrix = {**listed({**listed(NUMBER), "minItems": 4, "maxItems": 4}), "minItems": 4, "maxItems": 4}
    view = strict(
        {
            "name": STRING,
            "split": {"enum": ["train", "test"]},
            "width": {"type": "integer", "minimum": 1},
            "height": {"type": "integer", "minimum": 1},
            "fx": NUMBER,
            "fy": NUMBER,
            "cx": NUMBER,
            "cy": NUMBER,
            "world_to_camera": {**matrix, "description": "4 × 4, by rows"},
            "image": nullable(STRING),
        }
    )
    return {"title": "Cameras of a scene", **strict({"version": {"const": 1}, "views": listed(view)})}


def surroundings() -> Schema:
    """`surroundings.json`: ground and sky beyond the photos, in the scene's frame."""
    colour = {**listed({**AMOUNT, "maximum": 1}), "minItems": 3, "maxItems": 3}
    vector = {**listed(NUMBER), "minItems": 3, "maxItems": 3}
    return {
        "title": "Surroundings of a scene",
        **strict(
            {
                "version": {"const": 1},
                "up": {**vector, "description": "Unit vector"},
                "ground": strict({"height": {**NUMBER, "description": "Along `up`"}, "colour": colour}),
                "sky": strict({"horizon": colour, "zenith": colour, "photographed": BOOLEAN}),
                "haze": {**AMOUNT, "description": "Distance over which the ground fades into the horizon"},
                "ceiling": {**NUMBER, "description": "Height along `up`"},
                "footprint": listed(listed(NUMBER)),
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
        "survey": survey(),
        "views": views(),
        "surroundings": surroundings(),
    }
    files = {f"{name}.schema.json": schema for name, schema in found.items()}
    return {file: {"$schema": _DRAFT, "$id": file, **schema} for file, schema in files.items()}
