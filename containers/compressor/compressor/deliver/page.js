// The delivered page: starts the viewer, and adds controls, downloads, the scale bar and the measuring panel.
const byId = (id) => document.getElementById(id);
const asked = new URLSearchParams(location.search);
const { settings, surroundings, limits, rotation, target, metric, antialiased, title, survey, photos, downloads } = JSON.parse(byId('presentation').textContent);
const poster = byId('poster');
const LEGEND_MILLISECONDS = 8000;
const MAX_SILENT_SECONDS = 30; // while loading; counted in timer ticks, which a busy page does not get although its clock runs on
const still = asked.has('noanim') || matchMedia('(prefers-reduced-motion: reduce)').matches;

function fail(text) {
    if (document.documentElement.dataset.loaded === 'true') {
        return;
    }
    poster.classList.remove('gone');
    poster.classList.add('failed');
    byId('message').textContent = text;
    document.documentElement.dataset.loaded = 'failed';
    offerOrbit();
}

// The flight around the scene, an animation that needs no WebGL: beside this page, or through a signed link to it (#orbit=…).
const ORBIT = '../orbit.webp';

function offerOrbit() {
    const link = new URLSearchParams(location.hash.slice(1)).get('orbit');
    const picture = new Image();
    picture.onload = () => {
        if (document.documentElement.dataset.loaded === 'failed') {
            const anchor = document.createElement('a');
            Object.assign(anchor, { id: 'orbit', href: picture.src, target: '_blank', rel: 'noopener', textContent: 'Watch a flight around the scene' });
            byId('message').append(' ', anchor);
        }
    };
    picture.src = link && isNeighbour(link, ORBIT) ? link : ORBIT;
}

if (asked.has('noui')) {
    poster.hidden = true;
}
// Every Chromium has navigator.gpu, even if there is nothing behind it.
async function hasWebGpu() {
    const tooLong = new Promise((resolve) => { setTimeout(resolve, 3000, null); });
    return Boolean(navigator.gpu && await Promise.race([navigator.gpu.requestAdapter().catch(() => null), tooLong]));
}

const notShown = (reason) => fail(`The scene could not be shown (${reason}). Reload the page, or open it in another browser. The picture shows the scene as it would open.`);
let silent = 0;
const watch = setInterval(() => {
    silent += 1;
    if (silent >= MAX_SILENT_SECONDS) {
        clearInterval(watch);
        notShown('it took too long');
    }
}, 1000);
addEventListener('error', ({ message }) => notShown(message));
addEventListener('unhandledrejection', ({ reason }) => notShown(reason?.message ?? reason));

hasWebGpu().then((webgpu) => {
    if (!webgpu && !document.createElement('canvas').getContext('webgl2')) {
        clearInterval(watch);
        fail('This browser cannot draw 3D scenes: it has no WebGL 2. Switch hardware acceleration on in its settings, or open the page in another browser. The picture shows the scene as it would open.');
        return undefined;
    }
    return start(webgpu && !asked.has('webgl') ? 'webgpu' : 'webgl');
}).catch((error) => notShown(error.message));

// What the viewer shows: the file in this page, or the parts of a streamed scene.
async function content() {
    if (byId('splat').textContent === '') {
        return streamed();
    }
    const sog = new Blob([embedded('splat')], { type: 'application/zip' });
    const contentUrl = URL.createObjectURL(sog);
    const thumbnails = async () => embedded('thumbnails').buffer;
    return { contentUrl, contentFilename: 'scene.sog', contents: Promise.resolve(new Response(sog)), source: sog, thumbnails };
}

// A large scene's parts lie beside this page (../lod/) and are loaded as they are needed. The page has no permission to
// read them: the link to the page names an address (#scene=https://…/lod-meta.json) that returns signed links, and new
// ones when these expire. Only links to its own parts are accepted: whoever passes on the page's link could name any.
const RENEW_MS = 30_000; // before they expire

