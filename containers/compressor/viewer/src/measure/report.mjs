// Describes picks in lines of text: figures with their accuracy, and reasons to doubt them.
import { area, line, projected } from './geometry.mjs';
import { volume } from './volume.mjs';

// Measured on a trained splat against its generator's truth, from 12 to 60 m at 25 to 85 degrees (benchmarks/README.md):
// 67 % of single picks' errors lie within these. Beyond the limits, in ground sampling distances (GSD), distances are worse
// than one GSD.
const ALONG_OF_GSD = 0.5;
const ALONG_OF_FOG = 0.4;
const ALONG_OF_ROUGH = 0.5;
const ASIDE_OF_GSD = 0.3;
const MAX_SURE_FOG = 4;
const MAX_SURE_ROUGH = 1;
const RING_OF_GSD = 2;
const GSD_OF_DEPTH = 1e-3; // if no photos are known

export const ringOf = ({ gsd }) => (gsd === null ? null : RING_OF_GSD * gsd);

const MAX_MISSING = 0.1; // of the polygon under a volume
const MIN_SAID = 0.01; // of the polygon; less is not mentioned

// A pick with its standard deviations and, if it is unsure, the reason; `supported`: whether photos saw the place.
export function judged(found, survey, supported) {
    const gsd = survey.gsd ?? GSD_OF_DEPTH * found.depth;
    const doubt = survey.gsd !== null && !supported ? 'no photos show this place'
        : found.fog > MAX_SURE_FOG * gsd ? `there is no sharp surface within ${open(found.fog, survey.unit)}`
        : found.rough > MAX_SURE_ROUGH * gsd ? 'an edge or leaves' : null;
    const [fog, rough] = [found.fog, found.rough].map((value) => Math.min(value, found.depth));
    const along = Math.hypot(heightSigma(gsd, fog), ALONG_OF_ROUGH * rough);
    return { ...found, along, aside: ASIDE_OF_GSD * gsd, doubt };
}

const heightSigma = (gsd, fog) => Math.hypot(ALONG_OF_GSD * gsd, ALONG_OF_FOG * fog);

// The ground sampling distance at which the volume over the polygon of `picks` is measured.
export const gsdOf = (picks, { gsd }) => gsd ?? GSD_OF_DEPTH * Math.max(...picks.map(({ depth }) => depth));

// Lines of text about the volume (volume.mjs) between the surface (heights.mjs, on its `grid`) and the base, over the
// polygon of the picks.
export function saidOfVolume(picks, grid, surface, base, survey, seen) {
    const { unit, scale } = survey;
    const gsd = gsdOf(picks, survey);
    const found = volume(picks, grid, surface, {
        base, scale, seen: survey.gsd === null ? () => true : seen, maxFog: MAX_SURE_FOG * gsd,
        along: (fog) => heightSigma(gsd, fog)
    });
    const percent = (share) => `${Math.round(100 * share)} %`;
    if (found.missing > MAX_MISSING) {
        return [`No volume: there is no surface over ${percent(found.missing)} of the polygon`];
    }
    const cubic = (label, { value, sigma }) => `${label} ${number(value, sigma)} ${unit}³${bound(sigma, `${unit}³`)}`;
    const [above, below] = [cubic('Above the base', found.above), cubic('Below the base', found.below)];
    const lines = found.below.value === 0 ? [above] : found.above.value === 0 ? [below]
        : [above, below, cubic('Above less below', found.net)];
    const doubts = { open: 'there is no sharp surface over', unseen: 'no photos show' };
    for (const [name, words] of Object.entries(doubts)) {
        if (found[name] >= MIN_SAID) {
            lines.push(`Unsure: ${words} ${percent(found[name])} of the polygon`);
        }
    }
    return lines;
}

// Lines of text about what the picks measure, by `kind` (line, area, volume or point); `extra`: those of a volume.
export function said(kind, picks, survey, extra = []) {
    const { unit, scale, up } = survey;
    const plain = ({ value, sigma }) => `${number(value, sigma)} ${unit}${bound(sigma, unit)}`;
    const signed = (each) => `${Number(number(each.value, each.sigma)) > 0 ? '+' : ''}${plain(each)}`;
    const square = ({ value, sigma }) => `${number(value, sigma)} ${unit}²${bound(sigma, `${unit}²`)}`;
    const lines = [...extra];
    if (kind === 'point' && picks.length > 0) {
        const pick = picks[picks.length - 1];
        lines.push(...placed(pick, survey));
        if (pick.marks) {
            lines.push(`From marks in ${pick.marks} photos, residual ${number(pick.missed, 0.1)} pixels (RMS); ${number(pick.off, pick.along)} ${unit} from the splat’s surface`);
        }
    } else if (kind === 'line' && picks.length > 1) {
        const { length, plan, rise } = line(picks, scale, up);
        lines.push(`Length ${plain(length)}`, `In plan ${plain(plan)}`, `Height ${signed(rise)}`);
    } else if (kind === 'area' && picks.length > 2) {
        const { plan, own } = area(picks, scale, up);
        lines.push(`Area in plan ${square(plan)}`, `On its own plane ${square(own)}`);
    }
    const doubts = kind === 'point' ? picks.slice(-1) : picks;
    const numbered = kind !== 'point' && picks.length > 1;
    doubts.forEach(({ doubt }, i) => {
        if (doubt) {
            lines.push(`Unsure ${numbered ? `at point ${i + 1}` : 'here'}: ${doubt}`);
        }
    });
    return lines;
}

// Where a pick is: in the scene, and on Earth if that is known.
export function placed({ point, along }, survey) {
    const { unit, offset, system, absolute } = survey;
    const [x, y, z] = point.map((value, i) => number(value + offset[i], along));
    const lines = [survey.georeferenced ? `East ${x}, north ${y}, up ${z} ${unit}${bound(along, unit)} in the scene` : `x ${x}, y ${y}, z ${z}`];
    if (system) {
        const [east, north, height] = projected(system.terms, point);
        const sigma = Math.hypot(along, absolute?.plan ?? 0);
        lines.push(`E ${number(east, sigma)}, N ${number(north, sigma)}, height ${number(height, Math.hypot(along, absolute?.height ?? 0))}`, system.name);
    }
    if (absolute) {
        lines.push(`On Earth${bound(Math.hypot(along, absolute.plan), 'm')} in plan${absolute.height === null ? '' : `,${bound(Math.hypot(along, absolute.height), 'm')} in height`}, by ${absolute.by}`);
    }
    return lines;
}

const bound = (sigma, unit) => ` ± ${number(sigma, sigma)} ${unit}`;

// With decimals down to the first digit of its standard deviation, three at most.
function number(value, sigma) {
    const decimals = Math.min(3, Math.max(0, Math.ceil(-Math.log10(sigma))));
    const text = value.toFixed(decimals);
    return Number(text) === 0 ? text.replace('-', '') : text; // no "-0.0"
}

function open(fog, unit) {
    return Number.isFinite(fog) ? `${number(fog, fog / 10)} ${unit}` : 'the whole depth';
}
