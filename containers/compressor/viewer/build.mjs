// Puts the viewer's script, minified and as one global `Supersplat`, its stylesheet and its licences into .build/, where viewer.py reads them.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build, transform } from 'esbuild';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const modules = here('node_modules/');

// the viewer's imports of the engine go through ours, ours to the engine itself
const limitedEngine = {
    name: 'limited-engine',
    setup({ onResolve }) {
        onResolve({ filter: /^playcanvas$/ }, ({ importer }) =>
            importer.startsWith(modules) ? { path: here('src/engine.mjs') } : undefined
        );
    }
};

await mkdir(here('.build'), { recursive: true });
await build({
    entryPoints: [here('src/index.mjs')],
    outfile: here('.build/viewer.js'),
    bundle: true,
    format: 'iife',
    globalName: 'Supersplat',
    minify: true,
    legalComments: 'none',
    external: ['node:worker_threads'], // of the engine's workers, where there is no browser
    target: 'es2022',
    plugins: [limitedEngine]
});
const css = await readFile(`${modules}@playcanvas/supersplat-viewer/dist/viewer.css`, 'utf8');
const { code } = await transform(css, { loader: 'css', minify: true, target: 'es2022' });
await writeFile(here('.build/viewer.css'), code);
const licences = ['@playcanvas/supersplat-viewer', 'playcanvas'].map(async (name) =>
    `${name}\n\n${await readFile(`${modules}${name}/LICENSE`, 'utf8')}`
);
await writeFile(here('.build/LICENSE'), (await Promise.all(licences)).join('\n'));
console.log(`viewer built in ${here('.build')}`);
