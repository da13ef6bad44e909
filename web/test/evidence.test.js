// What the page says about the photos of a failed job.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { outcomes } from '../src/evidence.js';

test('photos that were not placed come first, with the reason where there is one', () => {
    const { text, rows } = outcomes([
        { original: 'a.jpg', registered: true },
        { original: 'b.jpg', registered: false, reason: 'is blurred' },
        { original: 'c.jpg', registered: false },
        { original: 'd_T.jpg', registered: false, kind: 'thermal', reason: 'is a thermal picture' },
        { original: 'e', registered: true, film: 'DJI_1.MP4', seconds: 12.34 }
    ]);
    assert.equal(text, '2 of 4 photos were placed.');
    assert.deepEqual(rows, [
        { name: 'b.jpg', said: 'is blurred' },
        { name: 'c.jpg', said: 'not placed' },
        { name: 'a.jpg', said: 'placed' },
        { name: 'DJI_1.MP4, 12.3 s', said: 'placed' }
    ]);
});
