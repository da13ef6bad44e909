"""Ground materials: linear albedo as a function of position.

Every texture mixes several scales of noise, from metres to a few centimetres, so that feature detectors find something
at any distance and nothing repeats. `footprint` is the width in metres that one texel covers: detail finer than it
fades to its mean, which keeps coarse maps free of aliasing.
"""

from math import floor, pi, sin

from sample.jit import compiled, compiled_as
from sample.noise import cellular, filtered_fractal, hashed, smoothstep, value_noise

MEADOW, LAWN, GRAVEL, PAVING, COBBLES, ASPHALT, SOIL, WATER, LITTER, FURROWS, STRAW, COPING, FOREST, PASTURE, TILLED = (
    range(15)
)

Rgb = tuple[float, float, float]


@compiled
def mixed(a: Rgb, b: Rgb, t: float) -> Rgb:
    """`a` at t = 0, `b` at t = 1."""
    return a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t


@compiled
def scaled(a: Rgb, k: float) -> Rgb:
    """`a`, k times as bright."""
    return a[0] * k, a[1] * k, a[2] * k


@compiled
def resolved(width: float, footprint: float) -> float:
    """How much of a detail `width` metres wide survives in texels of `footprint` metres."""
    return smoothstep(0.7, 1.8, width / footprint)


@compiled_as("f8(f8, f8, f8, f8, f8, i8)")
def speck(x: float, y: float, cell: float, share: float, radius: float, seed: int) -> float:
    """1 inside scattered dots (blossoms, stones), soft at the rim; `share` of the cells hold one."""
    ix, iy = floor(x / cell), floor(y / cell)
    if hashed(ix, iy, seed) > share:
        return 0.0
    size = radius * (0.6 + 0.8 * hashed(ix, iy, seed + 3))
    room = cell - 2 * size
    px = ix * cell + size + room * hashed(ix, iy, seed + 1) - x
    py = iy * cell + size + room * hashed(ix, iy, seed + 2) - y
    return 1 - smoothstep(0.5, 1.3, (px * px + py * py) ** 0.5 / size)


@compiled_as("f8(f8, f8, f8, i8)")
def grain(x: float, y: float, footprint: float, seed: int) -> float:
    """Blades and crumbs, 24 to 5 cm: about -1 to 1, mean 0."""
    return (
        0.8 * (value_noise(x / 0.24, y / 0.24, seed) - 0.5) * resolved(0.24, footprint)
        + 0.8 * (value_noise(x / 0.11 + y * 1.7, y / 0.11, seed + 1) - 0.5) * resolved(0.11, footprint)
        + 0.6 * (value_noise(x / 0.055, y / 0.055 - x * 2.3, seed + 2) - 0.5) * resolved(0.055, footprint)
    )


@compiled
def lawn(x: float, y: float, footprint: float) -> Rgb:
    """Mown grass with stripes, thin and lush patches, moss, and clover in flower."""
    broad = filtered_fractal(x / 9.0, y / 9.0, 3, 11, footprint / 9.0)
    patch = filtered_fractal(x / 1.1, y / 1.1, 4, 23, footprint / 1.1)
    wobble = 0.25 * (value_noise(x / 2.7, y / 2.7, 31) - 0.5)
    stripe = smoothstep(-0.35, 0.35, sin(pi * (x * 0.94 + y * 0.34 + wobble) / 1.15))
    colour = mixed((0.070, 0.130, 0.028), (0.135, 0.190, 0.048), 0.25 + 0.5 * broad + 0.9 * (patch - 0.5))
    colour = mixed(
        colour,
        (0.190, 0.175, 0.070),
        0.75 * smoothstep(0.58, 0.80, filtered_fractal(x / 2.3 + 40, y / 2.3, 4, 41, footprint / 2.3)),
    )
    colour = mixed(
        colour,
        (0.046, 0.098, 0.028),
        0.7 * smoothstep(0.60, 0.78, filtered_fractal(x / 0.6, y / 0.6 + 70, 3, 47, footprint / 0.6)),
    )
    colour = scaled(colour, (0.84 + 0.32 * stripe) * (1 + 0.42 * grain(x, y, footprint, 53)))
    if patch > 0.5 and footprint < 0.1:
        colour = mixed(colour, (0.55, 0.55, 0.47), 0.8 * speck(x, y, 0.37, 0.16 * (patch - 0.4), 0.035, 61))
        colour = mixed(colour, (0.60, 0.46, 0.05), 0.9 * speck(x, y, 0.61, 0.05, 0.035, 67))
    return colour


