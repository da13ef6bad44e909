"""Trees, hedges and flowers: clouds of flat elliptic leaves, each the size of a twig's worth of foliage.

A leaf is a disc with an albedo of its own. Leaves cover the outside of a crown's lobes; what lies inside is hidden.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sample.finishes import BARK
from sample.solids import Faces, Floats, Tint, join, tube


@dataclass(frozen=True)
class Leaves:
    """L elliptic discs: points centre + s·along + t·across with s² + t² ≤ 1."""

    centres: Floats  # (L, 3) metres
    along: Floats  # (L, 3) metres
    across: Floats  # (L, 3) metres
    normals: Floats  # (L, 3) unit, for light: mostly the crown's own surface, so that a crown reads as a body
    colours: Floats  # (L, 3) linear albedo

    def __len__(self) -> int:
        return len(self.centres)


@dataclass(frozen=True)
class Plant:
    """Leaves and, for trees, wood."""

    leaves: Leaves
    wood: Faces


@dataclass(frozen=True)
class Foliage:
    """How a plant's leaves look: two tints they vary between, half length and width in metres, layers over a surface."""

    light: Tint
    dark: Tint
    size: tuple[float, float] = (0.17, 0.105)
    cover: float = 1.7


OAK = Foliage((0.135, 0.185, 0.042), (0.050, 0.092, 0.022))
LIME = Foliage((0.180, 0.230, 0.055), (0.075, 0.125, 0.030))
BIRCH = Foliage((0.215, 0.240, 0.070), (0.105, 0.140, 0.040), (0.13, 0.085), 1.4)
MAPLE = Foliage((0.125, 0.150, 0.036), (0.058, 0.080, 0.022))
COPPER_BEECH = Foliage((0.150, 0.060, 0.050), (0.060, 0.026, 0.028))
SPRUCE = Foliage((0.070, 0.120, 0.060), (0.026, 0.056, 0.030), (0.22, 0.07), 2.2)
WILLOW = Foliage((0.195, 0.225, 0.095), (0.100, 0.135, 0.055), (0.20, 0.065), 1.8)
APPLE = Foliage((0.175, 0.205, 0.070), (0.080, 0.115, 0.036), (0.12, 0.08))
CHERRY = Foliage((0.520, 0.330, 0.360), (0.300, 0.165, 0.180), (0.12, 0.08))
BOX = Foliage((0.110, 0.165, 0.040), (0.045, 0.085, 0.024), (0.10, 0.07), 2.0)
LAVENDER = Foliage((0.270, 0.190, 0.420), (0.105, 0.125, 0.110), (0.09, 0.06), 1.8)


def join_leaves(parts: Iterable[Leaves]) -> Leaves:
    """All leaves of all parts, in order."""
    parts = list(parts)
    if not parts:
        nothing = np.zeros((0, 3))
        return Leaves(nothing, nothing, nothing, nothing, nothing)
    return Leaves(
        np.concatenate([part.centres for part in parts]),
        np.concatenate([part.along for part in parts]),
        np.concatenate([part.across for part in parts]),
        np.concatenate([part.normals for part in parts]),
        np.concatenate([part.colours for part in parts]),
    )


def unit(vectors: Floats) -> Floats:
    """Each row at length one."""
    length: Floats = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(length, 1e-12)


def leaves_on(
    points: Floats, outward: Floats, shade: Floats, foliage: Foliage, coarseness: float, random: np.random.Generator
) -> Leaves:
    """A leaf at each point, roughly facing `outward`; `shade` (N,) in [0, 1] runs from the dark tint to the light one."""
    count = len(points)
    facing = unit(outward + 0.75 * unit(random.normal(size=(count, 3))))
    along = unit(np.cross(facing, random.normal(size=(count, 3))))
    across = np.cross(facing, along)
    size = random.uniform(0.7, 1.25, (count, 1)) * coarseness
    blend = np.clip(shade + random.normal(0, 0.20, count), 0, 1)[:, None]
    colour = np.array(foliage.dark) * (1 - blend) + np.array(foliage.light) * blend
    colour = colour * random.uniform(0.82, 1.18, (count, 1))
    return Leaves(
        points,
        along * size * foliage.size[0],
        across * size * foliage.size[1],
        unit(0.75 * outward + 0.5 * facing),
        np.clip(colour, 0.005, 0.9),
    )


