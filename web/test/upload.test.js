// An upload in parts, with stand-ins for S3 and the API.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { ApiError, FilesGone, SessionEnded, Unreachable } from '../src/errors.js';
import { Uploader } from '../src/upload.js';

const PART = 100;
let store;
let s3; // status codes that S3 answers with, by part; 200 where there is none
let put; // part numbers in the order in which S3 took them

class Request {
    upload = {};
    open(_method, url) {
        this.number = Number(new URL(url).searchParams.get('partNumber'));
    }
    send(blob) {
        setImmediate(() => {
            if (this.aborted) {
                return;
            }
            const fault = s3.get(this.number)?.shift();
            if (fault === 'dropped') {
                this.onerror();
                return;
            }
            this.status = fault ?? 200;
            if (this.status === 200) {
                this.upload.onprogress({ loaded: blob.size });
                put.push(this.number);
            }
            this.onload();
        });
    }
    abort() {
        this.aborted = true;
        this.onabort();
    }
}

class Server {
    calls = [];
    known = new Set(['old']);
    received = [];
    refuse = {};

    view = (uploadId) => ({
        uploadId,
        bytes: 450,
        partBytes: PART,
        received: this.received,
        expiresAt: new Date(Date.now() + 3_600_000).toISOString(),
        links: [1, 2, 3, 4, 5].map((number) => ({ number, url: `https://s3.example.com/?partNumber=${number}` }))
    });

    async answer(name, id) {
        this.calls.push([name, id]);
        const status = this.refuse[name]?.shift();
        if (status) {
            throw Object.assign(new Error(name), { status });
        }
    }

    async beginUpload(request) {
        await this.answer('begin', request.fileName);
        return this.view('new');
    }

    async lookAtUpload(id) {
        await this.answer('look', id);
        if (!this.known.has(id) && id !== 'new') {
            throw Object.assign(new Error('gone'), { status: 404 });
        }
        return this.view(id);
    }

    async completeUpload(id) {
        await this.answer('complete', id);
        return { jobId: 'job-1' };
    }

    async abandonUpload(id) {
        await this.answer('abandon', id);
    }
}

const source = {
    name: 'photos.zip',
    bytes: 450,
    fingerprint: 'photos.zip/450',
    async *parts(partBytes, received) {
        for (let number = 1; (number - 1) * partBytes < 450; number += 1) {
            if (!received.has(number)) {
                yield { number, blob: new Blob([new Uint8Array(Math.min(partBytes, 450 - (number - 1) * partBytes))]) };
            }
        }
    }
};

// What the browser remembers of an upload.
const known = (uploadId, options = { quality: 'high' }) => ({ uploadId, options: JSON.stringify(options) });
const storedUploads = () => JSON.parse(store.get('spaceport.uploads') ?? '{}');

function uploader(server, states = []) {
    return new Uploader(server, source, { quality: 'high' }, (news) => states.push(news));
}

beforeEach(() => {
    store = new Map();
    s3 = new Map();
    put = [];
    const events = new EventTarget();
    Object.assign(globalThis, {
        XMLHttpRequest: Request,
        addEventListener: events.addEventListener.bind(events),
        localStorage: { getItem: (name) => store.get(name) ?? null, setItem: (name, value) => store.set(name, value) }
    });
    // waits between attempts pass at once; their lengths are kept
    mock.method(globalThis, 'setTimeout', (act, wait) => { waits.push(wait); return setImmediate(act); });
    waits.length = 0;
});
const waits = [];

afterEach(() => {
    mock.restoreAll();
});

test('every part is sent once, and the job begins', async () => {
    const server = new Server();
    const states = [];
    assert.equal(await uploader(server, states).run(), 'job-1');
    assert.deepEqual([...put].sort(), [1, 2, 3, 4, 5]);
    assert.deepEqual(server.calls.map(([name]) => name), ['begin', 'complete']);
    assert.deepEqual(states.at(-1), { sent: 450, bytes: 450, state: 'sending', tries: 0 });
    assert.ok(states.every(({ sent }) => sent <= 450));
    assert.deepEqual(storedUploads(), {});
});

