"""Draw a level ground and a sky beyond the photographed footprint, in the photos' colours.

The viewer page draws the same picture (containers/compressor/viewer/src/background.mjs); change both together.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from contract.files import write_json
from splat.camera import Camera
from splat.errors import InvalidSceneError
from splat.files import read_document

SURROUNDINGS_VERSION = 1
SHADE = 0.15  # brightness of the drawn ground below the photographed part, relative to elsewhere
_SHADE_RIM = 0.7  # share of the shaded ellipse's radius beyond which it brightens towards its rim
_UNIT = 1e-6  # tolerance of a unit vector's length

Float32 = NDArray[np.float32]
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Surroundings:
    """`surroundings.json` (docs/contracts.md), in the coordinates of scene.ply; colours (3,) 0..1 as displayed.

    The ground is the plane at height `ground` along the unit vector `up`; at the distance `haze` it has 63 % of the
    horizon's colour. `footprint` (N, 3), convex and counterclockwise seen from above, is the part of the ground
    that photos show, and `ceiling` is the height up to which they show things. `sky_photographed`: the sky's colours
    come from photos.

    Raises ValueError for values out of range.
    """

    up: Vector
    ground: float
    ceiling: float
    haze: float
    footprint: Vector
    ground_colour: Vector
    horizon: Vector
    zenith: Vector
    sky_photographed: bool

    def __post_init__(self) -> None:
        for name in ("up", "footprint", "ground_colour", "horizon", "zenith"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.float64))
        colours = np.stack([self.ground_colour, self.horizon, self.zenith])
        numbers = [*self.up, self.ground, self.ceiling, self.haze, *self.footprint.ravel()]
        if self.up.shape != (3,) or self.footprint.shape != (len(self.footprint), 3) or len(self.footprint) < 3:
            raise ValueError("up needs 3 numbers, and the footprint 3 corners or more of 3 each")
        if not np.isfinite(numbers).all() or abs(float(np.linalg.norm(self.up)) - 1) > _UNIT:
            raise ValueError("a value is not finite, or up is not a unit vector")
        if colours.shape != (3, 3) or not ((colours >= 0) & (colours <= 1)).all():
            raise ValueError("colours are three numbers from 0 to 1")
        if self.ceiling < self.ground or self.haze <= 0:
            raise ValueError("the ceiling is below the ground, or the haze is not above 0")

    @property
    def centre(self) -> Vector:
        """(3,) middle of the footprint."""
        return np.asarray(self.footprint.mean(axis=0), dtype=np.float64)

    @property
    def radius(self) -> float:
        """Distance from the footprint's middle to its farthest corner."""
        return float(np.linalg.norm(self.footprint - self.centre, axis=1).max())

    def supports(self, points: ArrayLike) -> NDArray[np.bool_]:
        """(N,) which of the `points` (N, 3) lie in the photographed part; nothing can be measured elsewhere."""
        places = np.asarray(points, dtype=np.float64)
        return np.asarray(over_polygon(places, self.footprint, self.up) & (places @ self.up <= self.ceiling))

    def as_json(self) -> dict[str, Any]:
        """The document of surroundings.json."""
        return {
            "version": SURROUNDINGS_VERSION,
            "up": self.up.tolist(),
            "ground": {"height": self.ground, "colour": self.ground_colour.tolist()},
            "sky": {
                "horizon": self.horizon.tolist(),
                "zenith": self.zenith.tolist(),
                "photographed": self.sky_photographed,
            },
            "haze": self.haze,
            "ceiling": self.ceiling,
            "footprint": self.footprint.tolist(),
        }


def over_polygon(points: Vector, corners: Vector, up: Vector) -> NDArray[np.bool_]:
    """(M,) which of the `points` (M, 3) lie above or below a polygon, rim included. `corners` (N, 3): convex, and
    counterclockwise as seen from above; `up` (3,): a unit vector.
    """
    inward = np.cross(up, np.roll(corners, -1, axis=0) - corners)
    return np.asarray((points @ inward.T >= np.einsum("ij,ij->i", corners, inward)).all(axis=1))


