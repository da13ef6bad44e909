"""The lots without a house: meadows, corn, tilled land and woods, with hedgerows and trees; open farmland."""

from sample.ground import LOT
from sample.lot import Lot
from sample.plants import BIRCH, BOX, LIME, MAPLE, OAK, SPRUCE, WILLOW
from sample.textures import ASPHALT, FOREST, GRAVEL, MEADOW, SOIL

ROAD_AT = -22.5  # metres north of a lot's middle, on rows that have a road
WILD_TREES = (OAK, LIME, MAPLE, BIRCH, WILLOW, OAK)


def road(lot: Lot) -> None:
    """The road along the lot's south, with a worn verge. Lots of one row join up."""
    ends = [(-31.0, ROAD_AT), (31.0, ROAD_AT)]
    lot.way(ends, 2.75, GRAVEL, 0.25, 0.35)
    lot.way(ends, 2.25, ASPHALT, 0.05, 0.10)


def lay_out_field(lot: Lot, base: int, on_road: bool) -> None:
    """Fill a lot that has no house."""
    random = lot.random
    if base == FOREST:
        for _ in range(44):
            x, y = random.uniform(-27, 27), random.uniform(-17 if on_road else -24, 24)
            plant_wild(lot, x, y, float(random.uniform(7.5, 11.5)))
    elif base == MEADOW:
        for _ in range(int(random.integers(3, 9))):
            x, y = random.uniform(-26, 26), random.uniform(-16, 23)
            plant_wild(lot, x, y, float(random.uniform(4.5, 10.0)))
    # A hedgerow with standards along the north, broken by gaps.
    x = -28.0
    while x < 27.0:
        length = float(random.uniform(4, 13))
        lot.hedge((x, 24.6), (min(x + length, 28.5), 24.6), (1.5, 1.7), BOX)
        if random.random() < 0.45:
            plant_wild(lot, x + length / 2, 24.6, float(random.uniform(6.0, 10.0)))
        x += length + float(random.uniform(1.0, 6.0))
    if on_road:
        road(lot)


def lay_out_farmland(lot: Lot, _base: int, on_road: bool) -> None:
    """A piece of a large field: a tree on one in six; a track of two ruts along every third row's north."""
    random = lot.random
    if random.random() < 1 / 6:
        plant_wild(lot, float(random.uniform(-26, 26)), float(random.uniform(-16, 23)), float(random.uniform(5.0, 9.0)))
    if round(lot.middle[1] / LOT[1]) % 3 == 1:
        bend = float(random.uniform(-3.0, 3.0))
        for rut in (-0.85, 0.85):
            lot.way([(-29.0, 24.0 + rut), (bend, 23.0 + rut), (29.0, 24.0 + rut)], 0.3, SOIL, 0.2, 0.2)
    if on_road:
        road(lot)


def plant_wild(lot: Lot, x: float, y: float, height: float) -> None:
    """A tree of any native kind."""
    if lot.random.random() < 0.16:
        lot.tree(x, y, height * 1.15, height * 0.25, SPRUCE, spire=True)
        return
    foliage = WILD_TREES[int(lot.random.integers(len(WILD_TREES)))]
    lot.tree(x, y, height, height * float(lot.random.uniform(0.36, 0.46)), foliage)