def leaf_count(area: float, foliage: Foliage, coarseness: float) -> int:
    """How many leaves cover `area` square metres as thickly as the foliage asks."""
    leaf = np.pi * foliage.size[0] * foliage.size[1] * coarseness**2
    return max(4, int(foliage.cover * area / leaf))


def lobed(
    lobes: Floats, radii: Floats, foliage: Foliage, coarseness: float, random: np.random.Generator
) -> Leaves:
    """Leaves over the union of spheres: lobes (K, 3), radii (K,)."""
    middle = lobes.mean(axis=0)
    height = max(float(np.ptp(lobes[:, 2])) + 2 * float(radii.max()), 0.5)
    parts = []
    for lobe, radius in zip(lobes, radii, strict=True):
        count = leaf_count(4 * np.pi * radius**2, foliage, coarseness)
        directions = unit(random.normal(size=(count, 3)))
        # Bumps a third of a lobe wide break up the sphere.
        bump = 1 + 0.13 * np.sin(directions @ random.normal(0, 4.5, (3, 3)) + random.uniform(0, 6.28, 3)).sum(axis=1) / 1.7
        depth = 1 - 0.16 * random.random(count) ** 2
        points = lobe + directions * (radius * bump * depth)[:, None]
        gap = np.linalg.norm(points[:, None] - lobes[None], axis=2) - 0.86 * radii[None]
        outside = gap.min(axis=1) > 0
        tone = 0.28 + 0.30 * (points[:, 2] - middle[2]) / height + 0.6 * (bump - 1) + float(random.normal(0.16, 0.10))
        outward = unit(0.7 * directions + 0.5 * unit(points - middle))
        parts.append(leaves_on(points[outside], outward[outside], tone[outside], foliage, coarseness, random))
    return join_leaves(parts)


def broadleaf(
    foot: Floats, height: float, spread: float, foliage: Foliage, coarseness: float, random: np.random.Generator
) -> Plant:
    """A round-headed tree of `height` and crown radius `spread` metres on a forked trunk."""
    crown = foot + np.array([0, 0, height - 0.48 * height + 0.02 * spread])
    half = np.array([spread, spread, 0.46 * height])
    count = int(9 + 2.2 * spread)
    golden = np.pi * (3 - np.sqrt(5))
    k = np.arange(count)
    up = 1 - 1.72 * (k + 0.5) / count
    turn = golden * k + random.uniform(0, 6.28)
    ring = np.sqrt(1 - up**2)
    shell = np.stack([ring * np.cos(turn), ring * np.sin(turn), up], 1)
    radii = spread * random.uniform(0.34, 0.50, count)
    lobes = crown + shell * np.maximum(half - radii[:, None] * 0.95, 0.1) * random.uniform(0.88, 1.08, (count, 1))
    lobes = np.concatenate([lobes, crown[None]])
    radii = np.append(radii, 0.62 * spread)
    wood = [trunk(foot, crown, 0.045 * height * 0.55, (0.15, 0.115, 0.085))]
    for lobe in lobes[: min(5, count)]:
        wood.append(trunk(foot * 0.4 + crown * 0.6, lobe, 0.014 * height, (0.15, 0.115, 0.085)))
    return Plant(lobed(lobes, radii, foliage, coarseness, random), join(wood))


def trunk(low: Floats, high: Floats, radius: float, tint: Tint) -> Faces:
    """A tapered stem."""
    return tube(low - np.array([0, 0, 0.3]), high, (radius, radius * 0.45), BARK, tint, 7)


def conifer(
    foot: Floats, height: float, spread: float, foliage: Foliage, coarseness: float, random: np.random.Generator
) -> Plant:
    """A spire with drooping whorls of branches."""
    slant = float(np.hypot(height, spread))
    count = leaf_count(1.25 * np.pi * spread * slant, foliage, coarseness)
    fall = np.sqrt(random.random(count))
    angle = random.uniform(0, 2 * np.pi, count)
    whorls = max(6, int(height / 0.75))
    ripple = 0.5 + 0.5 * np.cos(2 * np.pi * fall * whorls)
    arms = 0.5 + 0.5 * np.cos(angle * 9 + np.floor(fall * whorls) * 2.4)
    radius = spread * fall * (0.62 + 0.26 * ripple + 0.16 * arms) + 0.05
    level = height * (1.0 - 0.90 * fall) - 0.10 * radius
    points = foot + np.stack([radius * np.cos(angle), radius * np.sin(angle), level], 1)
    outward = unit(np.stack([np.cos(angle), np.sin(angle), np.full(count, 0.45 + 0.4)], 1))
    tone = 0.15 + 0.5 * ripple * arms + 0.15 * (1 - fall)
    wood = trunk(foot, foot + np.array([0, 0, 0.9 * height]), 0.02 * height, (0.13, 0.095, 0.07))
    return Plant(leaves_on(points, outward, tone, foliage, coarseness, random), wood)


