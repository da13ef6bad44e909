"""Houses, garages and sheds, in their own coordinates: x along the front, y to the back, z up from the pad."""

from dataclasses import dataclass
from math import tan

import numpy as np

from sample.finishes import BOARDS, BRICK, GLASS, PLAIN, PLASTER, SOLAR, STONE, TILES
from sample.solids import Faces, Floats, Tint, box, join, panel, placed, quad, triangle, tube

FRAME: Tint = (0.66, 0.65, 0.62)
ZINC: Tint = (0.25, 0.26, 0.27)


@dataclass(frozen=True)
class HousePlan:
    """What differs from one house to the next; lengths in metres, pitch in radians, tints linear."""

    length: float = 13.0
    depth: float = 8.4
    eaves: float = 4.9
    pitch: float = 0.68
    wing: tuple[float, float, float] | None = (-2.6, 5.6, 5.2)  # middle x, width, how far it stands out
    wall: Tint = (0.66, 0.58, 0.45)
    roof: Tint = (0.300, 0.118, 0.068)
    shutter: Tint = (0.085, 0.150, 0.160)
    solar: bool = True


def roof_corner(plan: HousePlan) -> Floats:
    """The west end (3,) of the main ridge, at the verge: a landmark that many photos see."""
    return np.array([-plan.length / 2 - 0.35, 0.0, plan.eaves + tan(plan.pitch) * plan.depth / 2])


def gabled(
    length: float, depth: float, eaves: float, pitch: float, walls: tuple[int, Tint], roof: tuple[int, Tint]
) -> Faces:
    """Four walls and a saddle roof with its ridge along x, overhanging 0.35 m at the gables and 0.45 m at the eaves."""
    x, y, rise = length / 2, depth / 2, tan(pitch)
    ridge = eaves + rise * y
    wall, wall_tint = walls
    tile, tile_tint = roof
    verge, drop, thick = 0.35, 0.45, 0.16
    xe, ye, ze = x + verge, y + drop, eaves - rise * drop
    wood: Tint = (0.19, 0.135, 0.09)
    parts = [
        quad((-x, -y, -0.6), (x, -y, -0.6), (x, -y, eaves), (-x, -y, eaves), wall, wall_tint),
        quad((x, y, -0.6), (-x, y, -0.6), (-x, y, eaves), (x, y, eaves), wall, wall_tint),
        quad((x, -y, -0.6), (x, y, -0.6), (x, y, eaves), (x, -y, eaves), wall, wall_tint),
        quad((-x, y, -0.6), (-x, -y, -0.6), (-x, -y, eaves), (-x, y, eaves), wall, wall_tint),
        triangle((x, -y, eaves), (x, y, eaves), (x, 0, ridge), wall, wall_tint),
        triangle((-x, y, eaves), (-x, -y, eaves), (-x, 0, ridge), wall, wall_tint),
    ]
    for side in (-1.0, 1.0):
        a, b = np.array([-xe * -side, side * ye, ze]), np.array([xe * -side, side * ye, ze])
        c, d = np.array([xe * -side, 0, ridge]), np.array([-xe * -side, 0, ridge])
        down = np.array([0, 0, -thick])
        gutter = np.array([0, side * 0.07, -0.09])
        parts += [
            quad(a, b, c, d, tile, tile_tint),
            quad(a + down, d + down, c + down, b + down, BOARDS, wood),
            quad(a + down, b + down, b, a, BOARDS, wood),
            quad(b + down, c + down, c, b, BOARDS, wood),
            quad(d + down, a + down, a, d, BOARDS, wood),
            tube(a + gutter, b + gutter, (0.07, 0.07), PLAIN, ZINC, 6),
        ]
    parts.append(tube((-xe, 0, ridge + 0.01), (xe, 0, ridge + 0.01), (0.13, 0.13), PLAIN, tile_tint, 6))
    return join(parts)


