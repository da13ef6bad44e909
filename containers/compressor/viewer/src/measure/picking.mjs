// Where a ray meets the splat, computed from its Gaussians: in order of depth, each counts with its opacity at the ray's
// nearest approach in its own metric. The surface is where half of the light is gone, as in containers/splat/depths.py; the
// mean depth, and the first Gaussian of some opacity, lie in the veil that hangs in front of cameras.
const MIN_ALPHA = 1 / 255;
const MAX_ALPHA = 0.999;
const RING = 8; // rays around the requested one
const DEFAULT_SPREAD = 2e-3; // of the distance: the ring's radius if the size of a photo's pixel is unknown

// Returns `means` (3 N); `forms` (9 N), the rows of the matrix that turns an offset from the mean into the Gaussian's own
// standard deviations (an inverse covariance would lose digits); `opacities` (N); and `reaches` (N), the distances beyond
// which alpha is below 1/255.
export function gaussiansOf(count, meanOf, scaleOf, quaternionOf, opacityOf) {
    const means = new Float32Array(3 * count);
    const forms = new Float32Array(9 * count);
    const opacities = new Float32Array(count);
    const reaches = new Float32Array(count);
    for (let i = 0; i < count; i++) {
        means.set(meanOf(i), 3 * i);
        const scales = scaleOf(i);
        const [w, x, y, z] = quaternionOf(i);
        const axes = [
            [1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)],
            [2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)],
            [2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)]
        ];
        forms.set(axes.flatMap((axis, k) => axis.map((value) => value / scales[k])), 9 * i);
        opacities[i] = opacityOf(i);
        reaches[i] = Math.max(...scales) * Math.sqrt(2 * Math.log(Math.max(1, opacities[i] / MIN_ALPHA)));
    }
    return { count, means, forms, opacities, reaches };
}

// The Gaussians that rays from `origin` within `spread` (tangent) of the unit vector `direction` may meet.
export function near(gaussians, origin, direction, spread) {
    const { count, means, reaches } = gaussians;
    const [ox, oy, oz] = origin;
    const [dx, dy, dz] = direction;
    const found = [];
    for (let i = 0, j = 0; i < count; i++, j += 3) {
        const px = means[j] - ox;
        const py = means[j + 1] - oy;
        const pz = means[j + 2] - oz;
        const along = px * dx + py * dy + pz * dz;
        const reach = reaches[i] + spread * Math.max(along, 0);
        if (along > -reaches[i] && px * px + py * py + pz * pz - along * along <= reach * reach) {
            found.push(i);
        }
    }
    return found;
}

// The depths at which a quarter, half and three quarters of the ray's light are gone; Infinity if the splat stops less.
// `candidates`: pairs of Gaussians and the indices to be tried among them.
export function depthsAt(candidates, origin, direction) {
    const hits = [];
    for (const [gaussians, indices] of candidates) {
        meet(gaussians, indices, origin, direction, hits);
    }
    hits.sort((one, other) => one[0] - other[0]);
    const depths = [Infinity, Infinity, Infinity];
    let left = 1;
    for (const [depth, alpha] of hits) {
        left *= 1 - alpha;
        for (let k = 0; k < 3; k++) {
            if (left < 0.75 - 0.25 * k) {
                depths[k] = Math.min(depths[k], depth);
            }
        }
        if (left < 0.25) {
            break;
        }
    }
    return depths;
}

function meet({ means, forms, opacities }, indices, origin, [dx, dy, dz], hits) {
    for (const i of indices) {
        const px = means[3 * i] - origin[0];
        const py = means[3 * i + 1] - origin[1];
        const pz = means[3 * i + 2] - origin[2];
        let [pv, vv, pp] = [0, 0, 0];
        for (let j = 9 * i; j < 9 * i + 9; j += 3) {
            const p = forms[j] * px + forms[j + 1] * py + forms[j + 2] * pz;
            const v = forms[j] * dx + forms[j + 1] * dy + forms[j + 2] * dz;
            pv += p * v;
            vv += v * v;
            pp += p * p;
        }
        const depth = pv / vv;
        const alpha = Math.min(MAX_ALPHA, opacities[i] * Math.exp(-0.5 * Math.max(0, pp - depth * pv)));
        if (depth > 0 && alpha >= MIN_ALPHA) {
            hits.push([depth, alpha]);
        }
    }
}

