// Figures and states in words.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { STATES, bytes, duration, ended, mood } from '../src/words.js';

test('bytes are written in the largest unit that keeps a digit before the point', () => {
    assert.equal(bytes(0), '0.0 kB');
    assert.equal(bytes(999_000), '999 kB');
    assert.equal(bytes(1_500_000), '1.5 MB');
    assert.equal(bytes(99_940_000), '99.9 MB');
    assert.equal(bytes(100_000_000), '100 MB');
    assert.equal(bytes(2_340_000_000), '2.3 GB');
});

test('a duration is rounded to five seconds, then minutes, then hours with two-digit minutes', () => {
    assert.equal(duration(0), '5 s');
    assert.equal(duration(43), '45 s');
    assert.equal(duration(54), '55 s');
    assert.equal(duration(55), '1 min');
    assert.equal(duration(59 * 60), '59 min');
    assert.equal(duration(3600), '1 h 00 min');
    assert.equal(duration(2 * 3600 + 7 * 60), '2 h 07 min');
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
