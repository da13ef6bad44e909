// Puts the viewer's script, minified and as one global `Supersplat`, its stylesheet and its licence into .build/, where viewer.py reads them.
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { transform } from 'esbuild';

const source = new URL('node_modules/@playcanvas/supersplat-viewer/', import.meta.url);
const target = new URL('.build/', import.meta.url);

await mkdir(target, { recursive: true });
const asScript = { format: 'iife', globalName: 'Supersplat' };
for (const [kind, options] of [['js', asScript], ['css', {}]]) {
    const text = await readFile(new URL(`public/index.${kind}`, source), 'utf8');
    const { code } = await transform(text, { ...options, loader: kind, minify: true, target: 'es2022' });
    await writeFile(new URL(`viewer.${kind}`, target), code);
}
await copyFile(new URL('LICENSE', source), new URL('LICENSE', target));
console.log(`viewer built in ${fileURLToPath(target)}`);
