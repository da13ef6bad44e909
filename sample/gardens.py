"""Lay out the garden of a house, the main subject; metres from the lot's middle, the road in the south."""

from math import pi

import numpy as np

from sample import buildings, outdoors, plants
from sample.buildings import HousePlan
from sample.fields import ROAD_AT, road
from sample.lot import FLOWERS, Lot
from sample.plants import APPLE, BIRCH, BOX, CHERRY, COPPER_BEECH, LAVENDER, LIME, MAPLE, OAK, SPRUCE, WILLOW
from sample.textures import ASPHALT, COBBLES, COPING, FURROWS, GRAVEL, PAVING, WATER

HOUSE_AT = (2.0, 3.0)
PADS = ((2.0, 0.6, 8.4, 9.0), (-15.0, 9.6, 7.2, 5.4), (17.0, -5.5, 3.2, 4.6))  # levelled: middles and half sizes

WALLS = ((0.66, 0.58, 0.45), (0.62, 0.60, 0.56), (0.60, 0.45, 0.30), (0.56, 0.38, 0.29), (0.50, 0.53, 0.52))
ROOFS = ((0.300, 0.118, 0.068), (0.215, 0.105, 0.075), (0.125, 0.120, 0.125), (0.270, 0.150, 0.085))
SHUTTERS = ((0.085, 0.150, 0.160), (0.060, 0.125, 0.070), (0.235, 0.065, 0.045), (0.310, 0.300, 0.270))
PAINTS = ((0.38, 0.030, 0.025), (0.46, 0.47, 0.48), (0.035, 0.085, 0.230), (0.58, 0.58, 0.56), (0.055, 0.060, 0.065))


def random_house(random: np.random.Generator) -> HousePlan:
    """A neighbour's house, small enough for the same pad."""
    wing = (float(random.uniform(-3.0, 1.5)), float(random.uniform(5.0, 6.0)), float(random.uniform(2.5, 5.0)))
    return HousePlan(
        float(random.uniform(10.5, 13.5)),
        float(random.uniform(7.4, 8.8)),
        float(random.uniform(4.2, 5.2)),
        float(random.uniform(0.60, 0.78)),
        wing if random.random() < 0.7 else None,
        WALLS[int(random.integers(len(WALLS)))],
        ROOFS[int(random.integers(len(ROOFS)))],
        SHUTTERS[int(random.integers(len(SHUTTERS)))],
        bool(random.random() < 0.4),
    )


def lay_out_garden(lot: Lot, plan: HousePlan | None) -> None:
    """The whole lot of a house; without a plan, a neighbour's."""
    house = plan or random_house(lot.random)
    road(lot)
    ways(lot)
    pool(lot)
    beds(lot, house)
    boundaries(lot)
    trees(lot)
    buildings_and_things(lot, house)


def ways(lot: Lot) -> None:
    """Drive, paths and terrace."""
    lot.rectangle(17.0, -14.6, (2.1, 5.9), COBBLES, 0.15)
    lot.rectangle(15.4, -8.6, (3.7, 1.6), COBBLES, 0.6)
    lot.rectangle(17.0, -20.0, (2.7, 0.9), ASPHALT, 0.5, 0.06, 0.08)
    lot.way([(-1.8, -20.2), (-0.9, -15.5), (-0.5, -11.0), (-0.6, -6.8)], 0.85, GRAVEL)
    lot.way([(-0.5, -9.2), (4.5, -8.4), (9.0, -8.0), (12.2, -8.4)], 0.70, GRAVEL)
    lot.way([(9.6, -7.9), (10.6, -3.0), (10.9, 4.0), (10.0, 9.0), (7.0, 10.2)], 0.62, GRAVEL)
    lot.way([(10.6, 6.5), (14.0, 8.6), (19.0, 8.8)], 0.55, GRAVEL)
    lot.rectangle(1.0, 10.2, (7.2, 3.0), PAVING, 0.5, 0.04, 0.06)
    lot.rectangle(-7.6, 9.7, (2.2, 0.9), PAVING, 0.4, 0.04, 0.06)
    for k in range(7):
        lot.way([(-5.6 - 0.85 * k, 6.4 - 1.05 * k + 0.2 * (k % 2))], 0.34, PAVING, 0.03, 0.05)
    lot.rectangle(19.0, 16.2, (6.4, 5.6), GRAVEL, 0.4)
    lot.rectangle(21.6, 16.6, (3.2, 4.6), FURROWS, 0.3, 0.05, 0.08)


def pool(lot: Lot) -> None:
    """The pool with its slabs."""
    lot.rectangle(-15.0, 9.2, (6.1, 4.9), PAVING, 0.5, 0.04, 0.06)
    lot.rectangle(-15.0, 10.9, (5.4, 2.9), COPING, 0.25)
    lot.rectangle(-15.0, 10.9, (4.95, 2.45), WATER, 0.2)


def beds(lot: Lot, house: HousePlan) -> None:
    """Flowers before the house, along the paths, and in the front lawn; lavender by the terrace."""
    front = HOUSE_AT[1] - house.depth / 2
    lot.bed(HOUSE_AT[0] + house.length / 2 - 2.6, front - 0.75, (2.4, 0.62))
    lot.bed(-9.4, -5.2, (2.2, 1.7))
    lot.bed(-3.4, -13.6, (0.75, 1.7))
    lot.bed(1.7, -14.6, (0.75, 1.9))
    lot.bed(8.6, -12.6, (1.9, 1.2))
    lot.bed(-8.4, 13.4, (1.0, 1.9))
    for x in np.arange(-5.5, 7.9, 0.85):
        foot = lot.ground(float(x), 13.75)
        lot.leaves.append(plants.shrub(foot, 0.46, LAVENDER, lot.coarseness(float(x), 13.75), lot.random))
    for x, y in ((-2.3, -19.0 + 1.2), (0.1, -17.8), (-2.2, -8.0), (1.3, -8.0), (13.6, -6.2), (20.6, -8.0), (-6.9, 7.6)):
        lot.leaves.append(plants.shrub(lot.ground(x, y), 0.55, BOX, lot.coarseness(x, y), lot.random))


