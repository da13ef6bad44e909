"""A property made ready for the camera: geometry in one list, all light baken."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sample.atlas import bake_atlas, face_triangles, lay_out, sky_points
from sample.ground import GroundMap, GroundPlan, bake_ground
from sample.lighting import Light, SkyMap, light_leaves, shadow_map, sky_shares
from sample.plants import Leaves
from sample.solids import Faces, Floats
from sample.terrain import REACH, Terrain
from sample.visibility import Primitives

FAR_TEXEL = 0.17  # metres on the ground beyond the flight's rectangle
HORIZON_TEXEL = 1.2
SHADOW_TEXEL = 0.04
SKY_CELL = 0.4


@dataclass(frozen=True)
class Property:
    """What stands where: all that the picture is made from."""

    terrain: Terrain
    plan: GroundPlan
    faces: Faces
    leaves: Leaves
    landmarks: dict[str, Floats]  # known points (3,), ENU metres


@dataclass(frozen=True)
class Scene:
    """Primitives (terrain's triangles, then faces' triangles, then leaves) and what colour each has."""

    primitives: Primitives
    face_start: int  # the first triangle of a face
    places: Floats  # (face triangles, 3, 2) texels in the atlas
    atlas: NDArray[np.uint8]  # (rows, columns, 3) coded radiance
    radiance: Floats  # (leaves, 3)
    ground: GroundMap


def within(points: Floats, half: Floats) -> NDArray[np.bool_]:
    """Which points (N, 3) lie above the rectangle of half sizes (2,)."""
    inside: NDArray[np.bool_] = np.all(np.abs(points[:, :2]) <= half, axis=1)
    return inside


def illuminate(scenery: Property, light: Light, texel: float, reach: float = 150.0) -> Scene:
    """Bake all light. Shadows and textures are fine (`texel` metres) within the terrain's
    rectangle, and coarse up to `reach` metres beyond."""
    terrain, faces, leaves = scenery.terrain, scenery.faces, scenery.leaves
    texels = np.where(within(faces.corners[:, 0], terrain.half + 2.0), texel, 4 * texel)
    layout = lay_out(faces, texels)
    built, places = face_triangles(faces, layout)
    land = terrain.vertices()[terrain.triangles()]
    foliage = np.stack([leaves.along, leaves.across, leaves.centres], 1)
    primitives = Primitives(np.concatenate([land, built, foliage]), len(land) + len(built))

    inner = within(terrain.vertices(), terrain.half + 12.0)
    bottom, top = terrain.vertices()[inner, 2].min() - 1, terrain.vertices()[inner, 2].max() + 14
    low, high = np.array([*-terrain.half, bottom]), np.array([*terrain.half, top])
    far_low, far_high = low - np.array([reach, reach, 8]), high + np.array([reach, reach, 12])
    near_sun = shadow_map(primitives, light.sun, low, high, SHADOW_TEXEL)
    far_sun = shadow_map(primitives, light.sun, far_low, far_high, 6 * SHADOW_TEXEL)

    face_points, face_normals, grids = sky_points(faces)
    ground_points, ground_normals, shape = ground_grid(terrain)
    groups = [
        (face_points, face_normals, 0.0),
        (leaves.centres, leaves.normals, 0.35),
        (ground_points, ground_normals, 0.0),
    ]
    edge = np.array([40.0, 40.0, 0.0])
    on_faces, on_leaves, on_ground = sky_shares(primitives, low - edge, high + edge, groups)
    sky_light = light.sky_colour * (0.06 + 0.94 * on_ground[:, None]) + 0.06 * light.bounce
    open_sky = light.sky_colour + 0.06 * light.bounce
    sky = SkyMap(sky_light.reshape(*shape, 3).astype(np.float32), np.array([*-terrain.half, SKY_CELL, *open_sky]))
    colours = np.stack([light.sun, light.sun_colour, light.sky_colour, light.bounce])
    extents = [(terrain.half, texel), (terrain.half + reach, FAR_TEXEL), (terrain.half + REACH, HORIZON_TEXEL)]
    return Scene(
        primitives,
        len(land),
        places,
        bake_atlas(faces, layout, grids, on_faces, colours, near_sun, far_sun),
        light_leaves(
            leaves.centres, leaves.normals, leaves.colours, on_leaves, colours,
            near_sun.nearest, near_sun.frame, far_sun.nearest, far_sun.frame,
        ),
        bake_ground(extents, terrain, scenery.plan, light, near_sun, far_sun, sky),
    )  # fmt: skip


def ground_grid(terrain: Terrain) -> tuple[Floats, Floats, tuple[int, int]]:
    """Points and upright normals (N, 3) on the ground's fine rectangle, SKY_CELL apart, and their (rows, columns)."""
    columns, rows = (int(np.ceil(2 * half / SKY_CELL)) for half in terrain.half)
    x = -terrain.half[0] + (np.arange(columns) + 0.5) * SKY_CELL
    y = -terrain.half[1] + (np.arange(rows) + 0.5) * SKY_CELL
    points = terrain.drape(np.stack(np.meshgrid(x, y), 2).reshape(-1, 2))
    return points, np.tile([0.0, 0.0, 1.0], (len(points), 1)), (rows, columns)