test('an upload that the browser remembers goes on with the missing parts', async () => {
    store.set('spaceport.uploads', JSON.stringify({ [source.fingerprint]: known('old') }));
    const server = new Server();
    server.received = [1, 5];
    const states = [];
    await uploader(server, states).run();
    assert.deepEqual([...put].sort(), [2, 3, 4]);
    assert.equal(states[0].sent, 150); // a whole part and the last, shorter one
    assert.deepEqual(server.calls.map(([name]) => name), ['look', 'complete']);
});

test('an upload that the server no longer has begins anew', async () => {
    store.set('spaceport.uploads', JSON.stringify({ [source.fingerprint]: known('expired') }));
    const server = new Server();
    await uploader(server).run();
    assert.deepEqual(server.calls.map(([name]) => name), ['look', 'begin', 'complete']);
});

test('a dropped connection is waited out, ever longer, and reported', async () => {
    s3.set(2, ['dropped', 'dropped', 'dropped']);
    const states = [];
    assert.equal(await uploader(new Server(), states).run(), 'job-1');
    assert.deepEqual(waits, [1000, 2000, 4000]);
    assert.ok(states.some(({ state }) => state === 'waiting'));
    assert.deepEqual([...put].sort(), [1, 2, 3, 4, 5]);
});

test('a wait is never longer than half a minute', async () => {
    s3.set(2, Array(8).fill('dropped'));
    await uploader(new Server()).run();
    assert.equal(Math.max(...waits), 30_000);
});

test('a link that S3 refuses is replaced by a fresh one', async () => {
    s3.set(3, [403]);
    const server = new Server();
    await uploader(server).run();
    assert.ok(server.calls.some(([name, id]) => name === 'look' && id === 'new'));
});

test('a refusal by the API ends the upload; an overload does not', async () => {
    const refusing = new Server();
    refusing.refuse.begin = [400];
    await assert.rejects(uploader(refusing).run(), { status: 400 });
    const overloaded = new Server();
    overloaded.refuse.begin = [429, 503];
    assert.equal(await uploader(overloaded).run(), 'job-1');
});

test('a fault of the page, or an answer that nobody can read, is not taken for a lost connection', async () => {
    for (const fault of [new SyntaxError('Unexpected token <'), new TypeError('undefined is not a function')]) {
        const server = new Server();
        server.beginUpload = async () => { throw fault; };
        await assert.rejects(uploader(server).run(), fault);
        assert.deepEqual(waits, []);
    }
});

test('a pause holds while the upload cannot even begin', async () => {
    const server = new Server();
    let tries = 0;
    server.beginUpload = async () => {
        tries += 1;
        await new Promise(setImmediate);
        throw new Unreachable();
    };
    const upload = uploader(server);
    const run = upload.run();
    upload.pause();
    for (let i = 0; i < 20; i += 1) {
        await new Promise(setImmediate);
    }
    assert.equal(tries, 1);
    await upload.giveUp();
    await assert.rejects(run, { name: 'AbortError' });
});

test('what is given up is abandoned and forgotten', async () => {
    s3.set(1, Array(1000).fill('dropped'));
    const server = new Server();
    const upload = uploader(server);
    const run = upload.run();
    await new Promise(setImmediate);
    await upload.giveUp();
    await assert.rejects(run, { name: 'AbortError' });
    assert.deepEqual(server.calls.at(-1), ['abandon', 'new']);
    assert.deepEqual(storedUploads(), {});
});

test('a paused upload sends nothing until it is resumed', async () => {
    const states = [];
    const upload = uploader(new Server(), states);
    upload.pause();
    const run = upload.run();
    for (let i = 0; i < 20; i += 1) {
        await new Promise(setImmediate);
    }
    assert.deepEqual(put, []);
    assert.equal(states.at(-1).state, 'paused');
    upload.resume();
    assert.equal(await run, 'job-1');
});

