// Draws PSNR by training step as a line chart in SVG.

const NS = 'http://www.w3.org/2000/svg';
const [HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [240, 34, 14, 14, 30];
const ROWS = [10, 15, 20, 25, 30, 35]; // dB; a fixed axis, so that scenes can be compared and noise looks like noise
const GOOD = 25;

function draw(tag, attributes, text) {
    const element = document.createElementNS(NS, tag);
    for (const [name, value] of Object.entries(attributes)) {
        element.setAttribute(name, value);
    }
    if (text !== undefined) {
        element.textContent = text;
    }
    return element;
}

// `points`: [{ step, psnr }]; `steps`: at which training will end
export function drawCurve(place, points, steps) {
    const width = Math.max(280, place.clientWidth || 560); // one unit is one pixel, so that text keeps its size
    const end = Math.max(steps ?? 0, points.at(-1).step);
    const across = (step) => LEFT + (width - LEFT - RIGHT) * step / end;
    const down = (psnr) => HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (within(psnr) - ROWS[0]) / (ROWS.at(-1) - ROWS[0]);
    const last = points.at(-1);
    const label = `${last.psnr.toFixed(1)} dB after ${last.step.toLocaleString('en')} steps`;
    const svg = draw('svg', { viewBox: `0 0 ${width} ${HEIGHT}`, class: 'chart', role: 'img', 'aria-label': `Match to your check photos: ${label}. Above ${GOOD} dB is good.` });
    for (const row of ROWS) {
        svg.append(draw('line', { x1: LEFT, x2: width - RIGHT, y1: down(row), y2: down(row), class: row === GOOD ? 'good' : 'grid' }));
        svg.append(draw('text', { x: LEFT - 6, y: down(row) + 4, 'text-anchor': 'end' }, row));
    }
    for (const share of [0, 0.5, 1]) {
        const step = Math.round(end * share);
        svg.append(draw('text', { x: across(step), y: HEIGHT - 8, 'text-anchor': ['start', 'middle', 'end'][2 * share] }, step.toLocaleString('en')));
    }
    svg.append(draw('polyline', { points: points.map((point) => `${across(point.step)},${down(point.psnr)}`).join(' '), class: 'line' }));
    svg.append(draw('circle', { cx: across(last.step), cy: down(last.psnr), r: 4, class: 'dot' }));
    svg.append(draw('text', { x: width - RIGHT, y: HEIGHT - BOTTOM - 8, 'text-anchor': 'end' }, label));
    place.replaceChildren(svg);
}

export function within(psnr) {
    return Math.min(ROWS.at(-1), Math.max(ROWS[0], psnr));
}
