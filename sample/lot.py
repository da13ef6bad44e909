"""Lay out a lot: ground shapes, objects and plants in the lot's own coordinates."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sample import plants
from sample.ground import RECTANGLE, STROKE, Shape
from sample.plants import Foliage, Leaves
from sample.solids import Faces, Floats, placed
from sample.terrain import Terrain
from sample.textures import LITTER, SOIL

# Leaves are this much larger, and as much fewer: where the orbit looks closely, where only strips pass, and beyond.
CLOSE, PASSED, GLANCED = 1.0, 1.6, 4.2
CLOSE_HALF = 60.0  # metres about the origin
FLOWERS = ((0.62, 0.10, 0.08), (0.72, 0.55, 0.06), (0.62, 0.58, 0.56), (0.40, 0.14, 0.46), (0.66, 0.26, 0.36))


@dataclass
class Lot:
    """One lot being laid out, in its own coordinates: metres from its middle, mirrored east to west or not."""

    terrain: Terrain
    middle: tuple[float, float]
    mirror: bool
    random: np.random.Generator
    shapes: list[Shape] = field(default_factory=list)
    faces: list[Faces] = field(default_factory=list)
    leaves: list[Leaves] = field(default_factory=list)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """East and north of a place in the lot."""
        return self.middle[0] + (-x if self.mirror else x), self.middle[1] + y

    def ground(self, x: float, y: float) -> Floats:
        """The point (3,) of the ground at a place in the lot."""
        return self.terrain.on(*self.at(x, y))

    def coarseness(self, x: float, y: float) -> float:
        """How coarse leaves may be at a place in the lot."""
        away = np.abs(np.array(self.at(x, y)))
        if (away > self.terrain.half + 4).any():
            return GLANCED
        return CLOSE if bool((away < CLOSE_HALF).all()) else PASSED

    def rectangle(
        self, x: float, y: float, half: tuple[float, float], material: int, corner: float = 0.1, soft: float = 0.03,
        ragged: float = 0.0, heading: float = 0.0,
    ) -> None:  # fmt: skip
        """Cover a rectangle of the ground."""
        turn = -heading if self.mirror else heading
        self.shapes.append(Shape(RECTANGLE, (*self.at(x, y), *half, corner, turn), material, soft, ragged))

    def way(
        self, points: Sequence[tuple[float, float]], half_width: float, material: int, soft: float = 0.06,
        ragged: float = 0.12,
    ) -> None:  # fmt: skip
        """Cover a way along points; a single point makes a disc."""
        for a, b in zip(points, points[1:] or points, strict=False):
            numbers = (*self.at(*a), *self.at(*b), half_width, 0.0)
            self.shapes.append(Shape(STROKE, numbers, material, soft, ragged))

    def stand(self, faces: Faces, x: float, y: float, heading: float = 0.0) -> None:
        """Put a thing on the ground."""
        turn = -heading if self.mirror else heading
        self.faces.append(placed(faces, self.ground(x, y), turn, self.mirror))

    def tree(self, x: float, y: float, height: float, spread: float, foliage: Foliage, spire: bool = False) -> None:
        """Plant a tree, and let it shed its litter."""
        grow = plants.conifer if spire else plants.broadleaf
        plant = grow(self.ground(x, y), height, spread, foliage, self.coarseness(x, y), self.random)
        self.leaves.append(plant.leaves)
        self.faces.append(plant.wood)
        if self.coarseness(x, y) < GLANCED:
            self.way([(x, y)], 0.34 * spread, LITTER, 0.5 * spread, 0.5 * spread)

    def hedge(
        self, start: tuple[float, float], end: tuple[float, float], size: tuple[float, float], foliage: Foliage
    ) -> None:  # fmt: skip
        """Plant a hedge in lengths of about 2 m that follow the ground."""
        way = np.array(end) - np.array(start)
        lengths = max(1, round(float(np.linalg.norm(way)) / 2))
        for k in range(lengths):
            a, b = np.array(start) + way * k / lengths, np.array(start) + way * (k + 1) / lengths
            coarse = self.coarseness(*a)
            self.leaves.append(plants.hedge(self.ground(*a), self.ground(*b), size, foliage, coarse, self.random))

    def bed(self, x: float, y: float, half: tuple[float, float]) -> None:
        """A flower bed."""
        self.rectangle(x, y, half, SOIL, min(half) * 0.9, 0.05, 0.10)
        reach = 0.86 * half[0], 0.86 * half[1]
        coarse = self.coarseness(x, y)
        if coarse < GLANCED:
            self.leaves.append(plants.flower_bed(self.ground(x, y), reach, FLOWERS, coarse, self.random))
