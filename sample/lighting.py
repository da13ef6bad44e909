"""Sun and sky. Nothing moves, so all light is worked out once, before the first photo.

Shadows come from depth maps: the scene seen along parallel rays, from the sun and from directions spread over the sky.
All surfaces are matt, so a point looks the same from every photo, as structure from motion and splats assume.
"""

from dataclasses import dataclass
from math import cos, floor, pi, radians, sin, sqrt

import numpy as np
from numpy.typing import NDArray

from sample.jit import compiled, compiled_parallel, prange
from sample.noise import smoothstep
from sample.solids import Floats
from sample.visibility import Primitives, View, look


@dataclass(frozen=True)
class Light:
    """Sun and sky in the scale where a white wall that faces the sun has a radiance of about one."""

    sun: Floats  # (3,) unit, towards the sun
    sun_colour: Floats  # (3,)
    sky_colour: Floats  # (3,) on level ground under an open sky
    bounce: Floats  # (3,) from the sunlit ground, on a surface that faces down


def afternoon(azimuth: float = 232.0, elevation: float = 44.0) -> Light:
    """A clear late-summer afternoon; degrees from north, clockwise, and above the horizon."""
    a, e = radians(azimuth), radians(elevation)
    sun = np.array([sin(a) * cos(e), cos(a) * cos(e), sin(e)])
    return Light(sun, np.array([1.46, 1.29, 1.03]), np.array([0.270, 0.330, 0.425]), np.array([0.190, 0.185, 0.130]))


@dataclass(frozen=True)
class ShadowMap:
    """How far towards the light the first surface lies, over a patch of the plane across the light."""

    nearest: NDArray[np.float32]  # (rows, columns) metres along w
    frame: Floats  # (12,): axes u, v, w (towards the light), low u, low v, texel size


def shadow_map(primitives: Primitives, towards: Floats, low: Floats, high: Floats, texel: float) -> ShadowMap:
    """The shadows that fall on the box low..high (metres)."""
    w = towards / np.linalg.norm(towards)
    helper = np.array([0.0, 1.0, 0.0]) if abs(w[1]) < 0.9 else np.array([1.0, 0.0, 0.0])
    u = np.cross(helper, w)
    u /= np.linalg.norm(u)
    v = np.cross(w, u)
    corners = np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])
    across, up = corners @ u, corners @ v
    low_u, low_v = float(across.min()), float(up.min())
    width, height = int(np.ceil(np.ptp(across) / texel)) + 1, int(np.ceil(np.ptp(up) / texel)) + 1
    scale = np.array([1 / texel, 1 / texel, -low_u / texel, -low_v / texel])
    view = View(np.stack([u, v, -w]), np.zeros(3), scale, width, height, True)
    return ShadowMap(look(primitives, view).nearness, np.array([*u, *v, *w, low_u, low_v, texel]))


@compiled
def lit_share(nearest: NDArray[np.float32], frame: Floats, x: float, y: float, z: float, bias: float) -> float:
    """Share of the light that reaches a point, over a tent five texels wide; -1 outside the map."""
    u = (frame[0] * x + frame[1] * y + frame[2] * z - frame[9]) / frame[11] - 0.5
    v = (frame[3] * x + frame[4] * y + frame[5] * z - frame[10]) / frame[11] - 0.5
    depth = frame[6] * x + frame[7] * y + frame[8] * z + bias
    i, j = floor(u), floor(v)
    if i < 2 or j < 2 or i >= nearest.shape[1] - 3 or j >= nearest.shape[0] - 3:
        return -1.0
    total = weights = 0.0
    for dj in range(-1, 3):
        tall = 2.5 - abs(j + dj - v)
        for di in range(-1, 3):
            weight = tall * (2.5 - abs(i + di - u))
            weights += weight
            if nearest[j + dj, i + di] <= depth:
                total += weight
    return total / weights


@compiled
def sun_share(
    near: NDArray[np.float32], near_frame: Floats, far: NDArray[np.float32], far_frame: Floats,
    x: float, y: float, z: float, bias: float,
) -> float:  # fmt: skip
    """Share of the sun that reaches a point: from the fine map, else the coarse one, else all of it."""
    share = lit_share(near, near_frame, x, y, z, bias)
    if share < 0.0:
        share = lit_share(far, far_frame, x, y, z, bias + 2.0 * far_frame[11])
    return 1.0 if share < 0.0 else share