def background(surroundings: Surroundings, camera: Camera) -> Float32:
    """Ground and sky as `camera` sees them: (height, width, 3) float32, 0..1.

    Let e be the sine of a ray's elevation and h the camera's height above the ground. Below the horizon, the ground's
    colour turns into the horizon's over the distance h / -e as 1 - exp(-distance / haze). Above it, the horizon's
    colour turns into the zenith's as 1 - (1 - e)³.

    Below the photographed part the ground is shaded, because it shows through pinholes and shadows there. Splats are
    also trained over this picture: their transparent parts look right only over it.
    """
    columns = (np.arange(camera.width) + 0.5 - camera.cx) / camera.fx
    rows = (np.arange(camera.height) + 0.5 - camera.cy) / camera.fy
    right, down, ahead = camera.rotation @ surroundings.up
    lengths = np.sqrt(columns**2 + rows[:, None] ** 2 + 1)
    rise = (columns * right + rows[:, None] * down + ahead) / lengths
    height = abs(float(camera.position @ surroundings.up) - surroundings.ground)
    away = height / np.maximum(-rise, 1e-6)
    haze = (1 - np.exp(-away / surroundings.haze))[..., None]
    climb = (1 - (1 - np.clip(rise, 0, 1)) ** 3)[..., None]
    below = surroundings.ground_colour + haze * (surroundings.horizon - surroundings.ground_colour)
    directions = np.stack(np.broadcast_arrays(columns, rows[:, None], 1.0), axis=-1) @ camera.rotation
    below = below * _shade(surroundings, camera, directions / lengths[..., None], rise)[..., None]
    above = surroundings.horizon + climb * (surroundings.zenith - surroundings.horizon)
    return np.asarray(np.where(rise[..., None] < 0, below, above), dtype=np.float32)


def _shade(surroundings: Surroundings, camera: Camera, directions: Vector, rise: Vector) -> Vector:
    """Brightness (height, width), SHADE..1, of the ground where the rays along `directions` meet it, else 1."""
    height = float(camera.position @ surroundings.up) - surroundings.ground
    met = (rise < 0) & (height > 0)
    away = np.where(met, height / np.maximum(-rise, 1e-6), 0.0)
    axes = np.stack(plane_axes(surroundings.up), axis=1)
    centre, shape = inscribed_ellipse(surroundings.footprint @ axes)
    places = ((camera.position + away[..., None] * directions) @ axes - centre) @ shape.T
    outward = np.clip((np.linalg.norm(places, axis=-1) - _SHADE_RIM) / (1 - _SHADE_RIM), 0, 1)
    return np.where(met, SHADE + (1 - SHADE) * outward**2 * (3 - 2 * outward), 1.0)


def inscribed_ellipse(corners: Vector) -> tuple[Vector, Vector]:
    """Centre (2,) and matrix (2, 2) of an ellipse |matrix · (p - centre)| = 1 within the convex polygon `corners`
    (N, 2).

    It has the proportions of the corners' spread about their mean, and is as large as the nearest side allows.
    """
    centre = corners.mean(axis=0)
    offsets = corners - centre
    spread, axes = np.linalg.eigh(offsets.T @ offsets / len(offsets))
    matrix = (axes / np.sqrt(np.maximum(spread, 1e-9 * spread.max() + 1e-300))) @ axes.T
    round_corners = offsets @ matrix.T
    sides = np.roll(round_corners, -1, axis=0) - round_corners
    outward = np.stack([sides[:, 1], -sides[:, 0]], axis=1)
    lengths = np.linalg.norm(outward, axis=1)
    reach = float((np.abs((round_corners * outward).sum(axis=1))[lengths > 0] / lengths[lengths > 0]).min())
    return centre, matrix / max(reach, 1e-12)


def plane_axes(up: Vector) -> tuple[Vector, Vector]:
    """East and north, (3,) each, which form a right-handed frame with `up`."""
    east = np.array([1.0, 0.0, 0.0]) if abs(up[0]) < 0.9 else np.array([0.0, 0.0, 1.0])
    east = east - (east @ up) * up
    east /= np.linalg.norm(east)
    return east, np.cross(up, east)


def write_surroundings(path: Path, surroundings: Surroundings) -> None:
    """Write `surroundings.json`."""
    write_json(path, surroundings.as_json())


def read_surroundings(path: Path) -> Surroundings:
    """Read `surroundings.json`. Raises InvalidSceneError if it cannot be read or breaks the contract."""
    try:
        document = read_document(path)
        if document["version"] != SURROUNDINGS_VERSION:
            raise ValueError(f"version {document['version']!r}")
        ground, sky = document["ground"], document["sky"]
        return Surroundings(
            up=document["up"],
            ground=float(ground["height"]),
            ceiling=float(document["ceiling"]),
            haze=float(document["haze"]),
            footprint=document["footprint"],
            ground_colour=ground["colour"],
            horizon=sky["horizon"],
            zenith=sky["zenith"],
            sky_photographed=bool(sky["photographed"]),
        )
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise InvalidSceneError(f"{path.name} is malformed ({error!r})") from error
