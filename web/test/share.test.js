// Share links on a scene's page, and the HTML that shows a scene on another web page.
import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { ApiError } from '../src/errors.js';
import { Shares, embedCode } from '../src/share.js';
import { openDocument, settled } from './document.js';

test("a scene's name stays within its attribute", () => {
    const code = embedCode('https://api.example.com/shared/a.b', '"><script>alert(1)</script>');
    assert.match(code, /^<iframe src="https:\/\/api\.example\.com\/shared\/a\.b" title="&quot;>&lt;script>/);
    assert.equal(code.match(/</g).length, 2);
});

test("links stay on their own scene's page", async () => {
    const byId = openDocument();
    let answered;
    const api = {
        listShares: async (id) => {
            if (id === 'b') {
                throw new Error('no answer');
            }
            return { shares: [{ shareId: '1', label: 'For the Smiths', createdAt: '2026-01-01T00:00:00Z', expiresAt: null }] };
        },
        shareJob: () => new Promise((resolve) => { answered = () => resolve({ token: 'a.secret' }); }),
        sharedUrl: (token) => `https://api.example.com/shared/${token}`
    };
    const first = new Shares(api, 'a', 'Scene A');
    await first.open();
    assert.match(byId('shares').textContent, /For the Smiths/);
    const adding = first.add();
    first.close();
    await assert.rejects(new Shares(api, 'b', 'Scene B').open());
    answered();
    await adding;
    assert.equal(byId('shares').textContent, '');
    assert.equal(byId('share-link').value, '');
    assert.equal(byId('new-share').hidden, true);
});

test('a limit of links is said in the words of the API, on its own page only', async () => {
    mock.method(console, 'error', () => null);
    const byId = openDocument();
    const refusal = new ApiError(422, { code: 'INVALID_REQUEST', detail: 'At most 50 links: withdraw one first.', hint: 'Compare it with /openapi.json.' });
    const shares = new Shares({ listShares: async () => ({ shares: [] }), shareJob: async () => { throw refusal; } }, 'a', 'Scene A');
    await shares.open();
    const press = () => byId('share-form').onsubmit({ preventDefault: () => null });
    press();
    await settled();
    assert.equal(byId('notice').textContent, 'At most 50 links: withdraw one first.');
    byId('notice').replaceChildren();
    press();
    shares.close();
    await settled();
    assert.equal(byId('notice').textContent, '');
    mock.restoreAll();
});

test('what was typed for one scene is not offered for the next', async () => {
    const byId = openDocument();
    byId('share-form').reset = () => { byId('share-label').value = ''; };
    byId('share-label').value = 'For the Smiths';
    await new Shares({ listShares: async () => ({ shares: [] }) }, 'b', 'Scene B').open();
    assert.equal(byId('share-label').value, '');
});
