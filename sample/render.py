"""Render a scene from a camera: every pixel is the mean of a grid of samples, one ray each."""

from math import floor, log2, sqrt

import numpy as np
from numpy.typing import NDArray

from sample.camera import Camera
from sample.ground import BRIGHTEST
from sample.jit import compiled, compiled_parallel, prange
from sample.noise import fractal, smoothstep
from sample.scene import Scene
from sample.solids import Floats
from sample.visibility import View, Visible, look

SAMPLES = 3  # along each side of a pixel, two or more
HAZE = 2600.0  # metres over which the air takes 63% of the contrast

Rgb = tuple[float, float, float]


@compiled
def texel_of(texels: NDArray[np.uint8], start: int, rows: int, columns: int, u: float, v: float) -> Rgb:
    """Coded colour between the texels of one level (bilinear), u and v in its texels, held at the rim."""
    u, v = min(max(u - 0.5, 0.0), columns - 1.001), min(max(v - 0.5, 0.0), rows - 1.001)
    i, j = int(u), int(v)
    u, v = u - i, v - j
    n = start + j * columns + i
    a, b, c, d = (1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v
    return (
        a * texels[n, 0] + b * texels[n + 1, 0] + c * texels[n + columns, 0] + d * texels[n + columns + 1, 0],
        a * texels[n, 1] + b * texels[n + 1, 1] + c * texels[n + columns, 1] + d * texels[n + columns + 1, 1],
        a * texels[n, 2] + b * texels[n + 1, 2] + c * texels[n + columns, 2] + d * texels[n + columns + 1, 2],
    )


@compiled
def ground_colour(
    texels: NDArray[np.uint8], levels: NDArray[np.int64], frames: Floats, x: float, y: float, footprint: float
) -> Rgb:
    """Coded colour of the ground at (x, y) over about `footprint` metres (trilinear; Williams 1983)."""
    chosen = 0
    while chosen < len(frames) - 1 and not (abs(x) < -frames[chosen, 0] and abs(y) < -frames[chosen, 1]):
        chosen += 1
    frame, pyramid = frames[chosen], levels[chosen]
    u, v = (x - frame[0]) / frame[2], (y - frame[1]) / frame[2]
    level = min(max(log2(max(footprint / frame[2], 1e-3)), 0.0), len(pyramid) - 1.001)
    low = int(level)
    share = level - low
    scale = 0.5**low
    r, g, b = texel_of(texels, pyramid[low, 0], pyramid[low, 1], pyramid[low, 2], u * scale, v * scale)
    if share > 0.0:
        low, scale = low + 1, scale * 0.5
        r1, g1, b1 = texel_of(texels, pyramid[low, 0], pyramid[low, 1], pyramid[low, 2], u * scale, v * scale)
        r, g, b = r + share * (r1 - r), g + share * (g1 - g), b + share * (b1 - b)
    return r, g, b


@compiled
def sky_colour(dx: float, dy: float, dz: float) -> Rgb:
    """Radiance of the sky along a unit direction: blue, paler to the horizon, with thin high clouds."""
    up = max(dz, 0.0)
    fade = (1 - up) ** 5
    r, g, b = 0.20 + 0.47 * fade, 0.38 + 0.37 * fade, 0.72 + 0.14 * fade
    if up > 0.01:
        x, y = dx / (up + 0.08), dy / (up + 0.08)
        cloud = smoothstep(0.48, 0.80, fractal(x * 0.9 + 3.0, y * 1.6, 6, 601)) * smoothstep(0.01, 0.16, up) * 0.75
        r, g, b = r + cloud * (0.92 - r), g + cloud * (0.93 - g), b + cloud * (0.95 - b)
    return r, g, b


@compiled_parallel
def shade(
    owner: NDArray[np.int32], nearness: NDArray[np.float32], planes: Floats, samples: int,
    axes: Floats, centre: Floats, focal: Floats, face_start: int, leaf_start: int,
    places: Floats, atlas: NDArray[np.uint8], radiance: Floats,
    ground: NDArray[np.uint8], levels: NDArray[np.int64], frames: Floats,
    haze: float, brightest: float, picture: NDArray[np.float32],
) -> None:  # fmt: skip
    """Fill `picture` (rows, columns, 3) with linear radiance; axes (3, 3) are the camera's x, y, z in the world."""
    rows, columns = picture.shape[:2]
    decode = brightest / (255.0 * 255.0)
    atlas_columns = atlas.shape[1]
    texels = atlas.reshape(-1, 3)
    for row in prange(rows):
        for column in range(columns):
            red = green = blue = 0.0
            # Bare ground is filtered already: the pixel's four corner samples do. Elsewhere all count.
            stride = samples - 1
            for j in range(row * samples, (row + 1) * samples):
                for i in range(column * samples, (column + 1) * samples):
                    if owner[j, i] < 0 or owner[j, i] >= face_start:
                        stride = 1
            side = (samples - 1) // stride + 1
            for sub in range(side * side):
                j, i = row * samples + sub // side * stride, column * samples + sub % side * stride
                px, py = i + 0.5, j + 0.5
                cx, cy = (px - focal[2]) / focal[0], (py - focal[3]) / focal[1]
                dx = axes[0, 0] * cx + axes[1, 0] * cy + axes[2, 0]
                dy = axes[0, 1] * cx + axes[1, 1] * cy + axes[2, 1]
                dz = axes[0, 2] * cx + axes[1, 2] * cy + axes[2, 2]
                length = sqrt(dx * dx + dy * dy + dz * dz)
                p = owner[j, i]
                if p < 0:
                    r, g, b = sky_colour(dx / length, dy / length, dz / length)
                    red, green, blue = red + r, green + g, blue + b
                    continue
                depth = 1.0 / nearness[j, i]
                if p < face_start:
                    x, y = centre[0] + depth * dx, centre[1] + depth * dy
                    # Between the footprint's short side and its long one, foreshortened.
                    footprint = 0.8 * depth / focal[0] * sqrt(length / max(abs(dz), 0.02))
                    r, g, b = ground_colour(ground, levels, frames, x, y, footprint)
                    r, g, b = r * r * decode, g * g * decode, b * b * decode
                elif p < leaf_start:
                    m = planes[p]
                    e0 = m[0, 0] * px + m[0, 1] * py + m[0, 2]
                    e1 = m[1, 0] * px + m[1, 1] * py + m[1, 2]
                    e2 = m[2, 0] * px + m[2, 1] * py + m[2, 2]
                    q = places[p - face_start]
                    total = e0 + e1 + e2
                    u = (e0 * q[0, 0] + e1 * q[1, 0] + e2 * q[2, 0]) / total
                    v = (e0 * q[0, 1] + e1 * q[1, 1] + e2 * q[2, 1]) / total
                    r, g, b = texel_of(texels, 0, atlas.shape[0], atlas_columns, u, v)
                    r, g, b = r * r * decode, g * g * decode, b * b * decode
                else:
                    m = planes[p]
                    e0 = m[0, 0] * px + m[0, 1] * py + m[0, 2]
                    e1 = m[1, 0] * px + m[1, 1] * py + m[1, 2]
                    e2 = m[2, 0] * px + m[2, 1] * py + m[2, 2]
                    # A leaf is brighter to its tip and darker at its rim.
                    tone = 1.0 + 0.16 * e0 / e2 - 0.18 * ((e0 * e0 + e1 * e1) / (e2 * e2) - 0.5)
                    leaf = radiance[p - leaf_start]
                    r, g, b = tone * leaf[0], tone * leaf[1], tone * leaf[2]
                clear = np.exp(-depth * length / haze)
                red += 0.60 + clear * (r - 0.60)
                green += 0.70 + clear * (g - 0.70)
                blue += 0.82 + clear * (b - 0.82)
            share = 1.0 / (side * side)
            picture[row, column, 0] = red * share
            picture[row, column, 1] = green * share
            picture[row, column, 2] = blue * share


@compiled_parallel
def develop(picture: NDArray[np.float32], exposure: float, out: NDArray[np.uint8]) -> None:
    """Linear radiance to sRGB bytes (IEC 61966-2-1) with a soft shoulder above 0.65."""
    for row in prange(picture.shape[0]):
        for column in range(picture.shape[1]):
            for channel in range(3):
                value = max(exposure * picture[row, column, channel], 0.0)
                if value > 0.65:
                    value = 0.65 + 0.35 * (1 - np.exp((0.65 - value) / 0.35))
                value = 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055
                out[row, column, channel] = floor(value * 255 + 0.5)


def view_of(camera: Camera, samples: int) -> View:
    """The camera's rays, `samples` a pixel side."""
    transform = camera.world_to_camera
    scale = samples * np.array([camera.fx, camera.fy, camera.cx, camera.cy])
    return View(
        transform[:3, :3].copy(), transform[:3, 3].copy(), scale, camera.width * samples, camera.height * samples, False
    )


def expose(scene: Scene, camera: Camera, samples: int = SAMPLES, haze: float = HAZE) -> NDArray[np.float32]:
    """Linear radiance (height, width, 3)."""
    view = view_of(camera, samples)
    seen: Visible = look(scene.primitives, view)
    picture = np.empty((camera.height, camera.width, 3), np.float32)
    shade(
        seen.owner, seen.nearness, seen.planes, samples, view.rotation, camera.centre, view.scale,
        scene.face_start, scene.primitives.leaf_start, scene.places, scene.atlas, scene.radiance,
        scene.ground.texels, scene.ground.levels, scene.ground.frames, haze, BRIGHTEST, picture,
    )  # fmt: skip
    return picture


def photograph(scene: Scene, camera: Camera, exposure: float = 1.2, haze: float = HAZE) -> NDArray[np.uint8]:
    """The photo (height, width, 3), sRGB bytes."""
    picture = expose(scene, camera, haze=haze)
    out = np.empty(picture.shape, np.uint8)
    develop(picture, exposure, out)
    return out
