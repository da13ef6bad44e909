// A growing line of PSNR by training step, as SVG.

const NS = 'http://www.w3.org/2000/svg';
const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [560, 240, 40, 20, 14, 30];

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

export function ticks(low, high) {
    const span = Math.max(high - low, 0.5);
    const power = 10 ** Math.floor(Math.log10(span / 3));
    const step = [1, 2, 5, 10].find((factor) => span / (power * factor) <= 5) * power;
    const first = Math.floor(low / step);
    return Array.from({ length: Math.max(1, Math.ceil(high / step) - first) + 1 }, (_, i) => +((first + i) * step).toPrecision(6));
}

// points: [{ step, psnr }]; steps: where the training will end
export function drawCurve(place, points, steps) {
    const psnrs = points.map((point) => point.psnr);
    const rows = ticks(Math.min(...psnrs), Math.max(...psnrs));
    const end = Math.max(steps ?? 0, points.at(-1).step);
    const across = (step) => LEFT + (WIDTH - LEFT - RIGHT) * step / end;
    const down = (psnr) => HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (psnr - rows[0]) / (rows.at(-1) - rows[0]);
    const last = points.at(-1);
    const label = `${last.psnr.toFixed(1)} dB after ${last.step.toLocaleString('en')} steps`;
    const svg = draw('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: 'chart', role: 'img', 'aria-label': label });
    for (const row of rows) {
        svg.append(draw('line', { x1: LEFT, x2: WIDTH - RIGHT, y1: down(row), y2: down(row), class: 'grid' }));
        svg.append(draw('text', { x: LEFT - 6, y: down(row) + 4, 'text-anchor': 'end' }, row));
    }
    for (const share of [0, 0.5, 1]) {
        const step = Math.round(end * share);
        svg.append(draw('text', { x: across(step), y: HEIGHT - 8, 'text-anchor': share === 1 ? 'end' : 'middle' }, step.toLocaleString('en')));
    }
    svg.append(draw('polyline', { points: points.map((point) => `${across(point.step)},${down(point.psnr)}`).join(' '), class: 'line' }));
    svg.append(draw('circle', { cx: across(last.step), cy: down(last.psnr), r: 4, class: 'dot' }));
    svg.append(draw('text', { x: WIDTH - RIGHT, y: HEIGHT - BOTTOM - 8, 'text-anchor': 'end' }, label));
    place.replaceChildren(svg);
}
