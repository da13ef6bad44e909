// Lists the photos that see a picked point, and triangulates the point from marks in their thumbnails or in the reader's own
// copies of them.
import { minus } from './matrix.mjs';
import { digestOf, framing, meeting, pixelOf, rayOf, rayOfThumbnail } from './photos.mjs';
import { unit } from './picking.mjs';

const MAX_LISTED = 8;
const MAX_LOOKED_AT = 60; // photos that are checked for something that hides the point
const MARGIN = 3; // standard deviations in front of the pick; whatever the ray meets before that hides it
const WINDOW = [296, 200]; // pixels of the canvas in which the point is marked, around where it should be
const ENLARGED = 4; // times that a thumbnail is enlarged there
const BESIDE = [88, 66]; // pixels of the picture beside a photo's number; its canvas has twice as many
const SHOWN = 0.3; // of a thumbnail's width
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// `section`: the page's element; `record`: the data on the photos (photos.mjs); `thumbnails`: theirs; `onMeeting` receives
// the point in which marks meet.
export class PhotoList {
    constructor({ section, record, thumbnails, splat, onMeeting }) {
        Object.assign(this, { section, record, thumbnails, splat, onMeeting });
        this.part = (name) => section.querySelector(`[data-part="${name}"]`);
        this.part('files').onchange = ({ target }) => this.open([...target.files]).catch((error) => this.say(error.message));
        this.part('own').hidden = record.lens === null;
        this.pick = this.met = null; // the point shown, and the one in which marks met
    }

    // Shows the photos of a pick, or nothing if it is null. The point in which marks meet leaves them where they are.
    show(pick) {
        if (pick === this.pick || (pick !== null && pick === this.met)) {
            return;
        }
        this.pick = pick;
        this.met = null; // if a kept view brings that point back, it has photos of its own
        this.section.hidden = pick === null || this.record.views.length === 0;
        this.marks = new Map(); // rays, by the photo's index
        this.enlarged = new Map(); // thumbnails to mark in
        this.part('marks').replaceChildren();
        this.part('files').value = '';
        this.part('photo-list').replaceChildren();
        this.say(pick ? 'Looking for the photos that see it …' : '');
        if (!this.section.hidden) {
            this.list(pick).catch((error) => this.say(error.message));
        }
    }

    say(text) {
        this.part('seen').textContent = text;
    }

    async list(pick) {
        const all = framing(this.record, pick.point);
        const framed = all.slice(0, MAX_LOOKED_AT);
        const rays = framed.map(({ centre, distance }) => ({
            origin: centre, direction: unit(minus(pick.point, centre)), depth: distance - MARGIN * pick.along
        }));
        const reached = await this.splat.reach(rays);
        if (this.pick !== pick) {
            return;
        }
        const seen = framed.map((photo, i) => ({ ...photo, sure: reached[i] })).filter(({ sure }) => sure !== false);
        const more = seen.length > MAX_LISTED ? `; the ${MAX_LISTED} that show it largest` : '';
        const least = all.length > framed.length ? 'at least ' : '';
        this.say(seen.length ? `Seen in ${least}${seen.length} photo${seen.length > 1 ? 's' : ''}${more}:` : 'No photo sees it');
        this.part('photo-list').replaceChildren(...seen.slice(0, MAX_LISTED).map((photo) => this.item(photo)));
    }

    item({ index, label, x, y, sure }) {
        const item = document.createElement('li');
        const where = this.record.lens
            ? `pixel ${pixelOf(this.record, index, this.pick.point).map((value) => Math.round(value)).join(', ')}`
            : `${Math.round(100 * x)} % across, ${Math.round(100 * y)} % down`;
        if (this.thumbnails.has(index)) {
            item.append(this.beside(index, label, [x, y]));
        } else {
            item.innerHTML = `<svg viewBox="0 0 40 30" width="40" height="30" aria-hidden="true"><rect x=".5" y=".5" width="39" height="29"/><circle cx="${(40 * x).toFixed(1)}" cy="${(30 * y).toFixed(1)}" r="3"/></svg>`;
        }
        item.append(`Photo ${label}: ${where}${sure === null ? ' (a part that is not loaded may hide it)' : ''}`);
        return item;
    }

    // The thumbnail around the point, as a button that enlarges it for marking.
    beside(index, label, place) {
        const [button, canvas] = [document.createElement('button'), document.createElement('canvas')];
        button.type = 'button';
        button.setAttribute('aria-label', `Mark the point in photo ${label}`);
        [canvas.width, canvas.height] = BESIDE.map((value) => 2 * value);
        button.append(canvas);
        button.disabled = true; // until it is loaded
        this.thumbnails.picture(index).then((picture) => {
            const size = BESIDE.map((value) => SHOWN * picture.width * value / BESIDE[0]);
            const middle = [place[0] * picture.width, place[1] * picture.height];
            const context = canvas.getContext('2d');
            context.drawImage(picture, middle[0] - size[0] / 2, middle[1] - size[1] / 2, ...size, 0, 0, canvas.width, canvas.height);
            context.strokeStyle = '#fff';
            context.lineWidth = 3;
            context.stroke(new Path2D(`M${canvas.width / 2 + 14} ${canvas.height / 2}a14 14 0 1 0-28 0a14 14 0 1 0 28 0`));
            button.onclick = () => this.enlarge(index, label, picture, middle);
            button.disabled = false;
        }).catch((error) => this.say(`The photos cannot be shown (${error.message})`));
        return button;
    }