test('a session that has ended stops the upload at once, and what was sent is kept for the next one', async () => {
    const server = new Server();
    server.lookAtUpload = async () => { throw new SessionEnded(); };
    server.view = (id) => ({ ...Server.prototype.view?.(id), uploadId: id, bytes: 450, partBytes: PART, received: [], expiresAt: new Date().toISOString(), links: [] });
    await assert.rejects(uploader(server).run(), SessionEnded);
    assert.deepEqual(waits, []);
    assert.deepEqual(storedUploads(), { [source.fingerprint]: known('new') });
});

test('a storage service that goes on refusing ends the upload with a reason, and what was sent is kept', async () => {
    for (const number of [1, 2, 3, 4, 5]) {
        s3.set(number, Array(1000).fill(403));
    }
    await assert.rejects(uploader(new Server()).run(), { message: 'The storage service refused the upload (403).' });
    assert.deepEqual(storedUploads(), { [source.fingerprint]: known('new') });
});

test('how often nothing answered in a row is reported', async () => {
    s3.set(2, Array(6).fill('dropped'));
    const states = [];
    await uploader(new Server(), states).run();
    assert.deepEqual(states.filter(({ state }) => state === 'waiting').map(({ tries }) => tries), [1, 2, 3, 4, 5, 6]);
});

test('an upload that began with other settings begins anew with these', async () => {
    store.set('spaceport.uploads', JSON.stringify({ [source.fingerprint]: known('old', { quality: 'preview' }) }));
    const server = new Server();
    server.received = [1];
    await uploader(server).run().catch(() => null);
    assert.deepEqual(server.calls.slice(0, 2), [['abandon', 'old'], ['begin', 'photos.zip']]);
});

test('a limit of jobs is said at once, in its own words', async () => {
    const server = new Server();
    server.beginUpload = async () => { throw new ApiError(429, { code: 'LIMIT_REACHED', detail: '20 of 20 jobs wait or run.' }); };
    const states = [];
    await assert.rejects(uploader(server, states).run(), { code: 'LIMIT_REACHED', message: '20 of 20 jobs wait or run.' });
    assert.deepEqual(waits, []);
});

test('the words of a server that goes on refusing are kept, and the connection is not blamed', async () => {
    const server = new Server();
    server.completeUpload = async () => { throw new ApiError(503, { detail: 'Busy.' }); };
    const states = [];
    await assert.rejects(uploader(server, states).run(), { status: 503, message: 'Busy.' });
    assert.ok(states.every(({ state }) => state !== 'waiting'));
});

test('a part that has arrived although its answer was lost is not sent again', async () => {
    s3.set(3, [403]);
    const server = new Server();
    const view = server.view;
    server.view = (id) => ({ ...view(id), ...(s3.get(3).length ? {} : { received: [1, 2, 3], links: [] }) });
    assert.equal(await uploader(server).run(), 'job-1');
    assert.ok(!put.includes(3));
});

test('a pause during the request for links holds', async () => {
    s3.set(2, [403]);
    const server = new Server();
    const upload = uploader(server);
    const look = server.lookAtUpload.bind(server);
    server.lookAtUpload = async (id) => {
        upload.pause();
        return look(id);
    };
    const run = upload.run();
    for (let i = 0; i < 40; i += 1) {
        await new Promise(setImmediate);
    }
    assert.ok(!put.includes(2));
    assert.ok(!server.calls.some(([name]) => name === 'complete'));
    server.lookAtUpload = look;
    upload.resume();
    assert.equal(await run, 'job-1');
});

test('files that vanish end the upload with a reason', async () => {
    s3.set(2, Array(1000).fill('dropped'));
    const gone = async () => { throw new DOMException('gone', 'NotFoundError'); };
    const file = { size: PART, slice: () => ({ arrayBuffer: gone }) };
    const card = { ...source, parts: async function* () { yield { number: 2, blob: file }; } };
    await assert.rejects(new Uploader(new Server(), card, {}, () => null).run(), FilesGone);
    const folder = { ...source, parts: async function* () { yield* []; await gone(); } };
    await assert.rejects(new Uploader(new Server(), folder, {}, () => null).run(), FilesGone);
});
