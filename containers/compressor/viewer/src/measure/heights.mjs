// The splat's surface seen from straight above, on a grid; volumes are measured on it.
import { dot } from './matrix.mjs';
import { depthsAt } from './picking.mjs';

// Heights along `up` and fog (picking.mjs) at the centres of the cells, row by row; NaN where there is no surface.
// `grid`: { corner, axes: [right, ahead, up], cell, columns, rows }; right and ahead are horizontal.
export function heightsOf(parts, grid) {
    const { corner, axes: [right, ahead, up], cell, columns, rows } = grid;
    const over = parts.map((part) => placed(part, grid));
    const top = over.reduce((highest, { high }) => Math.max(highest, high), dot(corner, up));
    const down = up.map((value) => -value);
    const heights = new Float64Array(columns * rows).fill(NaN);
    const fogs = new Float64Array(columns * rows).fill(NaN);
    for (let row = 0; row < rows; row++) {
        const candidates = Array.from({ length: columns }, () => parts.map((part) => [part, []]));
        over.forEach(({ byRow, first, last }, k) => {
            for (const i of byRow[row]) {
                for (let column = first[i]; column <= last[i]; column++) {
                    candidates[column][k][1].push(i);
                }
            }
        });
        for (let column = 0; column < columns; column++) {
            const [x, y, z] = [(column + 0.5) * cell, (row + 0.5) * cell, top - dot(corner, up)];
            const origin = corner.map((value, k) => value + x * right[k] + y * ahead[k] + z * up[k]);
            const [light, half, dark] = depthsAt(candidates[column], origin, down);
            if (half < Infinity) {
                heights[row * columns + column] = top - half;
                fogs[row * columns + column] = dark - light;
            }
        }
    }
    return { heights, fogs };
}

// For a part: the Gaussians in each row, the columns that each reaches, and the greatest height that any reaches.
function placed({ count, means, reaches }, { corner, axes: [right, ahead, up], cell, columns, rows }) {
    const [first, last] = [new Int32Array(count), new Int32Array(count)];
    const byRow = Array.from({ length: rows }, () => []);
    let high = -Infinity;
    const span = (at, reach, size) => [
        Math.max(0, Math.ceil((at - reach) / cell - 0.5)),
        Math.min(size - 1, Math.floor((at + reach) / cell - 0.5))
    ];
    for (let i = 0; i < count; i++) {
        const mean = means.subarray(3 * i, 3 * i + 3);
        const offset = corner.map((value, k) => mean[k] - value);
        const [low, end] = span(dot(offset, ahead), reaches[i], rows);
        [first[i], last[i]] = span(dot(offset, right), reaches[i], columns);
        if (low <= end && first[i] <= last[i]) {
            high = Math.max(high, dot(mean, up) + reaches[i]);
            for (let row = low; row <= end; row++) {
                byRow[row].push(i);
            }
        }
    }
    return { byRow, first, last, high };
}
