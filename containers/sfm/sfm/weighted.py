"""Fit a similarity to points of unequal accuracy: the height of a point that only four photos mark is uncertain.

Gauss-Newton over the seven parameters. Each point is weighted by the inverse of its covariance; Huber weights reduce
the influence of outliers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

_HUBER = 3.0  # standard deviations beyond which a point counts less
_ROUNDS = 20
_MEETINGS = 3  # iterations of `meet`: distances hardly change from one to the next
_SETTLED = 1e-10  # share of the points' extent below which a step ends the iteration


def refine_similarity(
    scale: float, rotation: Vector, translation: Vector, source: Vector, target: Vector, covariances: Vector
) -> tuple[float, Vector, Vector]:
    """Refine the parameters of `target = scale · rotation @ source + translation`, and return them.

    Parameters
    ----------
    scale, rotation, translation: start values near the solution; rotation (3, 3), translation (3,).
    source, target: (N, 3), at least three points that are not on one line.
    covariances: (N, 3, 3) of the source's errors, in the target's frame and unit.
    """
    extent = float(np.ptp(target, axis=0).max())
    inverse = np.linalg.inv(covariances)
    for _ in range(_ROUNDS):
        turned = scale * source @ rotation.T
        error = turned + translation - target
        distance = np.sqrt(np.einsum("ni,nij,nj->n", error, inverse, error))
        weights = inverse * np.minimum(1.0, _HUBER / np.maximum(distance, 1e-12))[:, None, None]
        # derivative of each point with respect to the logarithm of the scale, a rotation vector, and a shift
        jacobian = np.concatenate(
            [turned[:, :, None], -_cross(turned), np.tile(np.eye(3), (len(source), 1, 1))], axis=2
        )
        normal = np.einsum("nia,nij,njb->ab", jacobian, weights, jacobian)
        step = np.linalg.solve(normal, -np.einsum("nia,nij,nj->a", jacobian, weights, error))
        scale *= float(np.exp(step[0]))
        rotation = _rotation(step[1:4]) @ rotation
        translation = translation + step[4:]
        if float(np.abs(step[4:]).max()) + extent * float(np.abs(step[:4]).max()) < _SETTLED * extent:
            break
    return scale, rotation, translation


def meet(centres: Vector, rays: Vector, sigmas: Vector, near: Vector) -> tuple[Vector, Vector]:
    """The most likely point (3,) in which unit `rays` (M, 3) from `centres` (M, 3) meet, and its covariance (3, 3).

    `sigmas` (M,): the standard errors of the rays in radians; `near` (3,): a point near the solution.
    """
    across = np.eye(3) - rays[:, :, None] * rays[:, None, :]
    place = near
    for _ in range(_MEETINGS):
        off = sigmas * np.linalg.norm(place - centres, axis=1)
        information = across / np.square(off)[:, None, None]
        covariance = np.linalg.inv(information.sum(axis=0))
        place = covariance @ np.einsum("mij,mj->i", information, centres)
    return place, covariance


def _cross(vectors: Vector) -> Vector:
    """(N, 3, 3) matrices that take the cross product with each of the vectors (N, 3)."""
    x, y, z = vectors.T
    zero = np.zeros_like(x)
    return np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(-1, 3, 3)


def _rotation(vector: Vector) -> Vector:
    """The rotation matrix (3, 3) of a rotation vector (Rodrigues' formula)."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-15:
        return np.eye(3)
    axis = _cross(vector[None] / angle)[0]
    return np.asarray(np.eye(3) + np.sin(angle) * axis + (1 - np.cos(angle)) * axis @ axis)