@compiled
def meadow(x: float, y: float, footprint: float) -> Rgb:
    """Uncut grass: lush and dry in drifts, bent tufts, wild flowers."""
    broad = filtered_fractal(x / 26.0, y / 26.0, 4, 71, footprint / 26.0)
    patch = filtered_fractal(x / 3.1, y / 3.1, 5, 83, footprint / 3.1)
    tuft = filtered_fractal(x / 0.55, y / 0.55, 3, 89, footprint / 0.55)
    colour = mixed((0.070, 0.108, 0.030), (0.150, 0.160, 0.052), 0.1 + 0.8 * broad + 0.8 * (patch - 0.5))
    colour = mixed(colour, (0.245, 0.205, 0.098), 0.8 * smoothstep(0.50, 0.80, 0.55 * broad + 0.5 * patch))
    colour = mixed(colour, (0.052, 0.085, 0.024), 0.75 * smoothstep(0.55, 0.75, tuft) * resolved(0.5, footprint))
    colour = scaled(colour, (0.78 + 0.44 * tuft) * (1 + 0.5 * grain(x, y, footprint, 97)))
    if footprint < 0.1:
        drift = smoothstep(0.52, 0.62, filtered_fractal(x / 5.0, y / 5.0 + 33, 3, 101, footprint / 5.0))
        colour = mixed(colour, (0.62, 0.60, 0.55), 0.8 * speck(x, y, 0.45, 0.22 * drift, 0.045, 103))
        colour = mixed(colour, (0.34, 0.16, 0.42), 0.8 * speck(x, y, 0.53, 0.16 * (1 - drift), 0.045, 107))
    return colour


@compiled
def gravel(x: float, y: float, footprint: float) -> Rgb:
    """Light crushed stone with dark gaps, worn and weedy in places."""
    broad = filtered_fractal(x / 1.7, y / 1.7, 4, 113, footprint / 1.7)
    colour = scaled((0.400, 0.365, 0.305), 0.72 + 0.56 * broad)
    sharp = resolved(0.09, footprint)
    if sharp > 0.0:
        near, far, number = cellular(x / 0.085, y / 0.085, 127)
        pebble = (0.70 + 0.55 * number) * (0.62 + 0.38 * smoothstep(0.02, 0.28, far - near))
        colour = scaled(colour, 1 + sharp * (pebble * 1.08 - 1))
        big = speck(x, y, 0.31, 0.45, 0.055, 131)
        colour = mixed(colour, scaled((0.52, 0.50, 0.47), 0.55 + 0.8 * number), 0.7 * big)
    weeds = smoothstep(0.63, 0.74, filtered_fractal(x / 0.8, y / 0.8, 4, 137, footprint / 0.8))
    return mixed(colour, (0.095, 0.125, 0.045), 0.75 * weeds)


@compiled
def paving(x: float, y: float, footprint: float) -> Rgb:
    """Irregular natural flagstones with sandy joints."""
    wx = x + 0.10 * (value_noise(x / 0.5, y / 0.5, 139) - 0.5)
    wy = y + 0.10 * (value_noise(x / 0.5, y / 0.5, 149) - 0.5)
    near, far, number = cellular(wx / 0.72, wy / 0.72, 151)
    tone = mixed((0.375, 0.330, 0.270), (0.300, 0.305, 0.300), number)
    tone = scaled(tone, 0.76 + 0.42 * ((number * 7.31) % 1.0))
    veins = filtered_fractal(x / 0.33, y / 0.33, 4, 157, footprint / 0.33)
    tone = scaled(tone, (0.80 + 0.40 * veins) * (1 + 0.22 * grain(x, y, footprint, 163)))
    joint = 1 - smoothstep(0.045, 0.10, far - near)
    return mixed(tone, (0.155, 0.145, 0.105), 0.85 * joint * resolved(0.12, footprint))


