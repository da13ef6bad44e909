"""Ground cover: shapes laid over one another, and the texture of the lit ground baked from them."""

from dataclasses import dataclass
from math import cos, floor, hypot, sin

import numpy as np
from numpy.typing import NDArray

from sample.jit import compiled, compiled_parallel, prange
from sample.lighting import Light, ShadowMap, SkyMap, sky_at, sun_share
from sample.noise import fractal, smoothstep, value_noise
from sample.solids import Floats
from sample.terrain import Terrain, surface
from sample.textures import ground_albedo

RECTANGLE, STROKE = 0, 1
LOT = (58.0, 52.0)  # metres from lot to lot, east and north


@dataclass(frozen=True)
class Shape:
    """A patch of one material. A rectangle is middle x, y, half sizes, corner radius, heading; a stroke is two points
    and a half width (a disc is a stroke of no length). Its edge is `soft` metres wide and wavers by `ragged` metres."""

    kind: int
    numbers: tuple[float, float, float, float, float, float]
    material: int
    soft: float = 0.03
    ragged: float = 0.0


@dataclass(frozen=True)
class GroundPlan:
    """The shapes of every lot. Lots tile the plane; a lot's shapes are counts[i, j] from first[i, j]."""

    numbers: Floats  # (S, 8): a shape's six numbers, soft, ragged
    kinds: NDArray[np.int64]  # (S, 2): kind, material
    first: NDArray[np.int64]  # (lots across, lots up)
    counts: NDArray[np.int64]
    base: NDArray[np.int64]  # the material under the shapes
    corner: tuple[int, int]  # index of the lot at [0, 0]


def ground_plan(lots: dict[tuple[int, int], tuple[int, list[Shape]]]) -> GroundPlan:
    """Arrays from {(i, j): (base material, shapes)}; the lots must fill a rectangle of indices."""
    low = min(i for i, _ in lots), min(j for _, j in lots)
    high = max(i for i, _ in lots), max(j for _, j in lots)
    size = high[0] - low[0] + 1, high[1] - low[1] + 1
    first, counts, base = (np.zeros(size, np.int64) for _ in range(3))
    numbers: list[tuple[float, ...]] = []
    kinds: list[tuple[int, int]] = []
    for (i, j), (material, shapes) in lots.items():
        cell = i - low[0], j - low[1]
        first[cell], counts[cell], base[cell] = len(numbers), len(shapes), material
        numbers += [(*shape.numbers, shape.soft, shape.ragged) for shape in shapes]
        kinds += [(shape.kind, shape.material) for shape in shapes]
    return GroundPlan(
        np.array(numbers, np.float64).reshape(-1, 8), np.array(kinds, np.int64).reshape(-1, 2), first, counts, base, low
    )


@compiled
def inside_by(kind: int, numbers: Floats, x: float, y: float) -> tuple[float, float, float]:
    """Signed distance to a shape (negative inside) and the place in the shape's own axes."""
    if kind == RECTANGLE:
        turn = numbers[5]
        dx, dy = x - numbers[0], y - numbers[1]
        u, v = cos(turn) * dx + sin(turn) * dy, cos(turn) * dy - sin(turn) * dx
        radius = numbers[4]
        qx, qy = abs(u) - numbers[2] + radius, abs(v) - numbers[3] + radius
        return hypot(max(qx, 0.0), max(qy, 0.0)) + min(max(qx, qy), 0.0) - radius, u, v
    ax, ay = numbers[2] - numbers[0], numbers[3] - numbers[1]
    px, py = x - numbers[0], y - numbers[1]
    along = min(max((px * ax + py * ay) / max(ax * ax + ay * ay, 1e-9), 0.0), 1.0)
    return hypot(px - along * ax, py - along * ay) - numbers[4], x, y


@compiled
def covering(
    x: float, y: float, footprint: float, numbers: Floats, kinds: NDArray[np.int64], first: int, count: int, base: int
) -> tuple[float, float, float]:
    """Albedo at a place: the shapes of its lot, the last on top, over the base."""
    red = green = blue = 0.0
    left = 1.0
    stray = 1.3 * (value_noise(x / 0.45, y / 0.45, 401) - 0.5) + 0.7 * (value_noise(x / 0.13, y / 0.13, 409) - 0.5)
    for index in range(first + count - 1, first - 1, -1):
        shape = numbers[index]
        distance, u, v = inside_by(kinds[index, 0], shape, x, y)
        if distance > 1.0:
            continue
        soft = shape[6] + 0.5 * footprint
        cover = 1 - smoothstep(-soft, soft, distance + shape[7] * stray)
        if cover > 0.0:
            r, g, b = ground_albedo(kinds[index, 1], u, v, footprint)
            red, green, blue = red + left * cover * r, green + left * cover * g, blue + left * cover * b
            left *= 1 - cover
            if left < 0.004:
                return red, green, blue
    r, g, b = ground_albedo(base, x, y, footprint)
    # Weather and soil are older than the garden: a tone that runs across all grass.
    age = 0.84 + 0.32 * fractal(x / 47.0 + 3.1, y / 47.0, 3, 419)
    return red + left * r * age, green + left * g * age, blue + left * b * age


