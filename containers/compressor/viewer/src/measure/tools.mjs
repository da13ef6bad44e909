// The page's measuring panel: a click, a tap or Enter picks a point of the surface, and the panel shows figures.
import { SplatCamera, turned, turnedBack } from './camera.mjs';
import { needle, pinOf, plated, svgOf } from './drawing.mjs';
import { PhotoList } from './marking.mjs';
import { gsdOf, judged, placed, ringOf, said, saidOfVolume } from './report.mjs';
import { PickedSplat } from './splat.mjs';
import { StreamedSplat } from './streamed.mjs';
import { Thumbnails } from './thumbnails.mjs';
import { SavedViews } from './views.mjs';
import { gridOf } from './volume.mjs';

const TAP_PIXELS = 8; // by which the pointer may move in a click or tap
const SNAPSHOT_PIXELS = 1920; // along its longer side
const PROMPTS = {
    line: 'Click two points or more',
    area: 'Click the corners of the area',
    volume: 'Click corners on the ground around what you want to measure',
    point: 'Click a point'
};

// While measuring, a click must not move the camera to the picked point, as it does in the stock viewer.
let measuring = false;
export function keepStill(viewer) {
    viewer.events.on('picker:ready', (picker) => {
        const pickSurface = picker.pickSurface.bind(picker);
        picker.pickSurface = (x, y) => (measuring ? Promise.resolve(null) : pickSurface(x, y));
    });
}

// `panel`, `overlay`: the page's elements; `source`: the SOG as a Blob, or a streamed scene's manifest and loader
// (streamed.mjs); in the viewer's coordinates, `supported(point)`: whether photos saw a place, and `distanceAhead(position,
// forward, depth)`: how far ahead the target of an orbit lies (controls.mjs).
export class Measuring {
    constructor({ viewer, panel, overlay, source, script, rotation, survey, photos, thumbnails, title, supported, distanceAhead }) {
        Object.assign(this, { viewer, panel, overlay, rotation, title, supported, distanceAhead });
        this.survey = { ...survey, up: turnedBack(rotation, [0, 1, 0]) };
        this.camera = new SplatCamera(viewer, rotation);
        this.splat = source instanceof Blob ? new PickedSplat(source, script)
            : new StreamedSplat(source, script, () => this.show('Loading the finest detail here …'));
        this.views = new SavedViews(title, this.splat.name);
        this.kind = 'line';
        this.picks = [];
        this.base = 'plane';
        this.above = null; // the picks of a volume and their grid, with the surface over it or why there is none
        this.drawn = '';
        this.hovering = false;
        this.part = (name) => panel.querySelector(`[data-part="${name}"]`);
        this.photos = new PhotoList({
            section: this.part('photos'), record: photos, splat: this.splat,
            thumbnails: new Thumbnails(photos.thumbnails, thumbnails),
            onMeeting: (pick) => { this.picks = [pick]; this.show(); }
        });
        this.listen();
        this.listViews();
        this.splat.ready.then(() => this.show(), (error) => this.fail(error));
        viewer.app.on('frameend', () => this.draw());
    }

    open(wanted) {
        measuring = wanted;
        this.panel.hidden = !wanted;
        this.overlay.toggleAttribute('hidden', !wanted); // an SVG has no `hidden` property
        this.show();
    }

    get isOpen() {
        return !this.panel.hidden;
    }

    listen() {
        for (const button of this.panel.querySelectorAll('[data-kind]')) {
            button.onclick = () => {
                this.kind = button.dataset.kind;
                this.picks = [];
                this.show();
            };
        }
        for (const button of this.panel.querySelectorAll('[data-base]')) {
            button.onclick = () => {
                this.base = button.dataset.base;
                this.show();
            };
        }
        this.part('take').onclick = () => this.take(0.5, 0.5);
        this.part('undo').onclick = () => this.undo();
        this.part('clear').onclick = () => { this.picks = []; this.show(); };
        this.part('keep').onclick = () => this.keepView().catch((error) => this.fail(error));
        this.part('note').onsubmit = (event) => {
            event.preventDefault();
            this.pin().catch((error) => this.fail(error));
        };
        // the viewer listens for keys on the whole window
        this.part('text').onfocus = () => { this.viewer.state.inputEnabled = false; };
        this.part('text').onblur = () => { this.viewer.state.inputEnabled = true; };
        this.part('picture').onclick = () => this.snapshot().catch((error) => this.fail(error));
        const { canvas } = this.camera;
        let down = null;
        canvas.addEventListener('pointerdown', (event) => {
            down = down === null && event.button === 0 ? event : undefined; // with a second finger it is not a tap
        });
        addEventListener('pointerup', (event) => {
            const tap = down && event.target === canvas
                && Math.hypot(event.clientX - down.clientX, event.clientY - down.clientY) < TAP_PIXELS;
            down = null;
            if (tap && measuring) {
                this.take(...this.placeOf(event));
            }
        });
        addEventListener('pointercancel', () => { down = null; });
        canvas.addEventListener('pointermove', (event) => {
            if (measuring && event.pointerType === 'mouse' && event.buttons === 0) {
                this.hover(...this.placeOf(event));
            }
        });
        addEventListener('keydown', (event) => {
            if (!measuring || event.ctrlKey || event.metaKey || event.altKey || event.target.closest('button, a, input, [data-part=marks]')) {
                return;
            }
            if (event.key === 'Enter') {
                this.take(0.5, 0.5);
            } else if (event.key === 'Backspace') {
                this.undo();
            }
        });
    }

