// The result of a finished job: the scene in its viewer, the verdict, and the files to download.
import { byId, emptyFrame } from './page.js';
import { bytes, make } from './words.js';

// The downloads, the scene first: the delivered file, the text of its link, the link's attributes.
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
    ['products/quality.pdf', 'Survey quality report (PDF)'],
    ['sfm/photos.json', 'Names of the photos (JSON)', { target: '_blank', rel: 'noopener' }]
];

// Shows the grade (good, usable or poor), the reason, and one next step.
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
    emptyFrame('viewer').src = viewerUrl(links);
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
        emptyFrame('report-frame').src = links['report.html'];
    }
}

// The links themselves determine the names under which files are saved.
export function offerDownloads({ links }) {
    const found = OFFERED.filter(([file]) => links[file]);
    const buttons = found.map(([file, text, how]) => make('a', text, { className: 'button', href: links[file], ...how }));
    byId('downloads').replaceChildren(make('a', 'Open in a new tab', { className: 'button', href: viewerUrl(links), target: '_blank', rel: 'noopener' }), ...buttons);
}

// The files beside the viewer that it offers, by its own name for each.
const BESIDE = { sog: 'scene.sog', ply: 'scene.ply', spz: 'scene.spz', orbit: 'orbit.webp' };

// The viewer's address, with links to the files beside it. A large scene has a page that loads it in parts.
export function viewerUrl(links) {
    const files = new URLSearchParams(Object.entries(BESIDE).filter(([, file]) => links[file]).map(([name, file]) => [name, links[file]]));
    const streaming = links['viewer/stream.html.gz'];
    return streaming ? `${streaming}&${files}` : `${links['viewer/index.html']}#${files}`;
}