@compiled
def cobbles(x: float, y: float, footprint: float) -> Rgb:
    """Concrete setts 24 by 16 cm in running bond, each of its own shade, tyre-worn and stained."""
    row = floor(y / 0.16)
    column = floor(x / 0.24 + 0.5 * (int(row) & 1))
    u = x / 0.24 + 0.5 * (int(row) & 1) - column
    v = y / 0.16 - row
    number = hashed(int(column), int(row), 167)
    tone = mixed((0.275, 0.215, 0.180), (0.300, 0.285, 0.265), hashed(int(column), int(row), 173))
    tone = scaled(tone, 1 + 0.55 * (number - 0.5) * resolved(0.2, footprint))
    rim = min(min(u, 1 - u) * 0.24, min(v, 1 - v) * 0.16)
    tone = scaled(tone, 1 - 0.42 * (1 - smoothstep(0.008, 0.022, rim)) * resolved(0.07, footprint))
    stains = filtered_fractal(x / 1.4, y / 1.4, 5, 179, footprint / 1.4)
    tone = scaled(tone, (0.70 + 0.58 * stains) * (1 + 0.20 * grain(x, y, footprint, 181)))
    return mixed(
        tone,
        (0.10, 0.12, 0.05),
        0.6 * smoothstep(0.62, 0.76, filtered_fractal(x / 0.9, y / 0.9 + 50, 4, 191, footprint / 0.9)),
    )


@compiled
def asphalt(x: float, y: float, footprint: float) -> Rgb:
    """A country road: patched, cracked, with loose chippings."""
    broad = filtered_fractal(x / 4.5, y / 4.5, 5, 193, footprint / 4.5)
    tone = scaled((0.125, 0.122, 0.118), 0.70 + 0.62 * broad)
    near, far, number = cellular(x / 2.9 + 0.3 * broad, y / 2.9, 197)
    tone = scaled(tone, 0.84 + 0.32 * number)
    wx = x + 0.5 * (filtered_fractal(x / 0.7, y / 0.7, 3, 199, footprint / 0.7) - 0.5)
    wy = y + 0.5 * (filtered_fractal(x / 0.7, y / 0.7, 3, 211, footprint / 0.7) - 0.5)
    near, far, _ = cellular(wx / 1.3, wy / 1.3, 223)
    crack = (1 - smoothstep(0.015, 0.045, far - near)) * smoothstep(0.4, 0.6, value_noise(x / 3, y / 3, 227))
    tone = scaled(tone, 1 - 0.55 * crack * resolved(0.06, footprint))
    tone = scaled(tone, 1 + 0.45 * grain(x, y, footprint, 229))
    return mixed(tone, (0.38, 0.37, 0.35), 0.7 * speck(x, y, 0.27, 0.3, 0.03, 233) * resolved(0.07, footprint))


@compiled
def soil(x: float, y: float, footprint: float) -> Rgb:
    """Garden soil under bark mulch."""
    tone = scaled((0.120, 0.078, 0.050), 0.65 + 0.7 * filtered_fractal(x / 0.5, y / 0.5, 4, 239, footprint / 0.5))
    sharp = resolved(0.1, footprint)
    if sharp > 0.0:
        near, far, number = cellular(x / 0.10, y / 0.065, 241)
        chip = mixed((0.070, 0.046, 0.032), (0.235, 0.155, 0.095), number * number)
        tone = mixed(tone, chip, 0.75 * sharp * smoothstep(0.05, 0.25, far - near))
    return tone