async function streamed() {
    const source = new URLSearchParams(location.hash.slice(1)).get('scene');
    if (source === null) {
        throw new Error('it loads the scene in parts: open it from the scene’s own page, or download the viewer there');
    }
    const urlOf = (name) => new URL(`../lod/${name}`, location.href).href.split('?')[0];
    const links = new Map();
    let expires = 0;
    let renewal;

    async function manifest() {
        const answer = await fetch(source, { credentials: 'omit', cache: 'no-store' });
        if (answer.status === 404) {
            byId('legend').textContent = 'The link to this scene has expired. Open it again to see more of it';
            byId('legend').classList.remove('gone');
            throw Object.assign(new Error('the link to it has expired: open it again where you found it'), { final: true });
        }
        if (!answer.ok) {
            throw new Error(`the server answered ${answer.status}`);
        }
        const found = await answer.json();
        const own = (link) => {
            const name = parsed(link)?.pathname.split('/').pop() ?? '';
            if (!isNeighbour(link, `../lod/${name}`)) {
                throw Object.assign(new Error('its link names other files than its own'), { final: true });
            }
            links.set(urlOf(name), link);
            return urlOf(name);
        };
        found.filenames = found.filenames.map(own);
        for (const part of ['environment', 'thumbnails'].filter((name) => found[name])) {
            found[part] = own(found[part]);
        }
        expires = Date.parse(found.expiresAt);
        return found;
    }

    // one request for all parts that are waiting
    const renewed = () => { renewal ??= manifest().finally(() => { renewal = undefined; }); return renewal; };
    const first = await renewed();
    const contentUrl = URL.createObjectURL(new Blob([JSON.stringify(first)], { type: 'application/json' }));
    const linkOf = async (url, anew) => {
        if (links.has(url) && (anew || Date.now() > expires - RENEW_MS)) {
            await renewed();
        }
        return links.get(url);
    };
    // loads a part of the finest level, on which the page measures, or the thumbnails; the browser may have cached it
    const load = async (url) => {
        for (const anew of [false, true]) {
            const answer = await fetch(await linkOf(url, anew), { credentials: 'omit', cache: 'force-cache' });
            if (answer.ok) {
                return answer.arrayBuffer();
            }
        }
        throw new Error('a part of the scene could not be loaded');
    };
    const thumbnails = () => load(first.thumbnails);
    return { contentUrl, contentFilename: 'lod-meta.json', linkOf, source: { manifest: first, load }, thumbnails };
}

// Bytes rather than a data: URL, which takes three times as long and nearly four times the memory for 100 MB.
function embedded(id) {
    const binary = atob(byId(id).textContent);
    const bytes = new Uint8Array(binary.length);
    for (let i = 0; i < bytes.length; i++) {
        bytes[i] = binary.charCodeAt(i);
    }
    return bytes;
}

async function start(renderer) {
    const { source, thumbnails, ...given } = await content();
    const viewer = await Supersplat.createViewer({
        container: byId('viewer'),
        settings,
        surroundings,
        limits,
        ...given,
        ui: false,
        aa: antialiased,
        noanim: still,
        renderer
    });
    const supported = (point) => Supersplat.supported(surroundings, point);
    window.spaceport = { viewer, supported };
    // the viewer takes every splat for y-down; `rotation` turns ours upright
    viewer.app.root.on('childinsert', (entity) => {
        if (entity.name === 'gsplat') {
            entity.setLocalRotation(...rotation);
        }
    });
    // the viewer draws only what changes, and does not count a graphics context that was lost
    viewer.app.graphicsDevice.on('devicerestored', () => { viewer.app.renderNextFrame = true; });
    viewer.events.on('progress:changed', (percent) => {
        silent = 0;
        byId('bar').setAttribute('aria-valuenow', Math.round(percent));
        byId('bar').firstElementChild.style.width = `${percent}%`;
    });
    const shown = () => {
        clearInterval(watch);
        poster.classList.remove('failed');
        poster.classList.add('gone');
        poster.inert = true;
        if (!asked.has('noui')) {
            addControls(viewer, given.contentUrl, source.size);
            addMeasuring(viewer, source, supported, thumbnails);
        }
        document.documentElement.dataset.loaded = 'true';
    };
    if (viewer.state.loaded) {
        shown();
    } else {
        viewer.events.once('loaded:changed', shown);
    }
}

