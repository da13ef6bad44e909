// The volume between the surface and a base over the polygon of the picks, with its standard deviation.
import { apply, dot, inverse } from './matrix.mjs';
import { across } from './picking.mjs';

const MAX_CELLS = 20_000;
const MIN_CORNERS = 3;
const EDGE_STEPS = 32; // places along each side at which the surface is compared with the base
const MIN_SPREAD = 1e-9; // of the corners, squared, as a share of their extent's; below it, they form a line

// What a cell contributes by its height above the base, and the derivative of that.
const COUNTED = {
    above: [(height) => Math.max(height, 0), (height) => (height > 0 ? 1 : 0)],
    below: [(height) => Math.max(-height, 0), (height) => (height < 0 ? -1 : 0)],
    net: [(height) => height, () => 1]
};

// The grid over the polygon of `points` on which its surface is requested (heights.mjs), with cells of `finest` or larger;
// null if the points lie on one line.
export function gridOf(points, up, finest) {
    const [right, ahead] = across(up);
    const places = points.map((point) => [dot(point, right), dot(point, ahead)]);
    const low = [0, 1].map((k) => Math.min(...places.map((place) => place[k])));
    const sizes = [0, 1].map((k) => Math.max(...places.map((place) => place[k])) - low[k]);
    if (points.length < MIN_CORNERS || !inverseOf(places.map(([x, y]) => [1, (x - low[0]) / Math.max(...sizes), (y - low[1]) / Math.max(...sizes)]))) {
        return null;
    }
    const cell = Math.max(finest, Math.sqrt(sizes[0] * sizes[1] / MAX_CELLS), Math.max(...sizes) / MAX_CELLS);
    const corner = [0, 1, 2].map((k) => low[0] * right[k] + low[1] * ahead[k]);
    const [columns, rows] = sizes.map((size) => Math.max(1, Math.ceil(size / cell)));
    return { corner, axes: [right, ahead, up], cell, columns, rows };
}

// `surface`: { heights, fogs } on the grid; `base`: `plane` fits the corners, `lowest` is level with the lowest of them.
// `along(fog)`: the standard deviation of a height; `seen(point)`: whether photos saw a place; `scale` as in geometry.mjs.
// Returns { above, below, net }, each with `value` and `sigma`, and the shares of the polygon's cells that are `missing`,
// have more fog than `maxFog` (`open`) or are in no photo (`unseen`). Missing cells count as the mean of the rest.
export function volume(picks, grid, surface, { base, along, maxFog, seen, scale }) {
    const { corner, axes: [right, ahead, up], cell, columns, rows } = grid;
    const corners = picks.map(({ point }) => {
        const offset = point.map((value, k) => value - corner[k]);
        return [dot(offset, right), dot(offset, ahead), dot(point, up)];
    });
    const floor = floorOf(corners, base);
    const cells = [];
    let [missing, open, unseen] = [0, 0, 0];
    for (let row = 0; row < rows; row++) {
        for (let column = 0; column < columns; column++) {
            const [x, y] = [(column + 0.5) * cell, (row + 0.5) * cell];
            if (!inside(corners, x, y)) {
                continue;
            }
            const height = surface.heights[row * columns + column];
            if (Number.isNaN(height)) {
                missing++;
                continue;
            }
            const fog = surface.fogs[row * columns + column];
            open += fog > maxFog;
            unseen += !seen(corner.map((value, k) => value + x * right[k] + y * ahead[k] + (height - dot(corner, up)) * up[k]));
            cells.push({ x, y, height: height - floor.at(x, y), sigma: along(fog) });
        }
    }
    const all = cells.length + missing;
    const square = cells.length ? cell * cell * all / cells.length : 0;
    const heightAt = (x, y) => {
        const [column, row] = [[x, columns], [y, rows]].map(([at, size]) => Math.min(size - 1, Math.max(0, Math.floor(at / cell))));
        return surface.heights[row * columns + column] - floor.at(x, y);
    };
    const figures = Object.entries(COUNTED).map(([name, [counted, slope]]) => {
        const value = square * cells.reduce((sum, { height }) => sum + counted(height), 0);
        // the errors of neighbouring heights are correlated
        const ofSurface = square * cells.reduce((sum, { height, sigma }) => sum + Math.abs(slope(height)) * sigma, 0);
        const variance = picks.reduce((sum, pick, i) => {
            const moved = movedBy(corners, i, floor, heightAt, counted);
            const byBase = square * cells.reduce((total, { x, y, height }) => total + slope(height) * floor.weight(i, x, y), 0);
            const local = [moved[0] + byBase * floor.slopes[0], moved[1] + byBase * floor.slopes[1], -byBase];
            const turned = [0, 1, 2].map((k) => local[0] * right[k] + local[1] * ahead[k] + local[2] * up[k]);
            const onRay = dot(turned, pick.direction);
            return sum + (pick.along * onRay) ** 2 + pick.aside ** 2 * (dot(turned, turned) - onRay * onRay);
        }, ofSurface ** 2 + (3 * scale * value) ** 2);
        return [name, { value, sigma: Math.sqrt(variance) }];
    });
    const shares = all ? { missing: missing / all, open: open / all, unseen: unseen / all } : { missing: 1, open: 0, unseen: 0 };
    return { ...Object.fromEntries(figures), ...shares };
}

