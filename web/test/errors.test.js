// Errors in sentences for people.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError, FilesGone, SessionEnded, Unreachable, explain, isFinal, reached } from '../src/errors.js';

test('detail written for programs is not shown to people', () => {
    const error = new ApiError(422, { code: 'INVALID_REQUEST', detail: "body.email: String should match pattern '^[A-Z'", hint: 'Compare it with /openapi.json.' });
    const { message, hint } = explain(error);
    assert.doesNotMatch(message + hint, /body|pattern|openapi/);
});

test('a coded refusal keeps its own words', () => {
    assert.deepEqual(explain(new ApiError(409, { code: 'JOB_RUNNING', detail: 'The job is running already.', hint: 'Wait.' })), { message: 'The job is running already.', hint: 'Wait.' });
});

test('every other fault has a sentence and advice, and nothing of the browser', () => {
    for (const error of [new Unreachable(new TypeError('Failed to fetch')), new FilesGone(), new SyntaxError('Unexpected token'), new ApiError(500, {}), new ApiError(404, { message: 'Not Found' }), new ApiError(429, {}), new SessionEnded()]) {
        const { message, hint } = explain(error);
        assert.match(message, /^[A-Z].*\.$/);
        assert.match(hint, /^[A-Z].*\.$/);
        assert.doesNotMatch(message + hint, /fetch|token|Not Found/);
    }
});

test('whatever a browser throws where no answer comes, the server was not reached', async () => {
    for (const error of [new DOMException('timed out', 'TimeoutError'), new TypeError('Error in input stream'), new TypeError('The Internet connection appears to be offline.')]) {
        await assert.rejects(reached(Promise.reject(error)), Unreachable);
    }
    assert.equal(await reached(Promise.resolve(1)), 1);
});

test('only what a second try will not change is final', () => {
    assert.deepEqual([400, 404, 429, 500, 503].map((status) => isFinal(new ApiError(status, {}))), [true, true, false, false, false]);
    assert.ok(isFinal(new SessionEnded()));
    assert.ok(isFinal(new FilesGone()));
    assert.ok(isFinal(new TypeError('undefined is not a function')));
    assert.ok(isFinal(new ApiError(429, { code: 'LIMIT_REACHED' }))); // until a job ends, or until tomorrow
    assert.ok(!isFinal(new ApiError(429, { code: 'TOO_MANY_CALLS' })));
    assert.ok(!isFinal(new Unreachable(new TypeError('Failed to fetch'))));
});
