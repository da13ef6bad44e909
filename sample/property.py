"""Lay out the property: a country house and its garden; neighbours, fields and woods around it, or farmland."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sample import plants
from sample.buildings import HousePlan, roof_corner
from sample.fields import lay_out_farmland, lay_out_field
from sample.gardens import HOUSE_AT, PADS, lay_out_garden
from sample.ground import LOT, Shape, ground_plan
from sample.lot import Lot
from sample.noise import hashed
from sample.plants import Leaves
from sample.scene import Property
from sample.solids import Faces, join
from sample.terrain import REACH, build_terrain
from sample.textures import FOREST, FURROWS, LAWN, LITTER, MEADOW, PASTURE, STRAW, TILLED

FURNISHED = 110.0  # metres beyond the flight's ground where trees and houses still stand
FIELDS = (MEADOW, STRAW, FURROWS, MEADOW, FOREST, STRAW, MEADOW)


def base_material(i: int, j: int, seed: int) -> int:
    """What grows on lot (i, j): the garden in the middle; gardens along every other row's road; fields and woods."""
    if (i, j) == (0, 0) or (j % 2 == 0 and hashed(i, j, 700 + seed) < 0.4):
        return LAWN
    # Fields are larger than lots: pairs of lots are one field.
    return FIELDS[int(hashed(i // 2, j, 900 + seed) * len(FIELDS))]


def farmland_material(i: int, j: int, seed: int) -> int:
    """What grows on lot (i, j) of farmland: one garden amid large fields."""
    if (i, j) == (0, 0):
        return LAWN
    return TILLED if hashed((i + 1) // 3, j // 2, 1300 + seed) < 0.5 else PASTURE


@dataclass(frozen=True)
class Land:
    """A kind of landscape: what grows on lot (i, j) of a seed, and how a lot without a house is laid out, given what
    grows there and whether its row has a road.
    """

    material: Callable[[int, int, int], int]
    lay_out: Callable[[Lot, int, bool], None]
    roads_every: int  # rows of lots


VILLAGE = Land(base_material, lay_out_field, 2)
FARMLAND = Land(farmland_material, lay_out_farmland, 8)


def build_property(half: tuple[float, float], seed: int, land: Land = VILLAGE) -> Property:
    """The property about a flight over half[0] by half[1] metres either side of the origin."""
    far_i, far_j = (int((size + REACH) / pitch) + 1 for size, pitch in zip(half, LOT, strict=True))
    bases = {(i, j): land.material(i, j, seed) for i in range(-far_i, far_i + 1) for j in range(-far_j, far_j + 1)}
    reach = [size + FURNISHED + pitch / 2 for size, pitch in zip(half, LOT, strict=True)]
    near = [(i, j) for i, j in bases if abs(i) * LOT[0] < reach[0] and abs(j) * LOT[1] < reach[1]]
    mirrored = {lot: lot != (0, 0) and hashed(*lot, 800 + seed) < 0.5 for lot in near}
    pads = [
        (i * LOT[0] + (-x if mirrored[i, j] else x), j * LOT[1] + y, a, b)
        for i, j in near
        if bases[i, j] == LAWN
        for x, y, a, b in PADS
    ]
    terrain = build_terrain(*half, np.array(pads))
    ground: dict[tuple[int, int], tuple[int, list[Shape]]] = {lot: (base, []) for lot, base in bases.items()}
    faces: list[Faces] = []
    leaves: list[Leaves] = []
    for i, j in near:
        random = np.random.default_rng([seed, i + 1000, j + 1000])
        lot = Lot(terrain, (i * LOT[0], j * LOT[1]), mirrored[i, j], random)
        if bases[i, j] == LAWN:
            lay_out_garden(lot, HousePlan() if (i, j) == (0, 0) else None)
        else:
            land.lay_out(lot, bases[i, j], j % land.roads_every == 0)
        # Woods that have trees stand on litter; those too far for trees are painted.
        ground[i, j] = (LITTER if bases[i, j] == FOREST else bases[i, j]), lot.shapes
        faces += lot.faces
        leaves += lot.leaves
    corner = roof_corner(HousePlan()) + terrain.on(*HOUSE_AT)
    landmarks = {"west end of the ridge": corner}
    return Property(terrain, ground_plan(ground), join(faces), plants.join_leaves(leaves), landmarks)
