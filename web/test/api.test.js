// Calls of the HTTP API, with a stand-in for fetch.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { Api } from '../src/api.js';
import { ApiError, SessionEnded, Unreachable } from '../src/errors.js';

const realFetch = globalThis.fetch;
let forgotten = 0;
const api = new Api('https://api.example.com', { token: async (refused) => (refused ? `after ${refused}` : 'token'), forget: () => { forgotten += 1; } });
let calls;
let answer;

beforeEach(() => {
    calls = [];
    answer = () => Response.json({});
    globalThis.fetch = async (url, options) => {
        calls.push({ url, ...options });
        return answer();
    };
});

afterEach(() => {
    globalThis.fetch = realFetch;
});

test('a call carries the token, and a body only where there is one', async () => {
    await api.lookAtJob('a-1');
    await api.beginUpload({ fileName: 'a.zip' });
    assert.deepEqual(calls.map(({ method, url, body }) => [method, url, body]), [
        ['GET', 'https://api.example.com/jobs/a-1', undefined],
        ['POST', 'https://api.example.com/uploads', '{"fileName":"a.zip"}']
    ]);
    assert.equal(calls[0].headers.Authorization, 'Bearer token');
    assert.equal(calls[0].headers['Content-Type'], undefined);
    assert.equal(calls[1].headers['Content-Type'], 'application/json');
});

test('the next page of jobs is asked for by its escaped cursor', async () => {
    await api.listJobs();
    await api.listJobs('2026-01-01T00:00:00+00:00');
    assert.equal(calls[0].url, 'https://api.example.com/jobs');
    assert.equal(calls[1].url, 'https://api.example.com/jobs?before=2026-01-01T00%3A00%3A00%2B00%3A00');
    await api.listJobs(undefined, 'Häuser & Co');
    assert.equal(calls[2].url, 'https://api.example.com/jobs?search=H%C3%A4user+%26+Co');
    await api.estimate('full', null);
    await api.estimate('full', 120);
    assert.deepEqual(calls.slice(3).map(({ url }) => url.split('/').at(-1)), ['estimates?pipelineStep=full', 'estimates?pipelineStep=full&photos=120']);
});

test('a query is sent by browsers before 2023, too, whose URLSearchParams has no size', async () => {
    const size = Object.getOwnPropertyDescriptor(URLSearchParams.prototype, 'size');
    delete URLSearchParams.prototype.size;
    await api.listJobs(undefined, 'meadow').finally(() => { Object.defineProperty(URLSearchParams.prototype, 'size', size); });
    assert.equal(calls[0].url, 'https://api.example.com/jobs?search=meadow');
});

test('an id is one part of a path, whatever the address of the page says', () => {
    for (const id of ['..', '.', '']) {
        assert.throws(() => api.lookAtJob(id), ApiError);
    }
    return api.stopJob('../uploads?x#y').then(() => {
        assert.equal(calls[0].url, 'https://api.example.com/jobs/..%2Fuploads%3Fx%23y/stop');
    });
});

test('a repeated rerun is recognised by its key', async () => {
    await api.rerunJob('a-1', { from: 'sfm' }, 'key');
    assert.equal(calls[0].headers['Idempotency-Key'], 'key');
});

test('an answer without content is null', async () => {
    answer = () => new Response(null, { status: 204 });
    assert.equal(await api.abandonUpload('u'), null);
});

test('a refusal is thrown with its code and hint', async () => {
    answer = () => Response.json({ code: 'JOB_RUNNING', detail: 'The job is running.', hint: 'Wait.' }, { status: 409 });
    await assert.rejects(api.stopJob('a-1'), (error) => {
        assert.ok(error instanceof ApiError);
        assert.deepEqual([error.status, error.code, error.message, error.hint], [409, 'JOB_RUNNING', 'The job is running.', 'Wait.']);
        return true;
    });
});

test('an error that is no problem document still has a message', async () => {
    answer = () => new Response('<html>', { status: 502 });
    await assert.rejects(api.lookAtJob('a'), { status: 502, message: 'The server answered 502.' });
});

test('mails are ended and resumed without a token', async () => {
    answer = () => new Response(null, { status: 204 });
    await api.setMails('a/b', false);
    await api.setMails('a/b', true);
    assert.deepEqual(calls.map(({ url, method, headers }) => [method, url, headers]), [
        ['POST', 'https://api.example.com/unsubscribe/a%2Fb', undefined],
        ['DELETE', 'https://api.example.com/unsubscribe/a%2Fb', undefined]
    ]);
});

test('an answer that breaks off is no answer', async () => {
    const late = new DOMException('timed out', 'TimeoutError');
    answer = () => new Response(new ReadableStream({ pull: (controller) => controller.error(late) }));
    await assert.rejects(api.lookAtJob('a'), Unreachable);
    answer = () => new Response(new ReadableStream({ pull: (controller) => controller.error(late) }), { status: 503 });
    await assert.rejects(api.lookAtJob('a'), { status: 503 });
});

test('a token that the server does not take is refreshed once, and the call repeated', async () => {
    answer = () => (calls.length === 1 ? Response.json({ message: 'Unauthorized' }, { status: 401 }) : Response.json({ jobs: [] }));
    assert.deepEqual(await api.listJobs(), { jobs: [] });
    assert.deepEqual(calls.map(({ headers }) => headers.Authorization), ['Bearer token', 'Bearer after token']);
    assert.equal(forgotten, 0);
});

test('a fresh token that the server does not take either ends the session', async () => {
    answer = () => Response.json({ message: 'Unauthorized' }, { status: 401 });
    await assert.rejects(api.listJobs(), SessionEnded);
    assert.equal(calls.length, 2);
    assert.equal(forgotten, 1);
});