@compiled
def water(x: float, y: float, footprint: float) -> Rgb:
    """A pool seen through still water: mosaic tiles and a net of caustics."""
    wx = x + 0.35 * (filtered_fractal(x / 0.9, y / 0.9, 2, 251, footprint / 0.9) - 0.5)
    wy = y + 0.35 * (filtered_fractal(x / 0.9, y / 0.9, 2, 257, footprint / 0.9) - 0.5)
    near, far, _ = cellular(wx / 0.42, wy / 0.42, 263)
    net = (1 - smoothstep(0.0, 0.30, far - near)) * (0.4 + 0.6 * value_noise(x / 0.8, y / 0.8, 275))
    tile = hashed(floor(x / 0.15), floor(y / 0.15), 269) - 0.5
    depth = filtered_fractal(x / 3.0, y / 3.0, 2, 271, footprint / 3.0)
    colour = mixed((0.075, 0.330, 0.400), (0.130, 0.450, 0.500), depth)
    colour = scaled(colour, 1 + 0.22 * tile * resolved(0.14, footprint))
    return mixed(colour, (0.42, 0.72, 0.72), 0.55 * net)


@compiled
def litter(x: float, y: float, footprint: float) -> Rgb:
    """Last year's leaves and bare earth in the shade of a tree."""
    tone = mixed(
        (0.085, 0.080, 0.035), (0.150, 0.110, 0.062), filtered_fractal(x / 0.9, y / 0.9, 4, 277, footprint / 0.9)
    )
    sharp = resolved(0.12, footprint)
    if sharp > 0.0:
        near, far, number = cellular(x / 0.13, y / 0.13, 281)
        leaf = mixed((0.075, 0.055, 0.030), (0.270, 0.170, 0.075), number)
        tone = mixed(tone, leaf, 0.6 * sharp * smoothstep(0.05, 0.2, far - near))
    return tone


@compiled
def furrows(x: float, y: float, footprint: float) -> Rgb:
    """A vegetable patch or a tilled field: rows of clods and young green, never quite straight."""
    wander = 0.28 * (filtered_fractal(x / 1.9, y / 1.9, 3, 283, footprint / 1.9) - 0.5)
    across = (y + wander) / 0.62
    ridge = 0.5 + 0.5 * sin(2 * pi * across) * resolved(0.5, footprint)
    tone = mixed((0.098, 0.066, 0.044), (0.175, 0.120, 0.078), ridge)
    tone = scaled(tone, 0.6 + 0.8 * filtered_fractal(x / 0.35, y / 0.35, 4, 293, footprint / 0.35))
    green = smoothstep(0.55, 0.85, ridge) * smoothstep(
        0.42, 0.62, filtered_fractal(x / 0.45, y / 0.7, 3, 307, footprint / 0.45)
    )
    leafy = mixed((0.070, 0.140, 0.030), (0.150, 0.210, 0.060), value_noise(x / 0.2, y / 0.2, 311))
    return scaled(mixed(tone, leafy, 0.85 * green), 1 + 0.35 * grain(x, y, footprint, 313))


@compiled
def straw(x: float, y: float, footprint: float) -> Rgb:
    """A field of ripening grain with tramlines and lodged patches."""
    broad = filtered_fractal(x / 14.0, y / 14.0, 4, 317, footprint / 14.0)
    fine = filtered_fractal(x / 1.3, y / 0.7, 5, 331, footprint / 1.3)
    tone = mixed((0.260, 0.200, 0.085), (0.370, 0.300, 0.145), 0.2 + 0.6 * broad + 0.9 * (fine - 0.5))
    tone = mixed(
        tone,
        (0.140, 0.150, 0.050),
        0.8 * smoothstep(0.58, 0.78, filtered_fractal(x / 6.0, y / 6.0 + 20, 4, 337, footprint / 6.0)),
    )
    line = abs((y + 0.6 * (value_noise(x / 9, y / 9, 347) - 0.5)) / 12.0 % 1.0 - 0.5) * 12.0
    track = 1 - smoothstep(0.16, 0.36, abs(line - 0.9))
    return scaled(mixed(tone, (0.190, 0.145, 0.080), 0.6 * track), 1 + 0.45 * grain(x, y, footprint, 349))


@compiled
def pasture(x: float, y: float, footprint: float) -> Rgb:
    """Grass grazed short in a dry summer: hardly a mark on it."""
    broad = filtered_fractal(x / 38.0, y / 38.0, 3, 421, footprint / 38.0)
    patch = filtered_fractal(x / 2.4, y / 2.4, 4, 431, footprint / 2.4)
    tone = mixed((0.118, 0.136, 0.048), (0.152, 0.158, 0.061), 0.5 * broad + 0.5 * patch)
    return scaled(tone, 1 + 0.12 * grain(x, y, footprint, 433))