def window(foot: tuple[float, float, float], right: Floats, size: tuple[float, float], shutter: Tint | None) -> Faces:
    """A framed window on a wall, lower left corner `foot`, with a sill and, if given a colour, open shutters."""
    up = np.array([0, 0, 1.0])
    out = np.cross(right, up)
    width, height = size
    origin = np.asarray(foot)
    pane_width = width / 2 - 0.10
    parts = [
        panel(origin, right, up, (width, height, 0.07), PLAIN, FRAME),
        panel(origin - right * 0.08 - up * 0.10, right, up, (width + 0.16, 0.09, 0.16), STONE, (0.42, 0.40, 0.36)),
    ]
    for k in range(2):
        corner = origin + right * (0.07 + k * (pane_width + 0.06)) + up * 0.07 + out * 0.078
        across = right * pane_width
        parts.append(
            quad(
                corner,
                corner + across,
                corner + across + up * (height - 0.14),
                corner + up * (height - 0.14),
                GLASS,
                FRAME,
            )
        )
    if shutter is not None:
        for x in (-width / 2 - 0.04, width + 0.04):
            parts.append(panel(origin + right * x, right, up, (width / 2, height, 0.05), BOARDS, shutter))
    return join(parts)


def door(foot: tuple[float, float, float], right: Floats, size: tuple[float, float], tint: Tint) -> Faces:
    """A boarded door in a stone frame on a wall, with a step before it."""
    up = np.array([0, 0, 1.0])
    out = np.cross(right, up)
    origin = np.asarray(foot)
    width, height = size
    step = origin - right * 0.3
    return join(
        [
            panel(origin - right * 0.12, right, up, (width + 0.24, height + 0.12, 0.06), STONE, (0.42, 0.40, 0.36)),
            panel(origin + out * 0.06, right, up, (width, height, 0.04), BOARDS, tint),
            panel(step - up * 0.2, right, up, (width + 0.6, 0.28, 0.9), STONE, (0.40, 0.38, 0.34)),
        ]
    )


def chimney(x: float, y: float, low: float, high: float) -> Faces:
    """A brick stack with a slab and two pots."""
    parts = [
        box((x - 0.5, y - 0.38, low), (x + 0.5, y + 0.38, high), BRICK, (0.32, 0.13, 0.085)),
        box((x - 0.6, y - 0.48, high), (x + 0.6, y + 0.48, high + 0.14), STONE, (0.36, 0.34, 0.31)),
    ]
    for side in (-0.24, 0.24):
        top = high + 0.52
        parts.append(tube((x + side, y, high + 0.1), (x + side, y, top), (0.15, 0.12), PLAIN, (0.38, 0.17, 0.10)))
        parts.append(placed(box((-0.09, -0.09, -0.05), (0.09, 0.09, 0), PLAIN, (0.02, 0.02, 0.02)), (x + side, y, top)))
    return join(parts)


def on_slope(plan: HousePlan, x: float, up: float, size: tuple[float, float, float], finish: int, tint: Tint) -> Faces:
    """A panel lying on the front roof slope, `up` metres above the eaves line along the slope."""
    slope = np.array([0, np.cos(plan.pitch), np.sin(plan.pitch)])
    eave = np.array([x, -plan.depth / 2 - 0.45, plan.eaves - tan(plan.pitch) * 0.45])
    return panel(eave + slope * up, np.array([1.0, 0, 0]), slope, size, finish, tint)


