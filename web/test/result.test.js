// The downloads of a finished job.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { offerDownloads } from '../src/result.js';
import { openDocument } from './document.js';

test('the page offers each file that the job has, and no other', () => {
    const byId = openDocument();
    offerDownloads({ links: { 'viewer/index.html': 'https://b/v', 'scene.sog': 'https://b/s', 'sfm/photos.json': 'https://b/p' } });
    const offered = byId('downloads').children.map(({ href, textContent }) => [href.replace(/#.*/, ''), textContent]);
    assert.deepEqual(offered, [['https://b/v', 'Open in a new tab'], ['https://b/s', 'Download .sog'], ['https://b/p', 'Names of the photos (JSON)']]);
});
