// Share links on a scene's page, and the HTML that shows a scene on another web page.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Shares, embedCode } from '../src/share.js';
import { openDocument } from './document.js';

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
