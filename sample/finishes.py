"""Finishes of buildings and objects: linear albedo on a face, in metres along its two sides."""

from math import floor, pi, sin

from sample.jit import compiled
from sample.noise import fractal, hashed, smoothstep, value_noise
from sample.textures import Rgb, mixed, scaled

PLASTER, TILES, BRICK, STONE, BOARDS, GLASS, PAINT, SOLAR, FABRIC, BARK, PLAIN = range(11)


@compiled
def tiles(s: float, t: float, seed: int, tint: Rgb) -> Rgb:
    """Clay roof tiles: overlapping rows, each tile its own firing, lichen and moss in drifts."""
    row = floor(t / 0.27)
    shift = 0.5 * (int(row) & 1)
    column = floor(s / 0.21 + shift)
    u, v = s / 0.21 + shift - column, t / 0.27 - row
    number = hashed(int(column), int(row), seed)
    other = hashed(int(column), int(row), seed + 5)
    colour = scaled(tint, 0.70 + 0.55 * number)
    colour = mixed(colour, scaled((0.36, 0.20, 0.12), 0.7 + 0.6 * other), 0.45 * other)
    roll = 0.82 + 0.26 * sin(pi * u)
    lap = 0.55 + 0.45 * smoothstep(0.02, 0.22, v)
    colour = scaled(colour, roll * lap * (0.78 + 0.44 * fractal(s / 0.35, t / 0.35, 4, seed + 11)))
    lichen = smoothstep(0.60, 0.74, fractal(s / 0.9, t / 0.9, 5, seed + 17))
    moss = smoothstep(0.62, 0.80, fractal(s / 1.6 + 9, t / 0.7, 5, seed + 23))
    colour = mixed(colour, (0.30, 0.29, 0.22), 0.55 * lichen)
    return mixed(colour, (0.085, 0.098, 0.035), 0.65 * moss)


@compiled
def brick(s: float, t: float, seed: int, tint: Rgb) -> Rgb:
    """Bricks 24 by 8 cm in running bond with pale mortar."""
    row = floor(t / 0.085)
    shift = 0.5 * (int(row) & 1)
    column = floor(s / 0.25 + shift)
    u, v = s / 0.25 + shift - column, t / 0.085 - row
    joint = min(min(u, 1 - u) * 0.25, min(v, 1 - v) * 0.085)
    colour = scaled(tint, 0.55 + 0.8 * hashed(int(column), int(row), seed))
    colour = scaled(colour, 0.8 + 0.4 * fractal(s / 0.2, t / 0.2, 4, seed + 3))
    return mixed((0.33, 0.30, 0.26), colour, smoothstep(0.003, 0.014, joint))


@compiled
def boards(s: float, t: float, seed: int, tint: Rgb) -> Rgb:
    """Upright weathered boards, 16 cm wide, with grain and knots."""
    column = floor(s / 0.16)
    u = s / 0.16 - column
    number = hashed(int(column), 3, seed)
    veins = fractal(s / 0.05 + 31 * number, t / 0.7 + 57 * number, 4, seed + 3)
    colour = scaled(tint, (0.60 + 0.7 * number) * (0.66 + 0.68 * veins))
    colour = scaled(colour, 0.75 + 0.5 * fractal(s / 0.6, t / 0.6, 4, seed + 13))
    return scaled(colour, 1 - 0.7 * (1 - smoothstep(0.02, 0.09, min(u, 1 - u))))


@compiled
def plaster(s: float, t: float, seed: int, tint: Rgb) -> Rgb:
    """Lime render: trowel marks, patches, rain streaks from above, splashed at the foot."""
    cloud = fractal(s / 1.3, t / 1.3, 5, seed)
    fine = fractal(s / 0.16, t / 0.16, 3, seed + 7)
    streak = fractal(s / 0.16, t / 2.6, 4, seed + 13)
    colour = scaled(tint, (0.80 + 0.28 * cloud) * (0.87 + 0.26 * fine))
    colour = mixed(colour, scaled(tint, 0.55), 0.6 * smoothstep(0.52, 0.78, streak))
    splash = (1 - smoothstep(0.05, 0.9, t)) * smoothstep(0.35, 0.65, fractal(s / 0.3, t / 0.3, 4, seed + 19))
    return mixed(colour, (0.25, 0.22, 0.17), 0.6 * splash)


