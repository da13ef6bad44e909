// Which photos see a point, where it lies in them, and the point that is marked in several (compressor/deliver/photos.py
// writes the record).
import { turned, turnedBack } from './camera.mjs';
import { apply, dot, inverse, minus, plus, times } from './matrix.mjs';
import { unit } from './picking.mjs';

const MARK_PIXELS = 1; // standard deviation of a mark: the errors of eye and camera together
const MARK_OF_THUMBNAIL = 0.5; // of a thumbnail's pixel, which is shown enlarged
const ROUNDS = 10;
const MIN_PARALLAX = 1e-9; // of the normal matrix; below it, the rays coincide
const MAX_MISS = 3; // standard deviations of a mark, RMS; beyond it, the marks are on different things

// The digest by which the page recognises a file without containing its name (compressor/deliver/photos.py).
export async function digestOf(name) {
    const bytes = new TextEncoder().encode(name.normalize('NFC').toLowerCase());
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
    return Array.from(digest.slice(0, 6), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

// The photos that have the point in their frame, those that show it largest first: { index, label, digest, centre, distance,
// x, y, size }, with x and y as shares of the undistorted photo and the `size` of a pixel at the point.
export function framing({ cameras, views }, point) {
    return views.flatMap(([label, digest, camera, cx, cy, cz, ...turn], index) => {
        const [width, height, fx, fy, px, py] = cameras[camera];
        const centre = [cx, cy, cz];
        const [x, y, z] = turned(turn, minus(point, centre));
        const place = [(fx * x / z + px) / width, (fy * y / z + py) / height];
        const shown = z > 0 && place.every((share) => share >= 0 && share < 1);
        return shown ? [{ index, label, digest, centre, distance: Math.hypot(x, y, z), x: place[0], y: place[1], size: z / fx }] : [];
    }).sort((one, other) => one.size - other.size);
}

// The pixel of the customer's own photo that shows the point.
export function pixelOf({ views, lens }, index, point) {
    const [, , , cx, cy, cz, ...turn] = views[index];
    const [x, y, z] = turned(turn, minus(point, [cx, cy, cz]));
    const radius = Math.hypot(x, y) / z;
    const factor = radius > 0 ? bent(lens, radius) / radius : 1;
    return [lens.fx * factor * x / z + lens.cx, lens.fy * factor * y / z + lens.cy];
}

// The ray of such a pixel: { origin, direction, pixel, sigma }. `pixel` and `sigma` are angles in radians: of one pixel of
// the photo, and of a mark's standard deviation.
export function rayOf({ views, lens }, index, [column, row]) {
    const [, , , cx, cy, cz, ...turn] = views[index];
    const [x, y] = [(column - lens.cx) / lens.fx, (row - lens.cy) / lens.fy];
    const found = Math.hypot(x, y);
    let radius = found; // Newton's method
    for (let round = 0; round < ROUNDS; round++) {
        const slope = (bent(lens, radius + 1e-6) - bent(lens, radius - 1e-6)) / 2e-6;
        radius -= (bent(lens, radius) - found) / slope;
    }
    const factor = found > 0 ? radius / found : 1;
    const direction = unit(turnedBack(turn, [factor * x, factor * y, 1]));
    return { origin: [cx, cy, cz], direction, pixel: 1 / lens.fx, sigma: MARK_PIXELS / lens.fx };
}

// The same for a mark in a thumbnail `across` pixels wide, at a place in shares of the undistorted photo.
export function rayOfThumbnail({ cameras, views }, index, [x, y], across) {
    const [, , camera, cx, cy, cz, ...turn] = views[index];
    const [width, height, fx, fy, px, py] = cameras[camera];
    const direction = unit(turnedBack(turn, [(x * width - px) / fx, (y * height - py) / fy, 1]));
    return { origin: [cx, cy, cz], direction, pixel: 1 / fx, sigma: MARK_OF_THUMBNAIL * width / across / fx };
}

// The distance from the middle at which the lens shows what a pinhole shows at `radius`, both divided by the focal length.
function bent({ k1, k2, fisheye }, radius) {
    const angle = fisheye ? Math.atan(radius) : radius;
    const squared = angle * angle;
    return angle * (1 + k1 * squared + k2 * squared * squared);
}

// The point in which the rays meet, by least squares of the angles by which they miss it: a judged pick (report.mjs), whose
// `direction` is the least certain one, with the number of `marks` and their RMS residual in pixels, `missed`. Null if the
// rays coincide.
export function meeting(rays) {
    let point = null;
    let covariance = null;
    for (let round = 0; round < ROUNDS; round++) {
        let [normal, sums] = [[[0, 0, 0], [0, 0, 0], [0, 0, 0]], [0, 0, 0]];
        for (const { origin, direction, sigma } of rays) {
            const distance = point ? Math.hypot(...minus(point, origin)) : 1;
            const weight = 1 / (sigma * distance) ** 2;
            const across = [0, 1, 2].map((j) => [0, 1, 2].map((k) => weight * ((j === k) - direction[j] * direction[k])));
            normal = normal.map((row, j) => plus(row, across[j]));
            sums = plus(sums, apply(across, origin));
        }
        covariance = inverse(normal, MIN_PARALLAX);
        if (covariance === null) {
            return null;
        }
        point = apply(covariance, sums);
    }
    const offs = rays.map(({ origin, direction }) => {
        const offset = minus(point, origin);
        return Math.hypot(...minus(offset, times(dot(offset, direction), direction))) / Math.hypot(...offset);
    });
    const squares = (size) => offs.reduce((total, off, i) => total + (off / rays[i][size]) ** 2, 0);
    const sum = squares('sigma');
    const worse = Math.max(1, sum / (2 * rays.length - 3)); // than marks of MARK_PIXELS would be
    let direction = rays[0].direction;
    for (let round = 0; round < 8 * ROUNDS; round++) { // the covariance's longest axis, by power iteration
        direction = unit(apply(covariance, direction));
    }
    const longest = dot(direction, apply(covariance, direction));
    const rest = Math.max(0, (covariance[0][0] + covariance[1][1] + covariance[2][2] - longest) / 2);
    return {
        point, direction, along: Math.sqrt(worse * longest), aside: Math.sqrt(worse * rest),
        depth: Math.hypot(...minus(point, rays[0].origin)), marks: rays.length,
        missed: Math.sqrt(squares('pixel') / rays.length),
        doubt: Math.sqrt(sum / rays.length) > MAX_MISS ? 'the marks do not meet' : null
    };
}
