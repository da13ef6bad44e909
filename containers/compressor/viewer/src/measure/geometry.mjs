// Lengths and areas of picked points in the splat's axes, each with its standard deviation. Heights are measured along the
// unit vector `up`, and plan figures at right angles to it.
//
// The error of a pick has one part `along` its ray and one `aside` from it. The error of a figure combines those of its
// points, by the figure's derivative at each, with that of the scene's scale. All are one standard deviation: two of three
// figures are closer to the truth.
import { cross, dot, minus, plus, times } from './matrix.mjs';

const UP = [0, 0, 1];

const unit = (a) => times(1 / (Math.hypot(...a) || 1), a);
const level = (a, up) => minus(a, times(dot(a, up), up));

// The standard deviation of a figure whose derivative at each pick is a vector of `slopes`; `byScale`: the scale's part.
function deviation(picks, slopes, byScale) {
    const variance = picks.reduce((sum, { direction, along, aside }, i) => {
        const onRay = dot(slopes[i], direction);
        return sum + along * along * onRay * onRay + aside * aside * (dot(slopes[i], slopes[i]) - onRay * onRay);
    }, byScale * byScale);
    return Math.sqrt(variance);
}

// For a line through the picks: its length, its length in plan, and the height of its end above its beginning.
export function line(picks, scale, up = UP) {
    const points = picks.map((each) => each.point);
    const flat = points.map((point) => level(point, up));
    const rise = dot(minus(points[points.length - 1], points[0]), up);
    const ends = picks.map((_, i) => times((i === picks.length - 1) - (i === 0), up));
    return {
        length: along(picks, points, scale),
        plan: along(picks, flat, scale),
        rise: { value: rise, sigma: deviation(picks, ends, scale * rise) }
    };
}

function along(picks, points, scale) {
    const steps = points.slice(1).map((point, i) => minus(point, points[i]));
    const value = steps.reduce((sum, step) => sum + Math.hypot(...step), 0);
    const none = [0, 0, 0];
    const slopes = points.map((_, i) => minus(i > 0 ? unit(steps[i - 1]) : none, i < steps.length ? unit(steps[i]) : none));
    return { value, sigma: deviation(picks, slopes, scale * value) };
}

// For the polygon of the picks: its area in plan, and on the plane that fits it best.
export function area(picks, scale, up = UP) {
    const points = picks.map((each) => each.point);
    const around = points.map((point) => minus(point, points[0]));
    const next = (i, step) => around[(i + step + around.length) % around.length];
    const normal = around.reduce((sum, point, i) => plus(sum, times(0.5, cross(point, next(i, 1)))), [0, 0, 0]);
    const onto = (axis) => {
        const value = Math.abs(dot(normal, axis));
        const slopes = around.map((_, i) => times(0.5, cross(minus(next(i, 1), next(i, -1)), axis)));
        return { value, sigma: deviation(picks, slopes, 2 * scale * value) };
    };
    return { plan: onto(up), own: onto(unit(normal)) };
}

// Coordinates in the map projection, by second-degree polynomials in metres from the scene's origin.
export function projected(terms, [east, north, up]) {
    const powers = [1, east, north, up, east * east, east * north, north * north, east * up, north * up];
    return terms.map((row) => row.reduce((sum, term, i) => sum + term * powers[i], 0));
}
