// The colours that WCAG 2.2 asks for (1.4.3: text 4.5:1; 1.4.11: borders of controls 3:1), light and dark.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

const css = readFileSync(new URL('../style.css', import.meta.url), 'utf8');
const palettes = [...css.matchAll(/:root \{([^}]*)\}/g)].map(([, body]) => Object.fromEntries([...body.matchAll(/--([\w-]+): (#[0-9a-f]+)/g)].map(([, name, colour]) => [name, colour])));

function luminance(colour) {
    const digits = colour.length === 4 ? [...colour.slice(1)].map((digit) => digit + digit) : colour.slice(1).match(/../g);
    const [r, g, b] = digits.map((pair) => Number.parseInt(pair, 16) / 255).map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a, b) {
    const [light, dark] = [luminance(a), luminance(b)].sort((x, y) => y - x);
    return (light + 0.05) / (dark + 0.05);
}

test('texts and the borders of controls stand out', () => {
    assert.equal(palettes.length, 2);
    const [light, dark] = palettes;
    for (const palette of [light, { ...light, ...dark }]) {
        for (const [colour, behind, least] of [
            ['edge', 'paper', 3], ['edge', 'ground', 3],
            ['ink', 'paper', 4.5], ['ink', 'ground', 4.5], ['soft', 'paper', 4.5], ['soft', 'ground', 4.5],
            ['green', 'paper', 4.5], ['green', 'green-soft', 4.5], ['red', 'paper', 4.5], ['red', 'red-soft', 4.5], ['ink', 'red-soft', 4.5], ['ink', 'amber-soft', 4.5]
        ]) {
            const found = contrast(palette[colour], palette[behind]);
            assert.ok(found >= least, `${colour} on ${behind}: ${found.toFixed(2)}`);
        }
    }
});
