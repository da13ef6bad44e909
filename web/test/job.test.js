// What a job's page says about how far the job is.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError, Unreachable } from '../src/errors.js';
import { JobPage, figures, headline, lostInWords, spoken } from '../src/job.js';
import { viewerUrl } from '../src/result.js';
import { openDocument } from './document.js';

test('the headline of a running job has its percentage, and the time left once that is known', () => {
    assert.equal(headline({ status: 'RUNNING', progress: 0.404, timeLeft: null }), '40 %');
    assert.equal(headline({ status: 'RUNNING', progress: 0.404, timeLeft: { low: 170, high: 370 } }), '40 %, 3–6 min left');
});

test('the headline of a job that has ended is its message, or nothing beside an error', () => {
    assert.equal(headline({ status: 'SUCCEEDED', message: 'Ready.' }), 'Ready.');
    assert.equal(headline({ status: 'FAILED', message: 'Failed.', error: {} }), '');
});

test('a stage shows the figures that it has', () => {
    assert.equal(figures({ metrics: {} }), '');
    assert.equal(figures({ metrics: { step: 1500, steps: 30000 } }), ': step 1,500 of 30,000');
    assert.equal(figures({ metrics: { step: 34500, steps: 30000, gaussians: 80000 } }), ': 80,000 Gaussians');
    assert.equal(figures({ metrics: { step: 1500, steps: 30000, gaussians: 80000 } }), ': step 1,500 of 30,000, 80,000 Gaussians');
});

test('a screen reader hears of a step and a quarter, and not of each percent', () => {
    const at = (progress) => spoken({ status: 'RUNNING', progress, stages: [{ stage: 'sfm', status: 'SUCCEEDED' }, { stage: '3dgs', status: 'RUNNING' }] });
    assert.equal(at(0.51), 'Training, 50 % done');
    assert.equal(at(0.51), at(0.74));
    assert.notEqual(at(0.74), at(0.76));
    assert.equal(spoken({ name: 'Meadow', status: 'SUCCEEDED' }), 'Meadow: ready');
});

test('a lost connection is said at once, and after a while since when', () => {
    const since = new Date(2026, 0, 1, 10, 32);
    const lost = new Unreachable();
    assert.equal(lostInWords(lost, 1, since), 'The connection was lost. Trying again …');
    assert.match(lostInWords(lost, 4, since), /10:32.*you may close this page/);
    assert.match(lostInWords(new ApiError(503, {}), 1, since), /^The server has a problem/);
});

test('one run of the same settings, however often a button is pressed', async () => {
    globalThis.location = {};
    const asked = [];
    const page = new JobPage({ rerunJob: async (id, body, key) => { asked.push([id, body, key]); return { jobId: `${id}-r2` }; } }, 'a-1', false);
    await page.runAgain('3dgs', 'high');
    await page.runAgain('3dgs', 'high');
    await page.runAgain('3dgs', '');
    assert.deepEqual(asked.map(([, body]) => body), [{ from: '3dgs', options: { quality: 'high' } }, { from: '3dgs', options: { quality: 'high' } }, { from: '3dgs', options: {} }]);
    assert.equal(asked[0][2], asked[1][2]);
    assert.notEqual(asked[0][2], asked[2][2]);
    assert.equal(globalThis.location.hash, 'job=a-1-r2');
});

test('a large scene is opened by the page that loads it in parts, with the links to its files', () => {
    const links = { 'viewer/index.html': 'https://b/v?s=1', 'scene.ply': 'https://b/p?s=2' };
    assert.equal(viewerUrl(links), `https://b/v?s=1#ply=${encodeURIComponent('https://b/p?s=2')}`);
    assert.equal(viewerUrl({ ...links, 'orbit.webp': 'https://b/o' }), `${viewerUrl(links)}&orbit=${encodeURIComponent('https://b/o')}`);
    links['viewer/stream.html.gz'] = 'https://b/s?s=3#scene=https%3A%2F%2Fa';
    assert.equal(viewerUrl(links), `https://b/s?s=3#scene=https%3A%2F%2Fa&ply=${encodeURIComponent('https://b/p?s=2')}`);
});

test('what was shown once is not shown again', () => {
    const page = new JobPage(null, 'a-1', false);
    const shown = [];
    page.once('result', () => shown.push(1));
    page.once('result', () => shown.push(2));
    assert.deepEqual(shown, [1]);
});

test('a picture that cannot be loaded leaves no empty section', () => {
    const byId = openDocument();
    const page = new JobPage(null, 'a-1', false);
    page.showPicture('overlap', 'overlap-map', 'https://b/expired.png');
    assert.equal(byId('overlap').hidden, false);
    byId('overlap-map').onerror();
    assert.equal(byId('overlap').hidden, true);
});
