"""Objects in a garden: cars, fences, parasols, loungers, a table, a log pile, a trampoline."""

from math import cos, pi, sin

import numpy as np

from sample.finishes import BARK, BOARDS, FABRIC, GLASS, PAINT, PLAIN, STONE
from sample.solids import Faces, Tint, box, disc, frustum, join, panel, quad, triangle, tube

BLACK: Tint = (0.018, 0.018, 0.020)
TEAK: Tint = (0.27, 0.165, 0.09)


def car(paint: Tint) -> Faces:
    """A hatchback 4.3 m long, driving towards +x, about its middle on the ground."""
    parts = [
        frustum((-2.12, -0.86, 2.12, 0.86), (-2.15, -0.89, 2.15, 0.89), (0.22, 0.60), PAINT, paint),
        frustum((-2.15, -0.89, 2.15, 0.89), (-2.02, -0.80, 1.98, 0.80), (0.60, 0.90), PAINT, paint),
        quad((0.75, -0.80, 0.90), (1.98, -0.80, 0.90), (1.98, 0.80, 0.90), (0.75, 0.80, 0.98), PAINT, paint),
        frustum((-1.98, -0.79, 0.95, 0.79), (-1.45, -0.63, 0.15, 0.63), (0.90, 1.42), GLASS, paint),
        frustum((-1.45, -0.63, 0.15, 0.63), (-1.32, -0.56, 0.02, 0.56), (1.42, 1.47), PAINT, paint),
        quad((-1.32, -0.56, 1.47), (0.02, -0.56, 1.47), (0.02, 0.56, 1.47), (-1.32, 0.56, 1.47), PAINT, paint),
        box((-2.02, -0.80, 0.5), (1.98, 0.80, 0.899), PAINT, paint),
        box((-0.95, -0.30, 1.46), (-0.45, 0.30, 1.49), PLAIN, BLACK),
    ]
    for x in (-1.33, 1.33):
        for side in (-1.0, 1.0):
            y = side * 0.80
            parts.append(tube((x, y - 0.11, 0.32), (x, y + 0.11, 0.32), (0.32, 0.32), PLAIN, BLACK, 14))
            hub = (x, y + side * 0.112, 0.32)
            parts.append(disc(hub, 0.21, PLAIN, (0.42, 0.43, 0.45), 10, (0, side, 0)))
    for side in (-1.0, 1.0):
        low, high = sorted((side * 0.52, side * 0.82))
        parts.append(box((1.90, low, 0.66), (2.14, high, 0.80), PLAIN, (0.62, 0.63, 0.62)))
        parts.append(box((-2.14, low, 0.68), (-1.96, high, 0.84), PLAIN, (0.38, 0.03, 0.025)))
        parts.append(box((0.50, side * 0.98 - 0.09, 0.95), (0.66, side * 0.98 + 0.09, 1.07), PAINT, paint))
    parts.append(box((2.12, -0.26, 0.36), (2.17, 0.26, 0.48), PLAIN, (0.60, 0.60, 0.58)))
    parts.append(box((-2.17, -0.26, 0.42), (-2.12, 0.26, 0.54), PLAIN, (0.60, 0.60, 0.58)))
    return join(parts)


def fence_panel(length: float, height: float, tint: Tint) -> Faces:
    """One bay of a boarded fence along +x with a post at its start."""
    return join(
        [
            box((0.0, -0.03, -0.4), (length, 0.03, height), BOARDS, tint),
            box(
                (-0.07, -0.07, -0.4), (0.07, 0.07, height + 0.14), PLAIN, (tint[0] * 0.8, tint[1] * 0.8, tint[2] * 0.8)
            ),
            box((0.0, -0.06, height - 0.03), (length, 0.06, height + 0.03), PLAIN, tint),
        ]
    )


def parasol(tint: Tint, radius: float = 1.6) -> Faces:
    """An open sunshade of eight gores, every other one pale, on its pole."""
    rim = [(radius * cos(2 * pi * k / 8), radius * sin(2 * pi * k / 8), 2.15) for k in range(9)]
    pale: Tint = (0.66, 0.62, 0.54)
    parts = [triangle((0, 0, 2.75), rim[k], rim[k + 1], PAINT, tint if k % 2 else pale) for k in range(8)]
    parts.append(tube((0, 0, 0), (0, 0, 2.8), (0.045, 0.03), PLAIN, (0.5, 0.48, 0.44), 6))
    return join(parts)


