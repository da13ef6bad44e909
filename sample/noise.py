"""Hashed noise on the plane: never repeats, needs no tables, the same on every machine.

Value noise with quintic fading (Perlin 2002), fractal sums whose octaves are turned against each other so that the
lattice does not show, and cellular noise (Worley 1996) for pebbles, stones and chips.
"""

from math import floor, sqrt

from sample.jit import compiled_as


@compiled_as("f8(i8, i8, i8)")
def hashed(ix: int, iy: int, seed: int) -> float:
    """A number in [0, 1) for a lattice cell."""
    h = (ix * 374761393 + iy * 668265263 + seed * 974711321) & 0xFFFFFFFF
    h = ((h ^ (h >> 15)) * 739982445) & 0xFFFFFFFF
    h = ((h ^ (h >> 12)) * 695872825) & 0xFFFFFFFF
    return float((h ^ (h >> 15)) & 0xFFFFFFFF) / 4294967296.0


@compiled_as("f8(f8, f8, f8)")
def smoothstep(low: float, high: float, value: float) -> float:
    """0 below `low`, 1 above `high`, smooth between."""
    t = min(max((value - low) / (high - low), 0.0), 1.0)
    return t * t * (3 - 2 * t)


@compiled_as("f8(f8, f8, i8)")
def value_noise(x: float, y: float, seed: int) -> float:
    """Smooth noise in [0, 1], mean 0.5, features about one unit wide."""
    fx, fy = floor(x), floor(y)
    ix, iy = int(fx), int(fy)
    x, y = x - fx, y - fy
    u = x * x * x * (x * (x * 6 - 15) + 10)
    v = y * y * y * (y * (y * 6 - 15) + 10)
    low = hashed(ix, iy, seed) * (1 - u) + hashed(ix + 1, iy, seed) * u
    high = hashed(ix, iy + 1, seed) * (1 - u) + hashed(ix + 1, iy + 1, seed) * u
    return low * (1 - v) + high * v


@compiled_as("f8(f8, f8, i8, i8)")
def fractal(x: float, y: float, octaves: int, seed: int) -> float:
    """Sum of `octaves` of value noise, each half as wide and weighing 0.55 of the one before; in [0, 1], mean 0.5."""
    total, weight, weights = 0.0, 1.0, 0.0
    for octave in range(octaves):
        total += weight * value_noise(x, y, seed + octave)
        weights += weight
        weight *= 0.55
        # Turn by 37 degrees and halve the wavelength.
        x, y = 1.59727 * x - 1.20363 * y + 17.3, 1.20363 * x + 1.59727 * y - 9.1
    return total / weights


@compiled_as("f8(f8, f8, i8, i8, f8)")
def filtered_fractal(x: float, y: float, octaves: int, seed: int, footprint: float) -> float:
    """`fractal` averaged over about `footprint` units: octaves too fine for it fade to their mean."""
    total, weight, weights, width = 0.0, 1.0, 0.0, 1.0
    for octave in range(octaves):
        clarity = smoothstep(0.7, 1.8, width / max(footprint, 1e-9))
        if clarity > 0.0:
            total += weight * (0.5 + clarity * (value_noise(x, y, seed + octave) - 0.5))
        else:
            total += weight * 0.5
        weights += weight
        weight *= 0.55
        width *= 0.5
        x, y = 1.59727 * x - 1.20363 * y + 17.3, 1.20363 * x + 1.59727 * y - 9.1
    return total / weights


@compiled_as("UniTuple(f8, 3)(f8, f8, i8)")
def cellular(x: float, y: float, seed: int) -> tuple[float, float, float]:
    """Distances to the nearest and the second feature point (one a unit cell), and the nearest's number in [0, 1)."""
    ix, iy = floor(x), floor(y)
    nearest, second, number = 9.0, 9.0, 0.0
    for dy in range(-1, 2):
        for dx in range(-1, 2):
            cx, cy = ix + dx, iy + dy
            px = cx + 0.15 + 0.7 * hashed(cx, cy, seed) - x
            py = cy + 0.15 + 0.7 * hashed(cx, cy, seed + 7919) - y
            distance = px * px + py * py
            if distance < nearest:
                second, nearest, number = nearest, distance, hashed(cx, cy, seed + 104729)
            elif distance < second:
                second = distance
    return sqrt(nearest), sqrt(second), number
