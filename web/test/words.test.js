// Figures and states in words.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { STATES, bytes, ended, mood, range } from '../src/words.js';

test('bytes are written in the largest unit that keeps a digit before the point', () => {
    assert.equal(bytes(0), '0.0 kB');
    assert.equal(bytes(999_000), '999 kB');
    assert.equal(bytes(1_500_000), '1.5 MB');
    assert.equal(bytes(99_940_000), '99.9 MB');
    assert.equal(bytes(100_000_000), '100 MB');
    assert.equal(bytes(2_340_000_000), '2.3 GB');
});

test('a span of time is one unit with two ends, or one number where these agree', () => {
    assert.equal(range({ low: 2, high: 4 }), 'about 5 s');
    assert.equal(range({ low: 22, high: 61 }), '20–60 s');
    assert.equal(range({ low: 70, high: 100 }), '1–2 min');
    assert.equal(range({ low: 170, high: 370 }), '3–6 min');
    assert.equal(range({ low: 590, high: 610 }), 'about 10 min');
    assert.equal(range({ low: 5400, high: 9000 }), '1.5–2.5 h');
});

test('a job has ended in every state but the first two', () => {
    assert.deepEqual(Object.keys(STATES).filter((state) => !ended(state)), ['STARTING', 'RUNNING']);
});

test('a stopped job is neither good nor bad', () => {
    assert.equal(mood('SUCCEEDED'), 'good');
    assert.equal(mood('FAILED'), 'bad');
    assert.equal(mood('REJECTED'), 'bad');
    assert.equal(mood('STOPPED'), '');
    assert.equal(mood('RUNNING'), '');
});
