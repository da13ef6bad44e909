"""Trees, hedges and flowers: clouds of flat elliptic leaves, each the size of a twig's worth of foliage.

A leaf is a disc with an albedo of its own. Leaves cover the outside of a crown's lobes; what lies inside is hidden.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sample.finishes import BARK
from sample.jit import compiled
from sample.solids import Faces, Floats, Tint, crossed, join, tube


@dataclass(frozen=True)
class Leaves:
    """L elliptic discs: points centre + s·along + t·across with s² + t² ≤ 1."""

    centres: Floats  # (L, 3) metres
    along: Floats  # (L, 3) metres
    across: Floats  # (L, 3) metres
    normals: Floats  # (L, 3) unit, for light: mostly the crown's, so that it reads as a body
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
    """How a plant's leaves look: the tints they vary between, half length and width (m), layers over a surface."""

    light: Tint
    dark: Tint
    size: tuple[float, float] = (0.105, 0.068)
    cover: float = 1.75


OAK = Foliage((0.145, 0.200, 0.042), (0.055, 0.100, 0.022))
LIME = Foliage((0.200, 0.250, 0.055), (0.085, 0.140, 0.030))
BIRCH = Foliage((0.245, 0.270, 0.075), (0.120, 0.160, 0.045), (0.085, 0.055), 1.5)
MAPLE = Foliage((0.150, 0.175, 0.038), (0.068, 0.094, 0.024))
COPPER_BEECH = Foliage((0.170, 0.062, 0.050), (0.066, 0.027, 0.028))
SPRUCE = Foliage((0.080, 0.135, 0.066), (0.030, 0.062, 0.033), (0.15, 0.045), 2.1)
WILLOW = Foliage((0.215, 0.245, 0.100), (0.110, 0.148, 0.060), (0.14, 0.042), 1.8)
APPLE = Foliage((0.190, 0.225, 0.072), (0.085, 0.125, 0.038), (0.08, 0.055))
CHERRY = Foliage((0.600, 0.400, 0.430), (0.340, 0.190, 0.205), (0.07, 0.055))
BOX = Foliage((0.120, 0.180, 0.042), (0.050, 0.094, 0.026), (0.068, 0.046), 1.9)
LAVENDER = Foliage((0.300, 0.215, 0.470), (0.110, 0.130, 0.115), (0.06, 0.035), 1.8)


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
    length: Floats = np.sqrt((vectors**2).sum(axis=1, keepdims=True))
    return vectors / np.maximum(length, 1e-12)


def leaves_on(
    points: Floats, outward: Floats, shade: Floats, foliage: Foliage, coarseness: float, random: np.random.Generator
) -> Leaves:
    """A leaf at each point, roughly facing `outward`; `shade` (N,) runs from 0, the dark tint, to 1, the light one."""
    count = len(points)
    facing = unit(outward + 0.75 * unit(random.normal(size=(count, 3))))
    along = unit(crossed(facing, random.normal(size=(count, 3))))
    across = crossed(facing, along)
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


@compiled
def clear_of(points: Floats, centres: Floats, radii: Floats) -> NDArray[np.bool_]:
    """Which points (N, 3) lie in none of the spheres."""
    clear = np.ones(len(points), np.bool_)
    for n in range(len(points)):
        for k in range(len(centres)):
            dx, dy = points[n, 0] - centres[k, 0], points[n, 1] - centres[k, 1]
            dz = points[n, 2] - centres[k, 2]
            if dx * dx + dy * dy + dz * dz < radii[k] * radii[k]:
                clear[n] = False
                break
    return clear


