"""The delivered page: one HTML file that contains the viewer and the SOG and opens with a double click.

A large scene has a second page without the SOG, which streams the levels of detail from the folder beside it.
"""

from __future__ import annotations

import base64
import gzip
import html
import json
import string
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compressor.deliver.limits import Limits
from compressor.deliver.photos import Photos
from compressor.deliver.survey import Survey
from splat.surroundings import Surroundings, inscribed_ellipse

BUNDLE = Path(__file__).parents[2] / "viewer" / ".build"
"""Where `npm run build` in containers/compressor/viewer puts the viewer."""


@dataclass(frozen=True)
class Journey:
    """The path of the page's camera in the splat's own coordinates: from the first position round through the others.

    `field_of_view` in degrees along the longer side, `seconds` for one round.
    """

    positions: Sequence[ArrayLike]
    target: ArrayLike
    field_of_view: float
    seconds: float


@dataclass(frozen=True)
class Page:
    """What the page shows around the splat, all in the splat's coordinates: ground and sky, and where one may go.

    `poster`: the picture shown while loading (JPEG); `metric`: whether one unit is one metre; `downloads`: bytes of the
    files beside the page's folder, by name; `antialiased`: whether the splat was trained for a compensated blur;
    `survey`: how sure what is measured in the page is; `photos`: their cameras and thumbnails.
    """

    title: str
    journey: Journey
    surroundings: Surroundings
    limits: Limits
    poster: bytes | None = None
    metric: bool = False
    downloads: Mapping[str, int] = field(default_factory=dict)
    antialiased: bool = False
    survey: Survey = field(default_factory=Survey)
    photos: Photos = field(default_factory=Photos)


def upright_rotation(up: ArrayLike) -> NDArray[np.float64]:
    """Quaternion (4,) xyzw that rotates the splat's `up` to the viewer's, +y, by the smallest angle."""
    axis = np.asarray(up, dtype=np.float64)
    axis = axis / np.linalg.norm(axis)
    if axis[1] < -1 + 1e-9:
        return np.array([0.0, 0.0, 1.0, 0.0])  # y-down, as most trainers leave a scene: half a turn about z
    # half-way vector construction: q = (up × y, 1 + up · y), normalised
    quaternion = np.array([-axis[2], 0.0, axis[0], 1.0 + axis[1]])
    return np.asarray(quaternion / np.linalg.norm(quaternion))


def rotate(quaternion: ArrayLike, vector: ArrayLike) -> NDArray[np.float64]:
    """`vector` (3,) rotated by a unit `quaternion` xyzw."""
    q, v = np.asarray(quaternion, dtype=np.float64), np.asarray(vector, dtype=np.float64)
    across = np.cross(q[:3], v)
    return np.asarray(v + 2 * (q[3] * across + np.cross(q[:3], across)))


def write_page(path: Path, bundle: Path, sog: bytes, page: Page) -> None:
    """Write the page to `path`; `bundle`: the folder of the built viewer. Raises FileNotFoundError without it."""
    splat, thumbnails = (base64.b64encode(content).decode("ascii") for content in (sog, page.photos.thumbnails.jpegs))
    path.write_text(_text(bundle, splat, thumbnails, page), encoding="utf-8")


def write_streaming_page(path: Path, bundle: Path, page: Page) -> None:
    """Write the page without splat and thumbnails to `path`, compressed by gzip, because nothing between a bucket and a
    phone would compress it: three quarters of it are the viewer's script, which gzip reduces to a quarter. Raises the
    errors of `write_page`.
    """
    path.write_bytes(gzip.compress(_text(bundle, "", "", page).encode("utf-8"), mtime=0))