@compiled_parallel
def bake_rows(
    rows: int, columns: int, low_x: float, low_y: float, texel: float,
    lines_x: Floats, lines_y: Floats, heights: Floats,
    numbers: Floats, kinds: NDArray[np.int64], first: NDArray[np.int64], counts: NDArray[np.int64],
    base: NDArray[np.int64], corner_x: int, corner_y: int, lot_x: float, lot_y: float,
    near: NDArray[np.float32], near_frame: Floats, far: NDArray[np.float32], far_frame: Floats,
    sky: NDArray[np.float32], sky_frame: Floats, sun: Floats, sun_colour: Floats, pixels: NDArray[np.float32],
) -> None:  # fmt: skip
    """Fill `pixels` (rows, columns, 3) with the radiance of lit ground; row 0 is the south edge."""
    for row in prange(rows):
        y = low_y + (row + 0.5) * texel
        for column in range(columns):
            x = low_x + (column + 0.5) * texel
            # Lots do not meet along a ruled line.
            wx = x + 1.6 * (value_noise(x / 2.3, y / 2.3, 431) - 0.5)
            wy = y + 1.6 * (value_noise(x / 2.3, y / 2.3, 433) - 0.5)
            i = min(max(floor(wx / lot_x + 0.5) - corner_x, 0), first.shape[0] - 1)
            j = min(max(floor(wy / lot_y + 0.5) - corner_y, 0), first.shape[1] - 1)
            red, green, blue = covering(x, y, texel, numbers, kinds, first[i, j], counts[i, j], base[i, j])
            height, slope_x, slope_y = surface(lines_x, lines_y, heights, x, y)
            scale = 1 / (1 + slope_x * slope_x + slope_y * slope_y) ** 0.5
            facing = max((sun[2] - slope_x * sun[0] - slope_y * sun[1]) * scale, 0.0)
            share = facing * sun_share(near, near_frame, far, far_frame, x, y, height, 0.05)
            sr, sg, sb = sky_at(sky, sky_frame, x, y)
            pixels[row, column, 0] = red * (sun_colour[0] * share + sr)
            pixels[row, column, 1] = green * (sun_colour[1] * share + sg)
            pixels[row, column, 2] = blue * (sun_colour[2] * share + sb)


@dataclass(frozen=True)
class GroundMap:
    """Radiance of the ground seen from above: M maps, the finest and smallest first, each a pyramid of ever coarser
    levels (each texel the mean of four)."""

    texels: NDArray[np.uint8]  # (all texels of all levels, 3): 255 · sqrt(radiance / BRIGHTEST)
    levels: NDArray[np.int64]  # (M, LEVELS, 3): first texel, rows, columns
    frames: Floats  # (M, 3): low x, low y, texel size of level 0, metres


BRIGHTEST = 1.7
LEVELS = 7


def bake_ground(
    extents: list[tuple[Floats, float]],
    terrain: Terrain, plan: GroundPlan, light: Light, near: ShadowMap, far: ShadowMap, sky: SkyMap,
) -> GroundMap:  # fmt: skip
    """Light the ground over rectangles about the origin: half sizes (2,) and texel size of each, metres."""
    texels, levels, frames, start = [], [], [], 0
    for half, texel in extents:
        # Whole multiples of 64 texels keep every level of the pyramid aligned.
        columns, rows = (int(np.ceil(2 * length / texel / 64)) * 64 for length in half)
        pixels = np.empty((rows, columns, 3), np.float32)
        bake_rows(
            rows, columns, -half[0], -half[1], texel, terrain.lines_x, terrain.lines_y, terrain.heights,
            plan.numbers, plan.kinds, plan.first, plan.counts, plan.base, *plan.corner, *LOT,
            near.nearest, near.frame, far.nearest, far.frame, sky.radiance, sky.frame,
            light.sun, light.sun_colour, pixels,
        )  # fmt: skip
        frames.append((-half[0], -half[1], texel))
        for level in range(LEVELS):
            if level:
                pixels = pixels[::2, ::2] + pixels[1::2, ::2] + pixels[::2, 1::2] + pixels[1::2, 1::2]
                pixels *= np.float32(0.25)
            levels.append((start, pixels.shape[0], pixels.shape[1]))
            coded = np.sqrt(np.clip(pixels / np.float32(BRIGHTEST), 0, 1))
            texels.append((coded * 255 + 0.5).astype(np.uint8).reshape(-1, 3))
            start += pixels.shape[0] * pixels.shape[1]
    return GroundMap(np.concatenate(texels), np.array(levels).reshape(-1, LEVELS, 3), np.array(frames))
