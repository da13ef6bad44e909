// Builds the viewer's script (minified, as the global `Supersplat`), its stylesheet and its licences into .build/, where deliver/viewer.py reads them.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build, transform } from 'esbuild';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const modules = here('node_modules/');

// Keeps the viewer within limits. Its orbit controls are the engine's class, which src/engine.mjs replaces; its fly controls
// are its own, and these lines of them are patched.
const FLIGHT = 'class FlyController {';
const HELD = [
    ['applyFrameRotation(this._targetAngles, rotate);', 'applyFrameRotation(this._targetAngles, rotate, -90, highestPitch());'],
    ['this._mover.move(this._position, offset$1);', 'holdStep(this._position, offset$1);\n        this._mover.move(this._position, offset$1);']
];
const limited = {
    name: 'limited',
    setup({ onResolve, onLoad }) {
        onResolve({ filter: /^playcanvas$/ }, ({ importer }) =>
            importer.startsWith(modules) ? { path: here('src/engine.mjs') } : undefined
        );
        onLoad({ filter: /supersplat-viewer\/dist\/viewer\.js$/ }, async ({ path }) => {
            const [before, flight] = (await readFile(path, 'utf8')).split(FLIGHT);
            const held = HELD.reduce((text, [stock, ours]) => {
                if (!text?.includes(stock)) {
                    throw new Error(`the viewer's fly controls no longer contain "${stock}"`);
                }
                return text.replace(stock, () => ours);
            }, flight);
            const imports = `import { highestPitch, holdStep } from '${here('src/controls.mjs')}';`;
            return { contents: `${imports}\n${before}${FLIGHT}${held}`, loader: 'js' };
        });
    }
};

const common = { bundle: true, format: 'iife', minify: true, legalComments: 'none', target: 'es2022' };
const worker = await build({ ...common, entryPoints: [here('src/measure/worker.mjs')], write: false });
await mkdir(here('.build'), { recursive: true });
await build({
    ...common,
    entryPoints: [here('src/index.mjs')],
    outfile: here('.build/viewer.js'),
    globalName: 'Supersplat',
    define: { MEASURING_WORKER: JSON.stringify(worker.outputFiles[0].text) }, // a single-file page has no script beside it
    external: ['node:worker_threads'], // used by the engine's workers outside a browser
    plugins: [limited]
});
const css = await readFile(`${modules}@playcanvas/supersplat-viewer/dist/viewer.css`, 'utf8');
const { code } = await transform(css, { loader: 'css', minify: true, target: 'es2022' });
await writeFile(here('.build/viewer.css'), code);
const licences = ['@playcanvas/supersplat-viewer', 'playcanvas'].map(async (name) =>
    `${name}\n\n${await readFile(`${modules}${name}/LICENSE`, 'utf8')}`
);
await writeFile(here('.build/LICENSE'), (await Promise.all(licences)).join('\n'));
console.log(`viewer built in ${here('.build')}`);