    enlarge(index, label, picture, middle) {
        if (!this.enlarged.has(index)) {
            this.enlarged.set(index, this.canvas({
                index, label: `photo ${label}`, bitmap: picture, middle, zoom: ENLARGED,
                rayOf: ([x, y]) => rayOfThumbnail(this.record, index, [x / picture.width, y / picture.height], picture.width),
                said: ([x, y]) => `${(100 * x / picture.width).toFixed(1)} % across, ${(100 * y / picture.height).toFixed(1)} % down`
            }));
            this.part('marks').append(this.enlarged.get(index));
        }
        this.say('Click the point in each photo, or move the cross with the arrow keys');
        this.enlarged.get(index).scrollIntoView({ block: 'nearest' });
        this.enlarged.get(index).focus();
    }

    // Opens the reader's own files, recognised by digests of their names; each is shown around the place to be marked.
    async open(files) {
        const { lens } = this.record;
        const { pick } = this;
        const framed = framing(this.record, pick.point);
        const unknown = [];
        for (const file of files) {
            const known = await digestOf(file.name);
            const found = framed.filter(({ digest }) => digest === known);
            const bitmap = found.length === 1 ? await createImageBitmap(file).catch(() => null) : null;
            if (this.pick !== pick) {
                return; // another point was picked, or none, while the photos were read
            }
            if (!bitmap || Math.abs(bitmap.width * lens.height - bitmap.height * lens.width) > lens.width + lens.height) {
                unknown.push(file.name);
                continue;
            }
            const [{ index }] = found;
            const scale = bitmap.width / lens.width;
            this.part('marks').append(this.canvas({
                index, label: file.name, bitmap, zoom: 1,
                middle: pixelOf(this.record, index, pick.point).map((value) => Math.round(value * scale)),
                rayOf: (place) => rayOf(this.record, index, place.map((value) => value / scale)),
                said: (place) => place.map((value) => Math.round(value / scale)).join(', ')
            }));
        }
        this.say(unknown.length ? `Not among the photos of this flight that show the point: ${unknown.join(', ')}` : 'Click the point in each photo, or move the cross with the arrow keys');
    }

    // A canvas to mark the point in: `bitmap` around `middle`, `zoom` times as large. `rayOf` and `said` return the ray and the
    // description of a place in it.
    canvas({ index, label, bitmap, middle, zoom, rayOf: rayOfPlace, said }) {
        const canvas = document.createElement('canvas');
        [canvas.width, canvas.height] = WINDOW;
        canvas.tabIndex = 0;
        canvas.setAttribute('role', 'application');
        const [width, height] = WINDOW.map((value) => value / zoom);
        let mark = middle;
        const context = canvas.getContext('2d');
        const draw = () => {
            context.clearRect(0, 0, ...WINDOW);
            context.drawImage(bitmap, middle[0] - width / 2, middle[1] - height / 2, width, height, 0, 0, ...WINDOW);
            const [x, y] = mark.map((value, k) => zoom * (value - middle[k]) + WINDOW[k] / 2);
            context.strokeStyle = this.marks.has(index) ? '#ffd400' : '#fff';
            context.stroke(new Path2D(`M${x - 10} ${y}h20M${x} ${y - 10}v20`));
            context.fillText(label, 6, 14);
            canvas.setAttribute('aria-label', `${label}, cross at ${said(mark)}`);
        };
        context.font = '12px sans-serif';
        context.fillStyle = '#fff';
        const set = (place) => {
            mark = place;
            this.marks.set(index, rayOfPlace(mark));
            draw();
            this.meet();
        };
        canvas.onclick = ({ clientX, clientY }) => {
            const box = canvas.getBoundingClientRect();
            const shares = [(clientX - box.left) / box.width, (clientY - box.top) / box.height];
            set(shares.map((share, k) => middle[k] + (share - 0.5) * WINDOW[k] / zoom));
        };
        canvas.onkeydown = (event) => {
            const step = STEPS[event.key];
            if (step) {
                event.preventDefault();
                event.stopPropagation(); // the camera must not move
                set(mark.map((value, k) => value + step[k] / zoom));
            }
        };
        draw();
        return canvas;
    }

    meet() {
        const rays = [...this.marks.values()];
        const found = rays.length > 1 ? meeting(rays) : null;
        if (found) {
            const surface = this.pick.surface ?? this.pick.point; // a kept point from marks lies beside it
            this.met = { ...found, surface, off: Math.hypot(...minus(found.point, surface)) };
            this.onMeeting(this.met);
        }
    }
}