def lobed(lobes: Floats, radii: Floats, foliage: Foliage, coarseness: float, random: np.random.Generator) -> Leaves:
    """Leaves over the union of spheres: lobes (K, 3), radii (K,)."""
    middle = lobes.mean(axis=0)
    height = max(float(np.ptp(lobes[:, 2])) + 2 * float(radii.max()), 0.5)
    points, outward, tone = [], [], []
    for lobe, radius in zip(lobes, radii, strict=True):
        count = leaf_count(4 * np.pi * radius**2, foliage, coarseness)
        directions = unit(random.normal(size=(count, 3)))
        # Bumps a third of a lobe wide break up the sphere.
        waves = np.sin(directions @ random.normal(0, 4.5, (3, 3)) + random.uniform(0, 6.28, 3))
        bump = 0.076 * (waves[:, 0] + waves[:, 1] + waves[:, 2])
        depth = 1 - 0.16 * random.random(count) ** 2
        place = lobe + directions * (radius * (1 + bump) * depth)[:, None]
        points.append(place)
        outward.append(unit(0.7 * directions + 0.5 * unit(place - middle)))
        tone.append(0.28 + 0.30 * (place[:, 2] - middle[2]) / height + 0.6 * bump + float(random.normal(0.16, 0.10)))
    everywhere = np.concatenate(points)
    outside = clear_of(everywhere, lobes, 0.86 * radii)
    return leaves_on(
        everywhere[outside],
        np.concatenate(outward)[outside],
        np.concatenate(tone)[outside],
        foliage,
        coarseness,
        random,
    )


def broadleaf(
    foot: Floats, height: float, spread: float, foliage: Foliage, coarseness: float, random: np.random.Generator
) -> Plant:
    """A round-headed tree of `height` and crown radius `spread` metres on a forked trunk."""
    crown = foot + np.array([0, 0, height - 0.48 * height + 0.02 * spread])
    half = np.array([spread, spread, 0.46 * height])
    count = int(10 + 4.0 * spread)
    golden = np.pi * (3 - np.sqrt(5))
    k = np.arange(count)
    up = 1 - 1.72 * (k + 0.5) / count
    turn = golden * k + random.uniform(0, 6.28)
    ring = np.sqrt(1 - up**2)
    shell = np.stack([ring * np.cos(turn), ring * np.sin(turn), up], 1)
    radii = spread * random.uniform(0.20, 0.48, count)
    lobes = crown + shell * np.maximum(half - radii[:, None] * 0.95, 0.1) * random.uniform(0.72, 1.22, (count, 1))
    lobes += random.normal(0, 0.09 * spread, (count, 3))
    lobes = np.concatenate([lobes, crown[None]])
    radii = np.append(radii, 0.60 * spread)
    wood = [trunk(foot, crown, 0.045 * height * 0.55, (0.15, 0.115, 0.085))]
    for lobe in lobes[:5] if coarseness < 2 else []:
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
    start: Floats,
    end: Floats,
    size: tuple[float, float],
    foliage: Foliage,
    coarseness: float,
    random: np.random.Generator,
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
    angle, radius = random.uniform(0, 2 * np.pi, cushions), np.sqrt(random.random(cushions))
    offsets = np.stack([reach[0] * radius * np.cos(angle), reach[1] * radius * np.sin(angle), np.zeros(cushions)], 1)
    sizes = random.uniform(0.22, 0.42, cushions)
    green = Foliage((0.130, 0.190, 0.060), (0.055, 0.095, 0.030), (0.06, 0.035), 1.6)
    parts = [lobed(centre + offsets, sizes, green, coarseness, random)]
    kinds = random.integers(len(tints), size=cushions)
    for kind in np.unique(kinds):
        light = tints[kind]
        dark = (0.55 * light[0], 0.55 * light[1], 0.55 * light[2])
        bloom = Foliage(light, dark, (0.045, 0.040), 0.7)
        raised = centre + offsets[kinds == kind] + np.array([0, 0, 0.07])
        parts.append(lobed(raised, sizes[kinds == kind], bloom, coarseness, random))
    return above(join_leaves(parts), float(centre[2]) - 0.05)


def above(leaves: Leaves, level: float) -> Leaves:
    """Only the leaves that are higher than `level` metres."""
    kept: NDArray[np.bool_] = leaves.centres[:, 2] > level
    return Leaves(
        leaves.centres[kept], leaves.along[kept], leaves.across[kept], leaves.normals[kept], leaves.colours[kept]
    )
