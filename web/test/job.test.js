// What a job's page says about how far the job is.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { JobPage } from '../src/job.js';

const page = new JobPage(null, 'a-1', null);

test('the headline of a running job has its percentage, and the time left once that is known', () => {
    assert.equal(page.headline({ status: 'RUNNING', progress: 0.404, secondsLeft: null }), '40 %');
    assert.equal(page.headline({ status: 'RUNNING', progress: 0.404, secondsLeft: 130 }), '40 %, about 2 min left');
});

test('the headline of a job that has ended is its message, or nothing beside an error', () => {
    assert.equal(page.headline({ status: 'SUCCEEDED', message: 'Ready.' }), 'Ready.');
    assert.equal(page.headline({ status: 'FAILED', message: 'Failed.', error: {} }), '');
});

test('a running stage has time left; a waiting one an end', () => {
    assert.equal(page.foreseen({ status: 'RUNNING', secondsLeft: 40 }), ', about 40 s left');
    assert.equal(page.foreseen({ status: 'WAITING', secondsLeft: 600 }), ', done in about 10 min');
    assert.equal(page.foreseen({ status: 'RUNNING', secondsLeft: null }), '');
});

test('a stage shows the figures that it has', () => {
    assert.equal(page.figures({ metrics: {} }), '');
    assert.equal(page.figures({ metrics: { step: 1500, steps: 30000 } }), ': step 1,500 of 30,000');
    assert.equal(page.figures({ metrics: { step: 1500, steps: 30000, gaussians: 80000 } }), ': step 1,500 of 30,000, 80,000 Gaussians');
});

test('what was shown once is not shown again', () => {
    const shown = [];
    page.once('result', () => shown.push(1));
    page.once('result', () => shown.push(2));
    assert.deepEqual(shown, [1]);
});