def _text(bundle: Path, splat: str, thumbnails: str, page: Page) -> str:
    rotation = upright_rotation(page.surroundings.up)
    parts = resources.files(__package__)
    presentation = {
        "settings": settings(rotation, page.journey, page.surroundings.horizon.tolist()),
        "surroundings": upright(rotation, page.surroundings),
        "limits": asdict(page.limits),
        "rotation": rotation.tolist(),
        "target": rotate(rotation, page.journey.target).tolist(),
        "metric": page.metric,
        "antialiased": page.antialiased,
        "title": page.title,
        "survey": page.survey.as_json(page.metric),
        "photos": page.photos.as_json(),
        "downloads": {
            Path(name).suffix[1:]: {"path": f"../{name}", "bytes": size} for name, size in page.downloads.items()
        },
    }
    template = string.Template(parts.joinpath("page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=html.escape(page.title),
        licence=(bundle / "LICENSE").read_text(encoding="utf-8").replace("--", "- -"),
        viewer_css=(bundle / "viewer.css").read_text(encoding="utf-8"),
        viewer_js=(bundle / "viewer.js").read_text(encoding="utf-8"),
        page_css=parts.joinpath("page.css").read_text(encoding="utf-8"),
        page_js=parts.joinpath("page.js").read_text(encoding="utf-8"),
        background="rgb({:.0f} {:.0f} {:.0f})".format(*(255 * page.surroundings.horizon)),
        poster="" if page.poster is None else f"style=\"background-image:url('{_data_url(page.poster)}')\"",
        # no `<` at all: `</script` would end the element, and `<!--<script` begins one that hides its end
        presentation=json.dumps(presentation, separators=(",", ":")).replace("<", "\\u003c"),
        thumbnails=thumbnails,
        splat=splat,
    )


def upright(rotation: NDArray[np.float64], surroundings: Surroundings) -> dict[str, Any]:
    """The surroundings in the viewer's coordinates, y up: the footprint as x and z of its corners, and the ellipse in
    shade below it as its centre and the columns of its matrix, x and z likewise.
    """
    corners = np.array([rotate(rotation, corner)[[0, 2]] for corner in surroundings.footprint])
    centre, shape = inscribed_ellipse(corners)
    return {
        "ground": surroundings.ground,
        "ceiling": surroundings.ceiling,
        "haze": surroundings.haze,
        "footprint": corners.tolist(),
        "shadeCentre": centre.tolist(),
        "shadeShape": shape.T.ravel().tolist(),
        "groundColour": surroundings.ground_colour.tolist(),
        "horizon": surroundings.horizon.tolist(),
        "zenith": surroundings.zenith.tolist(),
        "photographedSky": surroundings.sky_photographed,
    }


def _data_url(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")


def settings(rotation: NDArray[np.float64], journey: Journey, background: Sequence[float]) -> dict[str, Any]:
    """The viewer's settings, version 2: our cameras and background, and nothing that changes the picture's colours."""
    off = {"enabled": False}
    positions = [rotate(rotation, position).tolist() for position in journey.positions]
    target = rotate(rotation, journey.target).tolist()
    return {
        "version": 2,
        "tonemapping": "none",
        "highPrecisionRendering": False,
        "background": {"color": list(background)},
        "postEffectSettings": {
            "sharpness": {**off, "amount": 0},
            "bloom": {**off, "intensity": 1, "blurLevel": 2},
            "grading": {**off, "brightness": 1, "contrast": 1, "saturation": 1, "tint": [1, 1, 1]},
            "vignette": {**off, "intensity": 0.5, "inner": 0.3, "outer": 0.75, "curvature": 1},
            "fringing": {**off, "intensity": 0.5},
        },
        "animTracks": [
            {
                "name": "round the scene",
                "duration": journey.seconds,
                "frameRate": 1,
                "loopMode": "repeat",
                "interpolation": "spline",
                "smoothness": 1,
                "keyframes": {
                    "times": [journey.seconds * i / len(positions) for i in range(len(positions))],
                    "values": {
                        "position": [value for position in positions for value in position],
                        "target": target * len(positions),
                        "fov": [journey.field_of_view] * len(positions),
                    },
                },
            }
        ],
        "cameras": [{"initial": {"position": positions[0], "target": target, "fov": journey.field_of_view}}],
        "annotations": [],
        "startMode": "animTrack",
    }
