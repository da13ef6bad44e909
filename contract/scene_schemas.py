"""JSON Schemas of the files that describe a scene: photos, place on Earth, survey figures, cameras, surroundings."""

from __future__ import annotations

from contract.counts import MAX_STOPS
from contract.schema_parts import AMOUNT, BOOLEAN, COUNT, NUMBER, STRING, Schema, listed, nullable, strict
from contract.shots import Kind

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
GPS, CONTROL_POINTS = "GPS", "control points"  # what places a scene on Earth


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
                "minimum": -MAX_STOPS,
                "maximum": MAX_STOPS,
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
            "position_metres": {
                **_AXES,
                "description": "As surveyed: east, north, up in the scene; absent from older jobs",
            },
            "offset_metres": {**_AXES, "description": "Model minus survey: east, north, up"},
            "pixels": {**AMOUNT, "description": "RMS distance of its marks from where the photos should show it"},
            "photos": COUNT,
            "used": BOOLEAN,
            "check": {"type": "boolean", "description": "A check point: never fitted"},
        },
        optional=("position_metres",),
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
                "source": {"enum": [GPS, CONTROL_POINTS, None]},
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
                "systematic_pixels": {
                    **nullable(AMOUNT),
                    "description": "Length of the mean residual in the worst of 16 × 12 parts of the photos",
                },
                "observations_median": {**COUNT, "description": "Points that a photo observes, median"},
                "track_lengths": {
                    **listed(strict({"photos": COUNT, "points": COUNT})),
                    "description": "Points by the number of photos that see them; the last row has all longer ones",
                },
                "gps": {**nullable(accuracy), "description": "Cameras minus their GPS, without its outliers"},
                "control": {**nullable(accuracy), "description": "Control points that were fitted"},
                "check": {**nullable(accuracy), "description": "Check points: the accuracy of the scene"},
            },
            optional=("observations_median", "systematic_pixels"),
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