def sky_directions(count: int) -> tuple[Floats, Floats]:
    """Directions (count, 3) spread over the upper hemisphere, and what share of level light each brings (sum 1)."""
    k = np.arange(count) + 0.5
    # Even in sin² of the zenith angle, so that each counts about the same on level ground; none at the very horizon.
    up = np.sqrt(1 - 0.97 * k / count)
    turn = k * pi * (3 - sqrt(5))
    across = np.sqrt(1 - up**2)
    directions = np.stack([across * np.cos(turn), across * np.sin(turn), up], 1)
    return directions, np.full(count, 1 / count)


@compiled_parallel
def gather(
    points: Floats, normals: Floats, direction: Floats, weight: float, soft: float,
    nearest: NDArray[np.float32], frame: Floats, shares: Floats,
) -> None:  # fmt: skip
    """Add to `shares` (N,) what one direction of the sky brings to points that face along normals."""
    for n in prange(len(points)):
        facing = normals[n, 0] * direction[0] + normals[n, 1] * direction[1] + normals[n, 2] * direction[2]
        facing = (facing + soft) / (1 + soft)
        if facing > 0.0:
            share = lit_share(nearest, frame, points[n, 0], points[n, 1], points[n, 2], 0.35)
            shares[n] += weight * facing / direction[2] * abs(share)


def sky_shares(
    primitives: Primitives, low: Floats, high: Floats, groups: list[tuple[Floats, Floats, float]], directions: int = 16
) -> list[Floats]:
    """How much of the sky's light each point gets, 1 being level ground in the open. Groups are points (N, 3), normals
    (N, 3) and how far light wraps round them (0 for walls, more for foliage that light passes through)."""
    shares = [np.zeros(len(points)) for points, _, _ in groups]
    for direction, weight in zip(*sky_directions(directions), strict=True):
        shadow = shadow_map(primitives, direction, low, high, 0.25)
        for (points, normals, soft), share in zip(groups, shares, strict=True):
            gather(points, normals, direction, float(weight), soft, shadow.nearest, shadow.frame, share)
    return shares


@dataclass(frozen=True)
class SkyMap:
    """Light from the sky on the ground, over a rectangle; open sky beyond it."""

    radiance: NDArray[np.float32]  # (rows, columns, 3)
    frame: Floats  # (6,): low x, low y, texel size, and the open sky's colour


@compiled
def sky_at(radiance: NDArray[np.float32], frame: Floats, x: float, y: float) -> tuple[float, float, float]:
    """The sky's light at a place on the ground."""
    u, v = (x - frame[0]) / frame[2] - 0.5, (y - frame[1]) / frame[2] - 0.5
    i, j = floor(u), floor(v)
    if i < 0 or j < 0 or i >= radiance.shape[1] - 1 or j >= radiance.shape[0] - 1:
        return frame[3], frame[4], frame[5]
    u, v = u - i, v - j
    a, b, c, d = (1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v
    return (
        a * radiance[j, i, 0] + b * radiance[j, i + 1, 0] + c * radiance[j + 1, i, 0] + d * radiance[j + 1, i + 1, 0],
        a * radiance[j, i, 1] + b * radiance[j, i + 1, 1] + c * radiance[j + 1, i, 1] + d * radiance[j + 1, i + 1, 1],
        a * radiance[j, i, 2] + b * radiance[j, i + 1, 2] + c * radiance[j + 1, i, 2] + d * radiance[j + 1, i + 1, 2],
    )


@compiled_parallel
def light_leaves(
    centres: Floats, normals: Floats, colours: Floats, shares: Floats, light: Floats,
    near: NDArray[np.float32], near_frame: Floats, far: NDArray[np.float32], far_frame: Floats,
) -> Floats:  # fmt: skip
    """Radiance (L, 3) of leaves; light (4, 3) is sun direction, sun, sky and bounce. Some sun shines through a leaf."""
    radiance = np.empty((len(centres), 3))
    for n in prange(len(centres)):
        facing = normals[n, 0] * light[0, 0] + normals[n, 1] * light[0, 1] + normals[n, 2] * light[0, 2]
        sun = 0.72 * max(facing, 0.0) + 0.20 * smoothstep(-1.0, 0.6, facing)
        sun *= sun_share(near, near_frame, far, far_frame, centres[n, 0], centres[n, 1], centres[n, 2], 0.22)
        under = 0.5 - 0.5 * normals[n, 2]
        for channel in range(3):
            radiance[n, channel] = colours[n, channel] * (
                light[1, channel] * sun + light[2, channel] * (0.06 + shares[n]) + light[3, channel] * (0.25 + under)
            )
    return radiance