def boundaries(lot: Lot) -> None:
    """Hedges to the road, the west and the north; a boarded fence to the east."""
    lot.hedge((-28.0, -18.9), (-3.8, -18.9), (0.9, 1.25), BOX)
    lot.hedge((0.4, -18.9), (14.0, -18.9), (0.9, 1.25), BOX)
    lot.hedge((20.0, -18.9), (27.6, -18.9), (0.9, 1.25), BOX)
    lot.hedge((-28.0, -18.0), (-28.0, 24.0), (1.1, 1.9), MAPLE)
    lot.hedge((-27.6, 24.2), (27.6, 24.2), (1.2, 1.9), BOX)
    bay = 2.0
    for y in np.arange(-18.6, 23.0, bay):
        lot.stand(outdoors.fence_panel(bay, 1.45, (0.235, 0.165, 0.105)), 27.9, float(y), pi / 2)


def trees(lot: Lot) -> None:
    """Old trees by the road, fruit in the back, spruces in the corner; each garden a little different."""
    kinds = [OAK, MAPLE, LIME, COPPER_BEECH, CHERRY, WILLOW]
    stands = [
        (-20.8, -11.6, 10.2, 4.4), (8.6, -15.6, 7.0, 2.9), (22.4, -2.6, 7.6, 3.1), (3.2, 19.6, 9.0, 3.7),
        (-11.4, -14.2, 5.4, 2.5), (-24.2, 0.6, 7.8, 3.3),
    ]  # fmt: skip
    if lot.middle != (0.0, 0.0):
        kinds = [kinds[k] for k in lot.random.permutation(len(kinds))]
    for (x, y, height, spread), foliage in zip(stands, kinds, strict=True):
        size = float(lot.random.uniform(0.9, 1.08))
        lot.tree(x, y, height * size, spread * size, foliage)
    for x, y, height in ((25.4, -15.4, 8.4), (23.2, -13.0, 7.2), (25.6, -10.4, 7.8)):
        lot.tree(x, y, height, 0.24 * height, BIRCH)
    for x, y, height in ((-25.2, 20.4, 11.0), (-21.6, 21.8, 8.6), (-25.6, 16.2, 7.4)):
        lot.tree(x, y, height, 0.25 * height, SPRUCE, spire=True)
    for x, y in ((-15.6, 18.6), (-10.4, 20.4), (-5.2, 18.8)):
        lot.tree(x, y, 4.2 * float(lot.random.uniform(0.88, 1.1)), 1.9, APPLE)
    for x, y, size in (
        (-25.8, -15.8, 1.2),
        (-17.0, -16.6, 0.9),
        (25.8, 3.4, 1.0),
        (26.0, 9.8, 1.1),
        (12.2, -16.6, 0.8),
    ):
        lot.leaves.append(plants.shrub(lot.ground(x, y), size, LIME, lot.coarseness(x, y), lot.random))


def buildings_and_things(lot: Lot, house: HousePlan) -> None:
    """House, garage, shed, cars, furniture."""
    paints = [PAINTS[k] for k in lot.random.permutation(len(PAINTS))]
    if lot.middle == (0.0, 0.0):
        paints = list(PAINTS)
    lot.stand(buildings.house(house), *HOUSE_AT)
    lot.stand(buildings.garage(house.roof), 17.0, -4.4)
    lot.stand(buildings.shed(), 22.4, 8.6, -pi / 2)
    lot.stand(outdoors.car(paints[0]), 17.1, -13.2, pi / 2)
    lot.stand(outdoors.car(paints[1]), -9.0, ROAD_AT + 1.1, pi)
    lot.stand(outdoors.table_and_chairs(), 3.6, 10.3, 0.12)
    lot.stand(outdoors.parasol((0.50, 0.085, 0.060), 1.75), 3.6, 10.3, 0.2)
    lot.stand(outdoors.parasol((0.080, 0.210, 0.270), 1.35), -19.2, 6.3)
    for k, x in enumerate((-17.6, -15.6, -11.4)):
        lot.stand(outdoors.lounger((0.16, 0.32, 0.36)), x, 6.5, pi / 2 + 0.08 * (k - 1))
    lot.stand(outdoors.trampoline(), -17.2, -2.6)
    lot.stand(outdoors.log_pile(3.2, 5), 24.2, 11.6, 0.0)
    for y in (12.6, 15.4, 18.2):
        lot.stand(outdoors.raised_bed(2.6, 1.3), 15.6, y)
        bed = lot.ground(15.6, y) + np.array([0, 0, 0.22])
        lot.leaves.append(plants.flower_bed(bed, (1.1, 0.45), FLOWERS[1:3], lot.coarseness(15.6, y), lot.random))
    for k, (x, y, size) in enumerate(((-11.9, -4.4, 0.55), (-11.2, -6.6, 0.4), (-7.0, -4.0, 0.45), (-20.6, 12.2, 0.6))):
        lot.stand(outdoors.boulder(size, k), x, y, float(k))