def house(plan: HousePlan) -> Faces:
    """A whole house about the middle of its main block."""
    x, y = plan.length / 2, plan.depth / 2
    ridge = plan.eaves + tan(plan.pitch) * y
    south, north = np.array([1.0, 0, 0]), np.array([-1.0, 0, 0])
    east, west = np.array([0, 1.0, 0]), np.array([0, -1.0, 0])
    parts = [gabled(plan.length, plan.depth, plan.eaves, plan.pitch, (PLASTER, plan.wall), (TILES, plan.roof))]
    parts.append(box((-x - 0.05, -y - 0.05, -0.6), (x + 0.05, y + 0.05, 0.45), STONE, (0.36, 0.33, 0.28)))
    parts.append(chimney(x * 0.42, y * 0.22, ridge - 2.2, ridge + 1.0))
    parts.append(chimney(-x * 0.72, y * 0.30, ridge - 2.4, ridge + 0.7))
    for z in (0.95, 3.15):
        for place in np.arange(-x + 1.3, x - 1.6, 2.75):
            parts.append(window((place + 1.1, y, z), north, (1.1, 1.25), plan.shutter))
        for place in (x - 2.3, x - 5.0):
            parts.append(window((place, -y, z), south, (1.1, 1.25), plan.shutter))
        for place in (-y + 1.4, y - 2.6):
            parts.append(window((x, place, z), east, (1.0, 1.25), plan.shutter))
            parts.append(window((-x, place + 1.0, z), west, (1.0, 1.25), plan.shutter))
    parts.append(window((x, -0.45, plan.eaves + 0.6), east, (0.9, 0.9), None))
    parts.append(window((-x, 0.45, plan.eaves + 0.6), west, (0.9, 0.9), None))
    if plan.wing is not None:
        parts.append(wing(plan, *plan.wing))
    if plan.solar:
        parts.append(on_slope(plan, x - 5.4, 1.5, (5.0, 3.2, 0.09), SOLAR, ZINC))
    for place in (-x + 0.5, x - 6.6):
        parts.append(on_slope(plan, place, 2.4, (0.82, 1.15, 0.10), PLAIN, (0.12, 0.11, 0.10)))
        parts.append(on_slope(plan, place + 0.08, 2.48, (0.66, 0.99, 0.12), GLASS, ZINC))
    return join(parts)


def wing(plan: HousePlan, middle: float, width: float, reach: float) -> Faces:
    """A lower wing that stands out to the front, its ridge running into the main roof."""
    eaves, depth = plan.eaves - 0.7, plan.depth / 2
    length = reach + depth
    south = np.array([1.0, 0, 0])
    body = gabled(length, width, eaves, plan.pitch, (PLASTER, plan.wall), (TILES, plan.roof))
    front = -depth - reach
    parts = [placed(body, (middle, front + length / 2, 0), -np.pi / 2)]
    base = ((middle - width / 2 - 0.05, front - 0.05, -0.6), (middle + width / 2 + 0.05, -depth, 0.45))
    parts.append(box(*base, STONE, (0.36, 0.33, 0.28)))
    parts.append(door((middle - 0.55, front, 0.1), south, (1.1, 2.15), (0.22, 0.055, 0.045)))
    parts.append(window((middle - 2.1, front, 0.95), south, (0.95, 1.2), plan.shutter))
    parts.append(window((middle + 1.15, front, 0.95), south, (0.95, 1.2), plan.shutter))
    parts.append(window((middle - 0.6, front, 3.1), south, (1.2, 1.25), plan.shutter))
    for z in (0.95, 2.75):
        parts.append(window((middle + width / 2, front + 1.8, z), np.array([0, 1.0, 0]), (1.0, 1.2), plan.shutter))
        parts.append(window((middle - width / 2, front + 2.8, z), np.array([0, -1.0, 0]), (1.0, 1.2), plan.shutter))
    return join(parts)


def garage(roof: Tint) -> Faces:
    """A timber garage for one car, its door to the front, about its middle."""
    parts = [gabled(6.6, 4.2, 2.5, 0.52, (BOARDS, (0.25, 0.17, 0.105)), (TILES, roof))]
    body = placed(join(parts), (0, 0, 0), np.pi / 2)
    gate = panel((-1.35, -3.3, 0.0), (1.0, 0, 0), (0, 0, 1.0), (2.7, 2.25, 0.05), BOARDS, (0.50, 0.49, 0.45))
    side = window((2.1, -0.5, 1.0), np.array([0, 1.0, 0]), (1.0, 0.9), None)
    return join([body, gate, side])


def shed() -> Faces:
    """A garden shed with a low roof, its door to the front."""
    body = gabled(3.6, 2.6, 2.0, 0.42, (BOARDS, (0.30, 0.115, 0.075)), (PLAIN, (0.115, 0.120, 0.125)))
    hatch = panel((-0.5, -1.3, 0.0), (1.0, 0, 0), (0, 0, 1.0), (0.95, 1.8, 0.05), BOARDS, (0.46, 0.44, 0.40))
    return join([body, hatch, window((0.75, -1.3, 0.9), np.array([1.0, 0, 0]), (0.7, 0.6), None)])