// The base: its height at a place, its slopes, and by how much it rises there with each corner.
function floorOf(corners, base) {
    if (base === 'lowest') {
        const lowest = corners.reduce((least, each, i) => (each[2] < corners[least][2] ? i : least), 0);
        return { at: () => corners[lowest][2], slopes: [0, 0], weight: (i) => Number(i === lowest) };
    }
    const normal = inverseOf(corners.map(([x, y]) => [1, x, y]));
    const shares = corners.map(([x, y]) => apply(normal, [1, x, y]));
    const plane = [0, 1, 2].map((k) => shares.reduce((sum, share, i) => sum + share[k] * corners[i][2], 0));
    return {
        at: (x, y) => dot(plane, [1, x, y]),
        slopes: plane.slice(1),
        weight: (i, x, y) => dot(shares[i], [1, x, y])
    };
}

// The inverse of the normal matrix of rows (N, 3); null if it is singular.
function inverseOf(rows) {
    const axes = [0, 1, 2];
    return inverse(axes.map((j) => axes.map((k) => rows.reduce((sum, row) => sum + row[j] * row[k], 0))), MIN_SPREAD);
}

// How the figure grows as the corner moves along x and y and takes its two sides with it, while the base stays.
function movedBy(corners, i, floor, heightAt, counted) {
    const twice = corners.reduce((sum, [x, y], k) => {
        const [nextX, nextY] = corners[(k + 1) % corners.length];
        return sum + x * nextY - y * nextX;
    }, 0);
    const sides = [[(i + corners.length - 1) % corners.length, 1], [(i + 1) % corners.length, -1]];
    return sides.reduce(([sumX, sumY], [other, turn]) => {
        const [dx, dy] = [corners[i][0] - corners[other][0], corners[i][1] - corners[other][1]];
        let mean = 0;
        for (let step = 0; step < EDGE_STEPS; step++) {
            const share = (step + 0.5) / EDGE_STEPS; // of the way from the other end
            const height = heightAt(corners[other][0] + share * dx, corners[other][1] + share * dy);
            mean += (Number.isNaN(height) ? 0 : share * counted(height)) / EDGE_STEPS;
        }
        const outward = turn * Math.sign(twice) * mean;
        return [sumX + outward * dy, sumY - outward * dx];
    }, [0, 0]);
}

// The even-odd rule.
function inside(corners, x, y) {
    return corners.reduce((odd, [x0, y0], i) => {
        const [x1, y1] = corners[(i + 1) % corners.length];
        return (y0 <= y) !== (y1 <= y) && x < x0 + (y - y0) * (x1 - x0) / (y1 - y0) ? !odd : odd;
    }, false);
}