    placeOf({ clientX, clientY }) {
        const { left, top, width, height } = this.camera.canvas.getBoundingClientRect();
        return [(clientX - left) / width, (clientY - top) / height];
    }

    // The judged pick at (x, y), 0…1 of the picture; null if there is no surface or, without `mayLoad`, if it is not loaded
    // yet.
    async at(x, y, mayLoad = true) {
        const found = await this.splat.pick(this.camera.ray(x, y), ringOf(this.survey), mayLoad);
        return found && judged(found, this.survey, this.supported(turned(this.rotation, found.point)));
    }

    async take(x, y) {
        const { kind } = this;
        try {
            const pick = await this.at(x, y);
            if (this.kind !== kind) {
                return; // it was meant for another measurement
            }
            if (pick) {
                this.picks = this.kind === 'point' ? [pick] : [...this.picks, pick];
            }
            this.show(pick ? '' : 'There is no surface here');
        } catch (error) {
            this.fail(error);
        }
    }

    undo() {
        this.picks = this.picks.slice(0, -1);
        this.show();
    }

    // Shows the coordinates under the pointer: one request at a time, and then one for the last place passed meanwhile.
    async hover(x, y) {
        this.pointer = [x, y];
        if (this.hovering) {
            return;
        }
        this.hovering = true;
        try {
            while (this.pointer) {
                const place = this.pointer;
                this.pointer = null;
                const pick = await this.at(...place, false);
                this.part('pointer').textContent = pick ? placed(pick, this.survey).slice(0, this.survey.system ? 2 : 1).join('\n') : '';
            }
        } catch (error) {
            this.fail(error);
        } finally {
            this.hovering = false;
        }
    }

    show(first = '') {
        for (const button of this.panel.querySelectorAll('[data-kind]')) {
            button.setAttribute('aria-pressed', String(button.dataset.kind === this.kind));
        }
        for (const button of this.panel.querySelectorAll('[data-base]')) {
            button.setAttribute('aria-pressed', String(button.dataset.base === this.base));
        }
        this.part('note').hidden = this.kind !== 'point' || this.picks.length === 0;
        this.part('bases').hidden = this.kind !== 'volume';
        const extra = this.kind === 'volume' && this.picks.length > 2 ? this.volumeLines() : [];
        const lines = said(this.kind, this.picks, this.survey, extra);
        this.lines = lines;
        this.part('figures').textContent = [first, ...(lines.length ? lines : [PROMPTS[this.kind]])].filter(Boolean).join('\n');
        for (const name of ['undo', 'clear']) {
            this.part(name).disabled = this.picks.length === 0;
        }
        this.photos.show(this.kind === 'point' ? this.picks[0] ?? null : null);
        this.drawn = '';
        this.viewer.app.renderNextFrame = true;
    }

    // What is known so far about the volume over the picks; the surface over them is requested only once.
    volumeLines() {
        const { picks, survey } = this;
        if (this.above?.picks !== picks) {
            const grid = gridOf(picks.map(({ point }) => point), survey.up, gsdOf(picks, survey));
            if (grid === null) {
                return ['No volume: the corners lie on one line'];
            }
            this.above = { picks, grid };
            const known = (found) => {
                if (this.above?.picks === picks) {
                    Object.assign(this.above, found);
                    this.show();
                }
            };
            this.splat.heights(grid).then((surface) => known({ surface }), ({ message }) => known({ failed: message }));
        }
        const { grid, surface, failed } = this.above;
        if (failed) {
            return [`No volume: ${failed}`];
        }
        const seen = (point) => this.supported(turned(this.rotation, point));
        return surface ? saidOfVolume(picks, grid, surface, this.base, survey, seen) : ['Working out the volume …'];
    }

