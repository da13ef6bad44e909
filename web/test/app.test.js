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