@compiled
def tilled(x: float, y: float, footprint: float) -> Rgb:
    """Land rolled after sowing: faint rows 75 cm apart, and the tractor's tracks."""
    wander = 0.3 * (filtered_fractal(x / 5.0, y / 5.0, 3, 439, footprint / 5.0) - 0.5)
    row = sin(2 * pi * (y + wander) / 0.75) * resolved(0.6, footprint)
    broad = filtered_fractal(x / 31.0, y / 31.0, 3, 443, footprint / 31.0)
    clods = filtered_fractal(x / 0.9, y / 0.9, 4, 449, footprint / 0.9)
    tone = mixed((0.182, 0.143, 0.097), (0.218, 0.172, 0.120), 0.5 * broad + 0.5 * clods)
    line = abs((y + wander) / 18.0 % 1.0 - 0.5) * 18.0
    track = 1 - smoothstep(0.2, 0.5, abs(line - 0.9))
    tone = mixed(tone, (0.150, 0.118, 0.080), 0.4 * track)
    return scaled(tone, (1 + 0.06 * row) * (1 + 0.12 * grain(x, y, footprint, 457)))


@compiled
def coping(x: float, y: float, footprint: float) -> Rgb:
    """Pale slabs round a pool or along a kerb."""
    ix, iy = floor(x / 0.5), floor(y / 0.5)
    u, v = x / 0.5 - ix, y / 0.5 - iy
    rim = min(min(u, 1 - u), min(v, 1 - v)) * 0.5
    tone = scaled((0.52, 0.49, 0.43), 0.82 + 0.3 * hashed(ix, iy, 353))
    tone = scaled(
        tone,
        (0.84 + 0.3 * filtered_fractal(x / 0.3, y / 0.3, 4, 359, footprint / 0.3))
        * (1 + 0.15 * grain(x, y, footprint, 367)),
    )
    return scaled(tone, 1 - 0.45 * (1 - smoothstep(0.01, 0.03, rim)) * resolved(0.1, footprint))


@compiled
def forest(x: float, y: float) -> Rgb:
    """Distant woods as seen from above: crowns of many greens with dark between them."""
    wx = x + 9.0 * (value_noise(x / 13.0, y / 13.0, 383) - 0.5)
    wy = y + 9.0 * (value_noise(x / 13.0, y / 13.0, 389) - 0.5)
    near, far, number = cellular(wx / 6.5, wy / 6.5, 373)
    tone = mixed((0.046, 0.075, 0.026), (0.090, 0.122, 0.038), number)
    return scaled(
        tone, 0.62 + 0.46 * smoothstep(0.0, 0.6, far - near) * (0.6 + 0.8 * value_noise(x / 2.1, y / 2.1, 379))
    )


@compiled
def ground_albedo(material: int, x: float, y: float, footprint: float) -> Rgb:
    """Linear albedo of a ground material at (x, y) metres, averaged over about `footprint` metres."""
    if material == LAWN:
        return lawn(x, y, footprint)
    if material == GRAVEL:
        return gravel(x, y, footprint)
    if material == PAVING:
        return paving(x, y, footprint)
    if material == COBBLES:
        return cobbles(x, y, footprint)
    if material == ASPHALT:
        return asphalt(x, y, footprint)
    if material == SOIL:
        return soil(x, y, footprint)
    if material == WATER:
        return water(x, y, footprint)
    if material == LITTER:
        return litter(x, y, footprint)
    if material == FURROWS:
        return furrows(x, y, footprint)
    if material == STRAW:
        return straw(x, y, footprint)
    if material == COPING:
        return coping(x, y, footprint)
    if material == FOREST:
        return forest(x, y)
    if material == PASTURE:
        return pasture(x, y, footprint)
    if material == TILLED:
        return tilled(x, y, footprint)
    return meadow(x, y, footprint)