    fail(error) {
        this.part('figures').textContent = `Measuring does not work here (${error.message})`;
    }

    marks(width, height) {
        const place = this.camera.projection();
        const places = this.picks.map(({ point }) => place(point)?.map((value, i) => value * [width, height][i]) ?? null);
        const pins = [
            ...this.survey.control.map(({ name, point, check }) => [point, name, check ? 'check' : 'control']),
            ...this.views.notes.map(({ name, picks: [{ point }] }) => [point, name, 'note'])
        ].map(([point, text, kind]) => {
            const found = place(point);
            return found ? pinOf([found[0] * width, found[1] * height], text, kind) : '';
        });
        return pins.join('') + svgOf(this.kind, this.picks, places);
    }

    draw() {
        if (!this.isOpen) {
            return;
        }
        const { clientWidth, clientHeight } = this.camera.canvas;
        const [x, y] = [clientWidth / 2, clientHeight / 2];
        const cross = `<path d="M${x - 9} ${y}h18M${x} ${y - 9}v18" stroke="#fff" stroke-opacity=".7"/>`;
        const north = this.survey.georeferenced ? `<g transform="translate(40 ${clientHeight - 130})"><circle r="26" fill="#0009"/>${needle(this.camera.heading())}</g>` : '';
        const content = cross + this.marks(clientWidth, clientHeight) + north;
        if (content !== this.drawn) {
            this.overlay.innerHTML = content;
            this.drawn = content;
        }
    }

    // Pins the note to the picked point.
    async pin() {
        const [pick] = this.picks;
        const text = this.part('text').value.trim();
        if (pick && text) {
            this.part('text').value = '';
            this.views.add({ name: text, note: true, pose: await this.pose(), kind: 'point', picks: [pick] });
            this.listViews();
            this.show();
        }
    }

    async keepView() {
        const { kind, picks } = this;
        this.views.add({ name: new Date().toLocaleString(), pose: await this.pose(), kind, picks });
        this.listViews();
    }

    // The camera's pose, with the surface in the middle of the picture as its target: an orbit about it keeps the camera there.
    // If the splat cannot be read, the target is where it would be if there were no surface.
    pose() {
        return this.camera.pose(async (position, forward) => {
            const ahead = await this.at(0.5, 0.5, false).catch(() => null);
            return this.distanceAhead(position, forward, ahead?.depth);
        });
    }

    listViews() {
        const list = this.part('views');
        list.replaceChildren(...this.views.views.map((view, index) => {
            const [go, remove] = [document.createElement('button'), document.createElement('button')];
            go.type = remove.type = 'button';
            go.textContent = view.name;
            go.onclick = () => this.goTo(view);
            remove.textContent = '×';
            remove.setAttribute('aria-label', `Remove the ${view.note ? 'note' : 'view'} ${view.name}`);
            remove.onclick = () => { this.views.remove(index); this.listViews(); this.show(); };
            const item = document.createElement('li');
            item.append(go, remove);
            return item;
        }));
    }

    goTo({ pose, kind, picks }) {
        Object.assign(this, { kind, picks });
        const { annotations } = this.viewer; // the viewer's own way to a pose
        annotations.push({ position: pose.target, title: '', text: '', camera: { initial: pose } });
        this.viewer.selectAnnotation(annotations.length - 1);
        annotations.pop();
        this.show();
    }

    // Downloads the picture as it is seen, with the measurements and a plate.
    async snapshot() {
        const { clientWidth, clientHeight } = this.camera.canvas;
        const factor = SNAPSHOT_PIXELS / Math.max(clientWidth, clientHeight);
        const [width, height] = [clientWidth, clientHeight].map((value) => Math.round(factor * value));
        const marks = `<g transform="scale(${factor})">${this.marks(clientWidth, clientHeight)}</g>`;
        const plate = {
            title: this.title,
            lines: [new Date().toLocaleDateString(undefined, { dateStyle: 'long' }), ...this.lines],
            north: this.survey.georeferenced ? this.camera.heading() : null
        };
        const link = document.createElement('a');
        link.href = URL.createObjectURL(await plated(await this.viewer.captureFrame({ width, height }), marks, plate));
        link.download = `${this.title}.png`;
        link.click();
        setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    }
}
