// The training curve's axis: always the same, whatever the scene.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { within } from '../src/chart.js';

test('what lies beyond the axis is drawn at its end', () => {
    assert.equal(within(3), 10);
    assert.equal(within(22.5), 22.5);
    assert.equal(within(60), 35);
});