// The splat is read for measuring when the panel is first opened.
function addMeasuring(viewer, source, supported, thumbnails) {
    let tools;
    const toggle = () => {
        tools ??= Supersplat.measureWith({ viewer, panel: byId('measuring'), overlay: byId('overlay'), source, rotation, survey, photos, thumbnails, title, supported });
        tools.open(!tools.isOpen);
        window.spaceport.measuring = tools;
        byId('measure').setAttribute('aria-expanded', String(tools.isOpen));
    };
    byId('measure').hidden = false;
    byId('measure').onclick = toggle;
    addEventListener('keydown', (event) => {
        if (event.key === 'm' && !event.ctrlKey && !event.metaKey && !event.altKey && !event.target.closest?.('input')) {
            toggle();
        } else if (event.key === 'Escape' && tools?.isOpen) {
            toggle();
            byId('measure').focus();
        }
    });
}

function addControls(viewer, contentUrl, bytes) {
    const icons = {
        play: '<path d="M7 5v14l12-7z"/>',
        pause: '<path d="M8 5v14M16 5v14"/>',
        reset: '<path d="M4 12a8 8 0 1 0 3-6.2M4 4v5h5"/>',
        fly: '<path d="M12 3v18M3 12h18M9 6l3-3 3 3M9 18l3 3 3-3M6 9l-3 3 3 3M18 9l3 3-3 3"/>',
        measure: '<path d="M3 17 17 3l4 4L7 21zM8 12l2 2M11 9l3 3M14 6l2 2"/>',
        save: '<path d="M12 4v11m-5-5 5 5 5-5M5 20h14"/>',
        ask: '<path d="M9 9a3 3 0 1 1 4.5 2.6c-1 .6-1.5 1.2-1.5 2.4M12 18v.01"/>',
        full: '<path d="M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5"/>'
    };
    const draw = (id, icon = id) => {
        byId(id).innerHTML = `<svg viewBox="0 0 24 24" aria-hidden="true">${icons[icon]}</svg>`;
    };
    ['reset', 'fly', 'measure', 'save', 'ask', 'full'].forEach((id) => draw(id));
    const turning = () => viewer.state.cameraMode === 'anim' && !viewer.state.animationPaused;
    let round;
    const showPlay = () => {
        draw('play', turning() ? 'pause' : 'play');
        byId('play').setAttribute('aria-pressed', String(turning()));
        clearTimeout(round);
        if (turning()) { // one turn is enough: nothing moves for ever
            round = setTimeout(() => { viewer.state.animationPaused = true; }, settings.animTracks[0].duration * 1000);
        }
    };
    viewer.events.on('cameraMode:changed', showPlay);
    viewer.events.on('animationPaused:changed', showPlay);
    byId('play').onclick = () => {
        const pause = turning();
        viewer.state.cameraMode = 'anim';
        viewer.state.animationPaused = pause;
        showPlay();
    };
    byId('reset').onclick = () => viewer.resetCamera();
    byId('full').onclick = () => (viewer.state.isFullscreen ? viewer.exitFullscreen() : viewer.requestFullscreen()).catch(() => {});
    if (matchMedia('(pointer: coarse)').matches) { // other devices have keys
        byId('fly').hidden = false;
        byId('fly').onclick = () => { viewer.state.cameraMode = viewer.state.cameraMode === 'fly' ? 'orbit' : 'fly'; };
        viewer.events.on('cameraMode:changed', (mode) => byId('fly').setAttribute('aria-pressed', String(mode === 'fly')));
        Supersplat.joystick(viewer, byId('stick'));
    }
    const panels = { save: 'downloads', ask: 'help' };
    const openOnly = (wanted) => {
        for (const [button, panel] of Object.entries(panels)) {
            byId(panel).hidden = button !== wanted;
            byId(button).setAttribute('aria-expanded', String(button === wanted));
        }
    };
    for (const [button, panel] of Object.entries(panels)) {
        byId(button).onclick = () => openOnly(byId(panel).hidden ? button : null);
    }
    addEventListener('keydown', (event) => {
        const open = Object.keys(panels).find((button) => !byId(panels[button]).hidden);
        if (event.key === 'Escape' && open) {
            openOnly(null);
            byId(open).focus();
        }
    });
    showPlay();
    listDownloads(bytes, contentUrl);
    byId('controls').hidden = false;
    byId('legend').hidden = false;
    setTimeout(() => byId('legend').classList.add('gone'), LEGEND_MILLISECONDS);
    if (metric) {
        byId('scale').hidden = false;
        viewer.app.on('frameend', () => drawScale(viewer));
        drawScale(viewer);
    }
}

