// Builds the page into .build/: the scripts bundled and minified, everything else copied as it is.
import { copyFile, mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const target = new URL('.build/', import.meta.url);
await mkdir(target, { recursive: true });
await build({
    entryPoints: [fileURLToPath(new URL('src/app.js', import.meta.url))],
    outfile: fileURLToPath(new URL('app.js', target)),
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    legalComments: 'eof'
});
for (const name of ['index.html', 'style.css', 'icon.svg', '../docs/images/sample.jpg']) {
    await copyFile(new URL(name, import.meta.url), new URL(name.split('/').at(-1), target));
}
console.log(`page built in ${fileURLToPath(target)}`);