@compiled
def stone(s: float, t: float, seed: int, tint: Rgb) -> Rgb:
    """Coursed rubble."""
    row = floor(t / 0.24)
    shift = hashed(int(row), 5, seed)
    width = 0.38 + 0.2 * hashed(int(row), 6, seed)
    column = floor(s / width + shift)
    u, v = s / width + shift - column, t / 0.24 - row
    joint = min(min(u, 1 - u) * width, min(v, 1 - v) * 0.24) + 0.015 * (value_noise(s / 0.08, t / 0.08, seed) - 0.5)
    colour = scaled(tint, 0.62 + 0.7 * hashed(int(column), int(row), seed + 3))
    colour = scaled(colour, 0.75 + 0.5 * fractal(s / 0.15, t / 0.15, 4, seed + 5))
    return mixed((0.16, 0.145, 0.12), colour, smoothstep(0.006, 0.026, joint))


@compiled
def glass(s: float, t: float, seed: int) -> Rgb:
    """A dark pane with the sky in it and a curtain behind it, painted on so that it looks the same from anywhere."""
    sky = fractal(s / 0.7 + seed, t / 0.5, 4, seed)
    colour = mixed((0.030, 0.040, 0.050), (0.20, 0.27, 0.33), smoothstep(0.30, 0.85, 0.5 * sky + 0.28 * t))
    fold = 0.5 + 0.5 * sin(s * 38 + 5 * value_noise(s / 0.2, t / 0.4, seed + 1))
    curtain = smoothstep(0.30, 0.20, s) * (0.5 + 0.5 * hashed(seed, 1, 2))
    return mixed(colour, scaled((0.42, 0.38, 0.33), 0.6 + 0.4 * fold), curtain)


@compiled
def solar(s: float, t: float, seed: int) -> Rgb:
    """Photovoltaic modules of 1.0 by 1.6 m: cells, busbars and an aluminium rim."""
    column, row = floor(s / 1.0), floor(t / 1.6)
    u, v = s - column, t - 1.6 * row
    rim = min(min(u, 1.0 - u), min(v, 1.6 - v))
    cu, cv = (u / 0.1633) % 1.0, (v / 0.1588) % 1.0
    cell = smoothstep(0.02, 0.09, min(min(cu, 1 - cu), min(cv, 1 - cv)))
    shade = 0.7 + 0.6 * fractal(s / 0.5, t / 0.5, 4, seed) * hashed(int(column), int(row), seed + 1)
    shade *= 0.8 + 0.4 * hashed(int(u / 0.1633) + 9 * int(column), int(v / 0.1588) + 11 * int(row), seed)
    colour = mixed((0.20, 0.21, 0.24), scaled((0.022, 0.034, 0.082), shade), cell)
    return mixed((0.42, 0.43, 0.45), colour, smoothstep(0.012, 0.04, rim))


@compiled
def bark(s: float, t: float, seed: int, tint: Rgb) -> Rgb:
    """Fissured bark."""
    ridges = fractal(s / 0.06, t / 0.28, 4, seed)
    return scaled(tint, (0.45 + 1.1 * ridges) * (0.75 + 0.5 * fractal(s / 0.5, t / 0.5, 3, seed + 5)))


@compiled
def finish_albedo(finish: int, s: float, t: float, seed: int, tint: Rgb) -> Rgb:
    """Linear albedo of a finish, s and t metres along the face's sides; `tint` is its overall colour."""
    if finish == TILES:
        return tiles(s, t, seed, tint)
    if finish == BRICK:
        return brick(s, t, seed, tint)
    if finish == BOARDS:
        return boards(s, t, seed, tint)
    if finish == PLASTER:
        return plaster(s, t, seed, tint)
    if finish == STONE:
        return stone(s, t, seed, tint)
    if finish == GLASS:
        return glass(s, t, seed)
    if finish == SOLAR:
        return solar(s, t, seed)
    if finish == BARK:
        return bark(s, t, seed, tint)
    if finish == FABRIC:
        weave = 0.86 + 0.28 * fractal(s / 0.12, t / 0.12, 4, seed)
        band = smoothstep(-0.15, 0.15, sin(2 * pi * s / 0.5))
        return scaled(mixed((0.62, 0.58, 0.50), tint, band), weave)
    if finish == PAINT:
        return scaled(tint, 0.90 + 0.2 * fractal(s / 0.4, t / 0.4, 4, seed))
    return scaled(tint, 0.72 + 0.56 * fractal(s / 0.25, t / 0.25, 5, seed))
