// A pause that ends early.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { wait } from '../src/wait.js';

const HOUR = 3_600_000;
let events;

beforeEach(() => {
    events = new EventTarget();
    events.open = 0;
    globalThis.addEventListener = (name, act, options) => {
        events.open += 1;
        options.signal.addEventListener('abort', () => { events.open -= 1; });
        events.addEventListener(name, act, options);
    };
});

afterEach(() => {
    delete globalThis.addEventListener;
});

test('a pause ends when its time is over, the browser is on line again, or it is called off; and leaves no listener', async () => {
    await wait(1, new AbortController().signal);
    const online = wait(HOUR, new AbortController().signal);
    events.dispatchEvent(new Event('online'));
    await online;
    const over = new AbortController();
    const aborted = wait(HOUR, over.signal);
    over.abort();
    await aborted;
    await wait(HOUR, AbortSignal.abort());
    assert.equal(events.open, 0);
});

test('a pause longer than timers can be lasts as long as they can', async () => {
    const over = new AbortController();
    let ended = false;
    const long = wait(2 ** 40, over.signal).then(() => { ended = true; });
    await new Promise((resolve) => { setTimeout(resolve, 20); });
    assert.equal(ended, false);
    over.abort();
    await long;
});