// Whether less than half of the light is gone at `depth`.
export function reaches(parts, { origin, direction, depth }) {
    const candidates = parts.map((part) => [part, near(part, origin, direction, 0)]);
    return depthsAt(candidates, origin, direction)[1] > depth;
}

// The tangent of the angle between the ring's rays and the requested one, at a `depth`.
export const spreadAt = (radius, depth) => (radius === null ? DEFAULT_SPREAD : radius / depth);

// The surface that a ray meets in the splat in `parts`: { point, direction, depth, fog, rough, last }; null if the splat
// stops less than half of the light. `radius`: at the surface, that of a ring of rays around this one, about two pixels of
// the photos, or null. The plane through the points that all of them meet is more certain than a single ray, and reveals
// edges: `rough` is the RMS distance of the points from the plane, Infinity if a ray meets nothing. `fog` is the median
// distance over which a ray's light falls from three quarters to one, `last` the depth beyond which nothing counts.
export function pick(parts, origin, direction, radius) {
    const among = (spread) => parts.map((part) => [part, near(part, origin, direction, spread)]);
    const centre = depthsAt(among(0), origin, direction);
    if (centre[1] === Infinity) {
        return null;
    }
    const spread = spreadAt(radius, centre[1]);
    const candidates = among(spread);
    const [right, up] = across(direction);
    const met = [{ a: 0, b: 0, depths: centre }];
    for (let k = 0; k < RING; k++) {
        const [a, b] = [Math.cos(2 * Math.PI * k / RING), Math.sin(2 * Math.PI * k / RING)];
        const beside = unit(direction.map((value, i) => value + spread * (a * right[i] + b * up[i])));
        met.push({ a, b, depths: depthsAt(candidates, origin, beside) });
    }
    const known = met.filter(({ depths }) => depths[1] < Infinity);
    const fogs = met.map(({ depths }) => (depths[1] < Infinity ? depths[2] - depths[0] : Infinity));
    const { level, rough } = plane(known);
    return {
        point: origin.map((value, i) => value + level * direction[i]),
        direction,
        depth: level,
        fog: fogs.sort((one, other) => one - other)[RING / 2],
        rough: known.length <= RING ? Infinity : rough,
        last: Math.max(...met.map(({ depths }) => depths[2]))
    };
}

// The plane through the median depths by least squares; if a ray meets nothing, the ring's symmetry is lost.
function plane(met) {
    const sums = { aa: 1e-9, ab: 0, bb: 1e-9, a: 0, b: 0, az: 0, bz: 0, z: 0 };
    const n = met.length;
    for (const { a, b, depths } of met) {
        const z = depths[1];
        for (const [name, value] of [['a', a], ['b', b], ['z', z], ['aa', a * a], ['ab', a * b], ['bb', b * b], ['az', a * z], ['bz', b * z]]) {
            sums[name] += value;
        }
    }
    const [aa, ab, bb] = [sums.aa - sums.a * sums.a / n, sums.ab - sums.a * sums.b / n, sums.bb - sums.b * sums.b / n];
    const [az, bz] = [sums.az - sums.a * sums.z / n, sums.bz - sums.b * sums.z / n];
    const determinant = aa * bb - ab * ab;
    const [slopeA, slopeB] = n > 3 ? [(az * bb - bz * ab) / determinant, (bz * aa - az * ab) / determinant] : [0, 0];
    const level = (sums.z - slopeA * sums.a - slopeB * sums.b) / n;
    const squares = met.reduce((sum, { a, b, depths }) => sum + (depths[1] - level - slopeA * a - slopeB * b) ** 2, 0);
    return { level, rough: Math.sqrt(squares / n) };
}

// Two unit vectors perpendicular to `direction` and to each other.
export function across([x, y, z]) {
    const right = unit(Math.abs(z) < 0.9 ? [y, -x, 0] : [0, z, -y]);
    return [right, [right[1] * z - right[2] * y, right[2] * x - right[0] * z, right[0] * y - right[1] * x]];
}

export function unit(vector) {
    const length = Math.hypot(...vector);
    return vector.map((value) => value / length);
}