def table_and_chairs() -> Faces:
    """A garden table with six chairs."""
    parts = [box((-1.0, -0.5, 0.70), (1.0, 0.5, 0.76), BOARDS, TEAK)]
    parts += [
        box((x - 0.05, y - 0.05, 0), (x + 0.05, y + 0.05, 0.7), PLAIN, TEAK) for x in (-0.85, 0.85) for y in (-0.4, 0.4)
    ]
    for x in (-0.62, 0.0, 0.62):
        for side in (-1.0, 1.0):
            y = side * 0.86
            parts.append(box((x - 0.23, y - 0.23, 0.38), (x + 0.23, y + 0.23, 0.45), FABRIC, (0.10, 0.20, 0.28)))
            back = y + side * 0.23
            parts.append(box((x - 0.23, back - 0.03, 0.2), (x + 0.23, back + 0.03, 0.92), BOARDS, TEAK))
    return join(parts)


def lounger(tint: Tint) -> Faces:
    """A sun lounger along +x, its back raised."""
    return join(
        [
            box((-0.95, -0.33, 0.20), (0.45, 0.33, 0.34), FABRIC, tint),
            panel((0.45, 0.33, 0.30), (0, -1.0, 0), (0.78, 0.0, 0.62), (0.66, 0.72, 0.08), FABRIC, tint),
            box((-0.9, -0.28, 0), (0.5, 0.28, 0.2), PLAIN, TEAK),
        ]
    )


def log_pile(length: float, seed: int) -> Faces:
    """Stacked firewood along +x, ends to the front."""
    random = np.random.default_rng(seed)
    parts = []
    for row in range(6):
        for column in range(int(length / 0.24)):
            x, z = 0.24 * column + 0.12 * (row % 2), 0.12 + 0.20 * row
            radius = float(random.uniform(0.10, 0.13))
            tone = float(random.uniform(0.6, 1.2))
            reach = float(random.uniform(0.45, 0.55))
            parts.append(tube((x, -reach, z), (x, 0.5, z), (radius, radius), BARK, (0.16, 0.11, 0.07), 6))
            rim = [(x + radius * cos(2 * pi * k / 6), -reach, z + radius * sin(2 * pi * k / 6)) for k in range(7)]
            cut: Tint = (0.50 * tone, 0.36 * tone, 0.21 * tone)
            parts += [triangle((x, -reach, z), rim[k], rim[k + 1], PLAIN, cut) for k in range(6)]
    return join(parts)


def trampoline() -> Faces:
    """A round trampoline with a blue pad."""
    rim = [(1.75 * cos(2 * pi * k / 20), 1.75 * sin(2 * pi * k / 20)) for k in range(21)]
    parts = [disc((0, 0, 0.85), 1.46, PLAIN, (0.035, 0.035, 0.04), 20)]
    for k in range(20):
        (x0, y0), (x1, y1) = rim[k], rim[k + 1]
        inner = 1.42 / 1.75
        pad: Tint = (0.05, 0.16, 0.40)
        parts.append(
            quad(
                (x0, y0, 0.86),
                (x1, y1, 0.86),
                (x1 * inner, y1 * inner, 0.89),
                (x0 * inner, y0 * inner, 0.89),
                PAINT,
                pad,
            )
        )
        if k % 4 == 0:
            parts.append(tube((x0, y0, 0), (x0, y0, 0.9), (0.04, 0.04), PLAIN, (0.3, 0.31, 0.33), 6))
    return join(parts)


def raised_bed(length: float, width: float) -> Faces:
    """The timber rim of a raised bed about its middle; what grows in it is planted apart."""
    x, y = length / 2, width / 2
    rim = (BOARDS, (0.24, 0.155, 0.09))
    return join(
        [
            box((-x, -y, -0.2), (x, -y + 0.07, 0.38), *rim),
            box((-x, y - 0.07, -0.2), (x, y, 0.38), *rim),
            box((-x, -y, -0.2), (-x + 0.07, y, 0.38), *rim),
            box((x - 0.07, -y, -0.2), (x, y, 0.38), *rim),
            quad((-x, -y, 0.30), (x, -y, 0.30), (x, y, 0.30), (-x, y, 0.30), PLAIN, (0.105, 0.07, 0.045)),
        ]
    )


def boulder(radius: float, seed: int) -> Faces:
    """A rough stone: an irregular six-sided frustum with a tilted cap."""
    random = np.random.default_rng(seed)
    ring = [
        (radius * random.uniform(0.8, 1.1) * cos(pi * k / 3), radius * random.uniform(0.8, 1.1) * sin(pi * k / 3))
        for k in range(6)
    ]
    top = [(0.62 * x, 0.62 * y, radius * random.uniform(0.5, 0.75)) for x, y in ring]
    tint: Tint = (0.30, 0.285, 0.26)
    apex = (0.0, 0.0, radius * 0.8)
    parts = []
    for k in range(6):
        j = (k + 1) % 6
        parts.append(triangle((*ring[k], -0.2), (*ring[j], -0.2), top[k], STONE, tint))
        parts.append(triangle((*ring[j], -0.2), top[j], top[k], STONE, tint))
        parts.append(triangle(top[k], top[j], apex, STONE, tint))
    return join(parts)
