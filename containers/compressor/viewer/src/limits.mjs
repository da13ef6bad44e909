// Where the camera may go, as pure functions; points are [x, y, z], y up. compressor/deliver/limits.py defines the limits.

// The side of the footprint that (x, z) lies farthest outside of: the distance, and the side's outward direction.
function beyond(footprint, x, z) {
    let worst = { distance: -Infinity, outX: 0, outZ: 0 };
    footprint.forEach(([x0, z0], i) => {
        const [x1, z1] = footprint[(i + 1) % footprint.length];
        const length = Math.hypot(x1 - x0, z1 - z0) || 1;
        const outX = (z0 - z1) / length;
        const outZ = (x1 - x0) / length;
        const distance = (x - x0) * outX + (z - z0) * outZ;
        if (distance > worst.distance) {
            worst = { distance, outX, outZ };
        }
    });
    return worst;
}

// Whether photos saw this place; elsewhere everything is drawn, and nothing can be measured.
export function supported(surroundings, [x, y, z]) {
    return beyond(surroundings.footprint, x, z).distance <= 0 && y <= surroundings.ceiling;
}

// The place nearest to (x, z) on the convex footprint.
function onto(footprint, x, z) {
    if (beyond(footprint, x, z).distance <= 0) {
        return [x, z];
    }
    let nearest = [x, z];
    let least = Infinity;
    footprint.forEach(([x0, z0], i) => {
        const [x1, z1] = footprint[(i + 1) % footprint.length];
        const [dx, dz] = [x1 - x0, z1 - z0];
        const along = ((x - x0) * dx + (z - z0) * dz) / (dx * dx + dz * dz || 1);
        const share = Math.min(1, Math.max(0, along));
        const place = [x0 + share * dx, z0 + share * dz];
        const distance = Math.hypot(x - place[0], z - place[1]);
        if (distance < least) {
            [nearest, least] = [place, distance];
        }
    });
    return nearest;
}

// An orbit's target, moved onto the footprint and to a height between ground and ceiling.
export function heldTarget(limits, surroundings, [x, y, z]) {
    const [heldX, heldZ] = onto(surroundings.footprint, x, z);
    const held = limits.lowest === null ? y : Math.min(surroundings.ceiling, Math.max(surroundings.ground, y));
    return [heldX, held, heldZ];
}

// How far ahead of a camera the target of an orbit lies that keeps the camera where it is: `depth`, that of the surface
// ahead, if there is one and the limits leave it there, otherwise where they move the target least.
export function orbitDistance(limits, surroundings, position, forward, depth) {
    const { nearest, farthest } = limits;
    const moved = (distance) => {
        const target = position.map((value, i) => value + distance * forward[i]);
        return Math.hypot(...heldTarget(limits, surroundings, target).map((value, i) => value - target[i]));
    };
    const tried = Array.from({ length: 101 }, (_, i) => farthest * (nearest / farthest) ** (i / 100));
    const first = depth >= nearest && depth <= farthest ? [depth] : [];
    return [...first, ...tried].reduce((best, distance) => (moved(distance) < moved(best) - 1e-6 ? distance : best));
}

// The lowest elevation, in degrees, that an orbit at this distance around a target at this height may have.
export function lowestElevation(limits, surroundings, height, distance) {
    if (limits.lowest === null) {
        return -90;
    }
    const room = (surroundings.ground + 0.1 * limits.nearest - height) / distance;
    return Math.max(limits.lowest, Math.asin(Math.min(1, Math.max(-1, room))) * 180 / Math.PI);
}

// A flight's step, shortened so that it leads no farther out of bounds than `from` already is.
export function heldStep(limits, surroundings, from, step) {
    const to = from.map((value, i) => value + step[i]);
    if (limits.lowest !== null) {
        to[1] = Math.max(to[1], Math.min(from[1], surroundings.ground + limits.clearance));
    }
    to[1] = Math.min(to[1], Math.max(from[1], surroundings.ceiling + limits.farthest));
    const allowed = Math.max(limits.margin, beyond(surroundings.footprint, from[0], from[2]).distance);
    // two sides meet at a corner, and pushing back from one may lead across the other
    for (let round = 0; round < 3; round++) {
        const out = beyond(surroundings.footprint, to[0], to[2]);
        if (out.distance <= allowed) {
            break;
        }
        to[0] -= (out.distance - allowed) * out.outX;
        to[2] -= (out.distance - allowed) * out.outZ;
    }
    return to.map((value, i) => value - from[i]);
}
