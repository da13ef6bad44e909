// The axis of the training curve.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ticks } from '../src/chart.js';

test('ticks enclose the range in steps of 1, 2 or 5', () => {
    assert.deepEqual(ticks(21.3, 26.4), [20, 22, 24, 26, 28]);
    assert.deepEqual(ticks(10, 30), [10, 15, 20, 25, 30]);
});

test('a flat curve still gets an axis', () => {
    const flat = ticks(25, 25);
    assert.ok(flat.length >= 2);
    assert.ok(flat[0] <= 25 && flat.at(-1) > flat[0]);
});

test('every range is enclosed by at most eight evenly spaced ticks', () => {
    for (let low = -3; low < 40; low += 1.7) {
        for (const span of [0, 0.01, 0.4, 0.9, 3, 7, 19, 60]) {
            const found = ticks(low, low + span);
            assert.ok(found[0] <= low + 1e-6 && found.at(-1) >= low + span - 1e-6, `${low} + ${span}: ${found}`);
            assert.ok(found.length >= 2 && found.length <= 8, `${low} + ${span}: ${found}`);
            const steps = found.slice(1).map((tick, i) => tick - found[i]);
            assert.ok(Math.max(...steps) - Math.min(...steps) < 1e-5);
        }
    }
});
