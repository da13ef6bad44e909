// The page's first step.
import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { openDocument, settled } from './document.js';

test('a page whose configuration cannot be fetched says that the server is out of reach', async () => {
    mock.method(console, 'error', () => null);
    const byId = openDocument();
    globalThis.addEventListener = () => null;
    mock.method(globalThis, 'fetch', async () => { throw new TypeError('Failed to fetch'); });
    await import('../src/app.js');
    await settled();
    assert.match(byId('notice').textContent, /^The server cannot be reached\./);
    mock.restoreAll();
});

test('skipping to the content leaves the address, which names the scene on show, as it is', async () => {
    mock.method(console, 'error', () => null);
    const byId = openDocument();
    mock.method(globalThis, 'fetch', async () => { throw new TypeError('Failed to fetch'); });
    const did = [];
    byId('main').focus = () => did.push('focused');
    await import('../src/app.js?again');
    byId('skip').onclick({ preventDefault: () => did.push('stayed') });
    await settled();
    assert.deepEqual(did, ['stayed', 'focused']);
    mock.restoreAll();
});
