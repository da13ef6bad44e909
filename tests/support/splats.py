"""Splats for tests of the compressor, and what such tests know about them without rendering."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from compressor.encode.arranged import Sensitivity
from splat.footprint import footprint_of
from splat.gaussians import HIGHER_COEFFICIENTS, Gaussians
from splat.surroundings import Surroundings
from tests.support.gaussians import gaussians_of

# of the village: position east and north of its middle, height, colour
TOWERS = (
    ((-1, -1), 1.6, (0.8, 0.2, 0.15)),
    ((1.2, -0.4), 1.0, (0.15, 0.3, 0.8)),
    ((0, 1.3), 0.6, (0.9, 0.8, 0.2)),
)


def even_sensitivity(count: int, value: float = 1.0) -> Sensitivity:
    """Every number has the same sensitivity, in every direction."""
    directions = np.zeros((count, 16), np.float32)
    directions[:, 0] = value
    return Sensitivity(
        outlines=np.full((count, 10), value, np.float32),
        correlations=np.zeros((count, 45), np.int8),
        colours=np.full(count, value, np.float32),
        directions=directions,
        seen=np.ones(count, np.bool_),
        harmonics=np.eye(15),
    )


def leaves(node: dict[str, Any]) -> list[dict[str, Any]]:
    """The leaves of the tree in a lod-meta.json, in order."""
    return [leaf for child in node["children"] for leaf in leaves(child)] if "children" in node else [node]


def make_splat(count: int = 400, degree: int = 1, seed: int = 0) -> Gaussians:
    """A bumpy coloured sheet around the origin, z up, visible from anywhere above."""
    rng = np.random.default_rng(seed)
    ground = rng.uniform(-2, 2, (count, 2))
    height = 0.3 * np.sin(2 * ground[:, :1]) * np.cos(1.5 * ground[:, 1:])
    return gaussians_of(
        means=np.hstack([ground, height]),
        quats=rng.normal(size=(count, 4)),
        scales=np.log(rng.uniform(0.03, 0.25, (count, 3))),
        opacities=rng.uniform(-1, 4, count),
        sh0=np.hstack([np.sin(3 * ground), height * 3]) + rng.normal(0, 0.1, (count, 3)),
        shN=rng.normal(0, 0.1, (count, HIGHER_COEFFICIENTS[degree], 3)),
    )


def village(up: NDArray[np.float64], finer: int = 1) -> Gaussians:
    """A chequered floor with three coloured towers, standing upright along `up`; nothing in it is symmetric.

    It has 6,300 Gaussians, or `finer`² times as many that are smaller by the factor `finer`.
    """
    rng = np.random.default_rng(7)
    row = np.linspace(-2, 2, 60 * finer)
    ground = np.stack(np.meshgrid(row, row), axis=-1).reshape(-1, 2)
    points = [np.column_stack([ground, np.zeros(len(ground))])]
    chequer = (np.floor(ground).sum(axis=1) % 2)[:, None]
    colours = [np.where(chequer == 0, (0.75, 0.7, 0.55), (0.3, 0.45, 0.25))]
    for place, height, colour in TOWERS:
        tower = rng.uniform((-0.25, -0.25, 0), (0.25, 0.25, height), (900 * finer**2, 3)) + np.array([*place, 0])
        points.append(tower)
        colours.append(np.tile(colour, (len(tower), 1)))
    means, seen = np.concatenate(points), np.concatenate(colours)
    east = np.cross(up, (0.3, 0.5, 0.81))
    east /= np.linalg.norm(east)
    count = len(means)
    shN = rng.normal(0, 0.05, (count, 3, 3))
    return Gaussians(
        means=means @ np.stack([east, np.cross(up, east), up]),
        quats=rng.normal(size=(count, 4)).astype(np.float32),
        scales=np.log(rng.uniform(0.02, 0.05, (count, 3)) / finer),
        opacities=np.full(count, 4.0),
        sh0=((seen - 0.5) / 0.2820948).astype(np.float32),
        shN=shN.astype(np.float32),
    )


def village_surroundings(up: NDArray[np.float64]) -> Surroundings:
    """The surroundings of the village: grass to the horizon, and a sky that changes from the horizon to the zenith."""
    footprint = footprint_of(village(up).means.astype(np.float64), [], up)
    ground, horizon, zenith = np.array([[0.36, 0.42, 0.26], [0.85, 0.84, 0.8], [0.4, 0.55, 0.75]])
    return footprint.surroundings(ground, horizon, zenith, photographed=False)