def shrub(foot: Floats, radius: float, foliage: Foliage, coarseness: float, random: np.random.Generator) -> Leaves:
    """A low bush of three to five lobes."""
    count = int(random.integers(3, 6))
    lobes = foot + random.normal(0, 0.38 * radius, (count, 3)) * np.array([1, 1, 0.2]) + np.array([0, 0, 0.45 * radius])
    return lobed(lobes, radius * random.uniform(0.5, 0.75, count), foliage, coarseness, random)


def hedge(
    start: Floats, end: Floats, size: tuple[float, float], foliage: Foliage, coarseness: float, random: np.random.Generator
) -> Leaves:
    """A clipped hedge, width by height metres, between two points on the ground."""
    width, height = size
    length = float(np.linalg.norm(end - start))
    direction = (end - start) / max(length, 1e-9)
    side = unit(np.array([[-direction[1], direction[0], 0.0]]))[0]
    profile = 2 * height + width
    count = leaf_count(profile * length, foliage, coarseness)
    u = random.uniform(0, length, count)
    v = random.uniform(0, profile, count)
    wave = 0.10 * np.sin(u * 1.3 + 1) + 0.06 * np.sin(u * 3.1) + 0.05 * np.sin(v * 4 + u * 2)
    on_top = (v > height) & (v < height + width)
    sign = np.where(v <= height, -1.0, 1.0)
    across = np.where(on_top, v - height - width / 2, sign * (width / 2 + 0.4 * wave))
    level = np.where(on_top, height + 0.7 * wave, np.where(v <= height, v, profile - v))
    inset = 0.12 * random.random(count) ** 2
    points = start + direction * u[:, None] + side * (across * (1 - inset))[:, None]
    points[:, 2] += level - np.where(on_top, inset, 0)
    outward = np.where(on_top[:, None], np.array([0, 0, 1.0]), sign[:, None] * side + np.array([0, 0, 0.25]))
    tone = 0.30 + 0.25 * level / height + 1.2 * wave
    return leaves_on(points, unit(outward), tone, foliage, coarseness, random)


def flower_bed(
    centre: Floats, reach: Sequence[float], tints: Sequence[Tint], coarseness: float, random: np.random.Generator
) -> Leaves:
    """Cushions of flowers over an ellipse with half axes `reach`, each cushion of one tint above its green."""
    cushions = max(3, int(2.4 * np.pi * reach[0] * reach[1]))
    parts = []
    for _ in range(cushions):
        angle, radius = random.uniform(0, 2 * np.pi), np.sqrt(random.random())
        place = centre + np.array([reach[0] * radius * np.cos(angle), reach[1] * radius * np.sin(angle), 0.0])
        size = float(random.uniform(0.22, 0.42))
        green = Foliage((0.130, 0.190, 0.060), (0.055, 0.095, 0.030), (0.08, 0.045), 1.6)
        parts.append(lobed(place[None], np.array([size]), green, coarseness, random))
        tint = np.array(tints[int(random.integers(len(tints)))])
        bloom = Foliage(tuple(tint), tuple(0.55 * tint), (0.055, 0.05), 0.8)
        parts.append(lobed(place[None] + np.array([0, 0, 0.07]), np.array([size]), bloom, coarseness, random))
    return above(join_leaves(parts), float(centre[2]) - 0.05)


def above(leaves: Leaves, level: float) -> Leaves:
    """Only the leaves that are higher than `level` metres."""
    kept: NDArray[np.bool_] = leaves.centres[:, 2] > level
    return Leaves(
        leaves.centres[kept], leaves.along[kept], leaves.across[kept], leaves.normals[kept], leaves.colours[kept]
    )