// The .sog is in this page, unless the scene is streamed. The other files lie beside it and are offered by their relative
// paths or, because a page opened through a signed link has no permission to read its neighbours, by signed links to the
// same files (#ply=https://…). Other links are ignored: whoever passes on the page's link could name any file.
async function listDownloads(bytes, contentUrl) {
    const linked = new URLSearchParams(location.hash.slice(1));
    if (bytes !== undefined) {
        offer('Compressed splat', 'sog', contentUrl, bytes);
    }
    for (const [kind, label] of [['sog', 'Compressed splat'], ['ply', 'Full splat'], ['spz', 'Compressed splat']]) {
        const link = linked.get(kind);
        const beside = downloads[kind];
        if (link && beside && isNeighbour(link, beside.path)) {
            offer(label, kind, link, beside.bytes);
        } else if (beside && (location.protocol === 'file:' || await isThere(beside.path))) {
            offer(label, kind, beside.path, beside.bytes);
        }
    }
}

// The link's address, or null if it is none. URL.canParse is missing in browsers before 2023.
function parsed(link) {
    try {
        return new URL(link);
    } catch {
        return null;
    }
}

function isNeighbour(link, path) {
    const there = new URL(path, location.href);
    const named = parsed(link);
    return named !== null && /^https?:$/.test(named.protocol) && named.origin === there.origin && named.pathname === there.pathname;
}

async function isThere(path) {
    return (await fetch(path, { method: 'HEAD' }).catch(() => ({ ok: false }))).ok;
}

function offer(label, kind, href, bytes) {
    const link = document.createElement('a');
    link.href = href;
    link.download = `${title}.${kind}`;
    const size = document.createElement('span');
    size.textContent = bytes === undefined ? '' : `${(bytes / 1e6).toFixed(1)} MB`;
    link.append(`${label} (.${kind})`, size);
    byId('downloads').append(link);
}

// Draws a bar as long as a round number of metres is at the distance of the scene's centre.
function drawScale(viewer) {
    const camera = viewer.app.root.findComponent('camera');
    const at = camera.entity.getPosition();
    const ahead = camera.entity.forward;
    const depth = (target[0] - at.x) * ahead.x + (target[1] - at.y) * ahead.y + (target[2] - at.z) * ahead.z;
    const across = camera.horizontalFov ? innerWidth : innerHeight;
    const pixels = across / (2 * Math.tan(camera.fov * Math.PI / 360) * depth);
    const bar = byId('scale');
    bar.style.visibility = depth > 0 ? 'visible' : 'hidden';
    if (depth <= 0) {
        return;
    }
    const longest = Math.min(160, innerWidth / 3) / pixels;
    const power = 10 ** Math.floor(Math.log10(longest));
    const metres = [5, 2, 1].find((factor) => factor * power <= longest) * power;
    const text = metres >= 1000 ? `${metres / 1000} km` : metres >= 1 ? `${metres} m` : `${+(metres * 100).toPrecision(1)} cm`;
    bar.firstElementChild.style.width = `${metres * pixels}px`;
    if (bar.lastElementChild.textContent !== text) {
        bar.lastElementChild.textContent = text;
    }
}
