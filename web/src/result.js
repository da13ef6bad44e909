// The result of a finished job: the scene in its viewer, how good it is, and the files to download.
import { byId } from './page.js';
import { bytes, make } from './words.js';

// What a customer takes home, the scene first: the delivered file, the words on its link, how it is opened.
const OFFERED = [
    ['scene.sog', 'Download .sog'],
    ['scene.ply', 'Download .ply'],
    ['scene.spz', 'Download .spz'],
    ['scene.glb', 'Download .glb'],
    ['viewer.html', 'Download the viewer (one HTML file)'],
    ['report.html', 'Open the report', { target: '_blank', rel: 'noopener' }],
    ['products/orthophoto.tif', 'Orthophoto (GeoTIFF)'],
    ['products/surface.tif', 'Surface model (GeoTIFF)'],
    ['products/contours.geojson', 'Contour lines (GeoJSON)'],
    ['products/points.laz', 'Point cloud (LAZ)'],
    ['products/quality.pdf', 'Survey quality report (PDF)']
];

// Good, usable or poor, why, and the one thing to do next.
export function showVerdict(verdict, runAgain) {
    if (!verdict) {
        return;
    }
    const { grade, sentence, why, nextStep } = verdict;
    const words = make('p');
    words.append(make('b', sentence), ` ${why}`);
    const act = ({ fromStage, quality }) => (fromStage ? () => runAgain(fromStage, quality) : () => { location.hash = ''; });
    byId('verdict').className = `verdict ${grade}`;
    byId('verdict').replaceChildren(words, ...(nextStep ? [make('button', nextStep.label, { className: 'primary', onclick: act(nextStep) })] : []));
    byId('verdict').hidden = false;
}

export function showResult({ links, metrics }) {
    byId('job-scene').hidden = false;
    byId('viewer').src = viewerUrl(links);
    const found = [
        ['Score', metrics.score && `${metrics.score} of 100`],
        ['Photos used', metrics.photos && `${metrics.registered} of ${metrics.photos}`],
        ['Match to your photos', metrics.psnr && `${metrics.psnr.toFixed(1)} dB`],
        ['Size', metrics.bytes && bytes(metrics.bytes)]
    ];
    byId('figures').replaceChildren(...found.filter(([, value]) => value).map(([label, value]) => {
        const box = make('div');
        box.append(make('dt', label), make('dd', value));
        return box;
    }));
    if (links['report.html']) {
        byId('report').hidden = false;
        byId('report-frame').src = links['report.html'];
    }
}

// The links themselves say what a file is called when it is saved.
export function offerDownloads({ links }) {
    const found = OFFERED.filter(([file]) => links[file]);
    const buttons = found.map(([file, text, how]) => make('a', text, { className: 'button', href: links[file], ...how }));
    byId('downloads').replaceChildren(make('a', 'Open in a new tab', { className: 'button', href: viewerUrl(links), target: '_blank', rel: 'noopener' }), ...buttons);
}

// What the viewer offers of the files beside it, by the name that it has for each.
const BESIDE = { sog: 'scene.sog', ply: 'scene.ply', spz: 'scene.spz', orbit: 'orbit.webp' };

// A large scene's page loads it in parts; either page offers the files beside it, by their links.
export function viewerUrl(links) {
    const files = new URLSearchParams(Object.entries(BESIDE).filter(([, file]) => links[file]).map(([name, file]) => [name, links[file]]));
    const streaming = links['viewer/stream.html.gz'];
    return streaming ? `${streaming}&${files}` : `${links['viewer/index.html']}#${files}`;
}
