// Draws picks and the lines between them over the picture, as SVG on the page and on a canvas for a snapshot.
const NORTH = 'M0-14 7 11 0 6-7 11Z';
const COLOUR = '#ffd400';
const DOUBTFUL = '#ff5a36';

// `places`: those of the picks, in pixels; null behind the camera.
export function svgOf(kind, picks, places) {
    const joined = places.filter(Boolean);
    const shape = ['area', 'volume'].includes(kind) && joined.length > 2 ? 'polygon' : 'polyline';
    const text = joined.map((place) => place.map((value) => value.toFixed(1)).join()).join(' ');
    const lines = kind === 'point' || joined.length < 2 ? '' : `<${shape} points="${text}" fill="${shape === 'polygon' ? `${COLOUR}33` : 'none'}" stroke="${COLOUR}" stroke-width="2"/>`;
    return lines + places.map((place, i) => place && dot(place, picks[i], i, kind)).filter(Boolean).join('');
}

function dot([x, y], { doubt }, i, kind) {
    const at = `translate(${x.toFixed(1)} ${y.toFixed(1)})`;
    const number = kind === 'point' ? '' : `<text x="9" y="-7" fill="#fff" stroke="#000" stroke-width="3" paint-order="stroke" font-size="13" font-family="sans-serif">${i + 1}</text>`;
    return `<g transform="${at}"><circle r="5" fill="${doubt ? DOUBTFUL : COLOUR}" stroke="#000"/>${number}</g>`;
}

const MAX_LABEL = 40; // characters

// A pin with its text at [x, y], in pixels: a note, or a surveyed point (`kind`: note, control or check).
export function pinOf([x, y], text, kind) {
    const label = text.length > MAX_LABEL ? `${text.slice(0, MAX_LABEL - 1)}…` : text;
    const written = label.replace(/[&<>]/g, (character) => `&#${character.charCodeAt(0)};`);
    const shape = kind === 'note' ? '<path d="M0 0 -5-11a6 6 0 1 1 10 0Z" fill="#7fd1ff" stroke="#000"/>'
        : `<path d="M0-8 7 5H-7Z" fill="${kind === 'check' ? '#fff' : '#6f6'}" stroke="#000"/><circle r="1.5"/>`;
    return `<g transform="translate(${x.toFixed(1)} ${y.toFixed(1)})">${shape}<text x="9" y="-4" fill="currentColor" stroke="#fff" stroke-width="3" paint-order="stroke" font-size="13" font-family="sans-serif">${written}</text></g>`;
}

export const needle = (degrees) => `<g transform="rotate(${degrees.toFixed(1)})"><path d="${NORTH}" fill="#e33" stroke="#fff"/><text y="-17" fill="#fff" font-size="12" text-anchor="middle" font-family="sans-serif">N</text></g>`;

// The picture (RGBA, base64, as the viewer captures it) with `marks`, the content of an SVG of the same size, and below it
// a plate with `title`, `lines` of figures, and north. Resolves to a PNG.
export async function plated({ width, height, data }, marks, { title, lines, north }) {
    const row = Math.max(18, Math.round(width / 60));
    const rows = [title, ...lines];
    const plate = Math.round((rows.length + 1) * 1.4 * row);
    const canvas = new OffscreenCanvas(width, height + plate);
    const context = canvas.getContext('2d');
    const bytes = Uint8ClampedArray.from(atob(data), (character) => character.charCodeAt(0));
    context.putImageData(new ImageData(bytes, width, height), 0, 0);
    context.fillStyle = '#14181c';
    context.fillRect(0, height, width, plate);
    context.fillStyle = '#fff';
    rows.forEach((line, i) => {
        context.font = `${i === 0 ? 'bold ' : ''}${row}px system-ui, sans-serif`;
        context.fillText(line, row, height + (i + 1.3) * 1.4 * row, width - 6 * row);
    });
    const over = `${marks}${north === null ? '' : `<g transform="translate(${width - 2.5 * row} ${height + plate / 2}) scale(${row / 14})">${needle(north)}</g>`}`;
    const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height + plate}">${over}</svg>`;
    const image = new Image();
    image.src = `data:image/svg+xml,${encodeURIComponent(svg)}`;
    await image.decode();
    context.drawImage(image, 0, 0);
    return canvas.convertToBlob({ type: 'image/png' });
}
