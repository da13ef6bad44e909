// Computes picks and two-point distances with the delivered page's own code. Input: { gaussians (a file of float32, 11 a Gaussian:
// mean, deviations, quaternion wxyz, opacity), survey, rays, pairs }; output: { picks, distances }.
import { readFileSync } from 'node:fs';
import { line } from '../containers/compressor/viewer/src/measure/geometry.mjs';
import { gaussiansOf, pick } from '../containers/compressor/viewer/src/measure/picking.mjs';
import { judged, ringOf } from '../containers/compressor/viewer/src/measure/report.mjs';

const { gaussians, survey, rays, pairs } = JSON.parse(readFileSync(0));
const { buffer } = new Uint8Array(readFileSync(gaussians));
const values = new Float32Array(buffer);
const of = (from, to) => (i) => values.subarray(11 * i + from, 11 * i + to);
const splat = gaussiansOf(values.length / 11, of(0, 3), of(3, 6), of(6, 10), (i) => values[11 * i + 10]);
const picks = rays.map(([origin, direction]) => {
    const found = pick([splat], origin, direction, ringOf(survey));
    return found && judged(found, survey, true);
});
const distances = pairs.map(([one, other]) => (picks[one] && picks[other] ? line([picks[one], picks[other]], 0).length : null));
console.log(JSON.stringify({ picks, distances }));
