// What lies between two points that a person picked, as pure functions; points are [x, y, z] in metres, y up.

const POINTING = 2; // pixels by which a point is likely to miss what was meant

// How far off a point may be, in metres, that was picked `depth` metres away: `tangent` is that of half the field of view
// across `pixels`.
export function pointingError(depth, tangent, pixels) {
    return POINTING * 2 * tangent * depth / pixels;
}

// In metres: how far apart, level and upwards, and how far off the distance may be by how exactly one can point.
export function spanOf([from, to], errors) {
    const level = Math.hypot(to[0] - from[0], to[2] - from[2]);
    const rise = to[1] - from[1];
    return { distance: Math.hypot(level, rise), level, rise, error: Math.hypot(...errors) };
}

// No more digits than the error leaves, and no error of nothing.
export function inWords({ distance, level, rise, error }) {
    const digits = Math.min(3, Math.max(0, Math.ceil(-Math.log10(error))));
    const least = 10 ** -digits;
    const metres = (value) => `${value.toFixed(digits)} m`;
    const direction = rise < 0 ? 'down' : 'up';
    return `${metres(distance)} (± ${metres(Math.max(least, error))}): ${metres(level)} level, ${metres(Math.abs(rise))} ${direction}`;
}
