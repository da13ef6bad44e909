// Prints the glTF validator's report on a file as JSON: node validate.mjs scene.glb
import { readFile } from 'node:fs/promises';
import { validateBytes } from 'gltf-validator';

const report = await validateBytes(new Uint8Array(await readFile(process.argv[2])), { maxIssues: 1000 });
console.log(JSON.stringify(report.issues));
