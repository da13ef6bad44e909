// The HTML that shows a scene on another web page.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { embedCode } from '../src/share.js';

test("a scene's name stays within its attribute", () => {
    const code = embedCode('https://api.example.com/shared/a.b', '"><script>alert(1)</script>');
    assert.match(code, /^<iframe src="https:\/\/api\.example\.com\/shared\/a\.b" title="&quot;>&lt;script>/);
    assert.equal(code.match(/</g).length, 2);
});
