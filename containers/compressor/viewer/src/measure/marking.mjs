// The photos that see a picked point, and marks of it in the reader's own copies of them, from which it is triangulated.
import { minus } from './matrix.mjs';
import { framing, meeting, pixelOf, rayOf } from './photos.mjs';
import { unit } from './picking.mjs';

const MAX_LISTED = 8;
const MAX_LOOKED_AT = 60; // photos: whether something hides the point from them is asked of each
const MARGIN = 3; // standard deviations of the pick before which whatever is met hides it
const WINDOW = [296, 200]; // pixels of the photo around where the point should be
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// `section`: the page's element; `record`: of the photos (photos.mjs); `onMeeting` receives the point that marks meet in.
export class PhotoList {
    constructor({ section, record, splat, onMeeting }) {
        Object.assign(this, { section, record, splat, onMeeting });
        this.part = (name) => section.querySelector(`[data-part="${name}"]`);
        this.part('files').onchange = ({ target }) => this.open([...target.files]).catch((error) => this.say(error.message));
        this.part('own').hidden = record.lens === null;
        this.pick = null;
    }

    // What is shown of a pick; null: nothing. The point that the marks gave changes nothing.
    show(pick) {
        if (pick === this.pick || pick?.marks) {
            return;
        }
        this.pick = pick;
        this.section.hidden = pick === null || this.record.views.length === 0;
        this.marks = new Map();
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
        const framed = framing(this.record, pick.point).slice(0, MAX_LOOKED_AT);
        const rays = framed.map(({ centre, distance }) => ({
            origin: centre, direction: unit(minus(pick.point, centre)), depth: distance - MARGIN * pick.along
        }));
        const reached = await this.splat.reach(rays);
        if (this.pick !== pick) {
            return;
        }
        const seen = framed.map((photo, i) => ({ ...photo, sure: reached[i] })).filter(({ sure }) => sure !== false);
        const more = seen.length > MAX_LISTED ? `; the ${MAX_LISTED} that show it largest` : '';
        this.say(seen.length ? `Seen in ${seen.length} photo${seen.length > 1 ? 's' : ''}${more}:` : 'No photo sees it');
        this.part('photo-list').replaceChildren(...seen.slice(0, MAX_LISTED).map((photo) => this.item(photo)));
    }

    item({ index, name, x, y, sure }) {
        const item = document.createElement('li');
        const where = this.record.lens
            ? `pixel ${pixelOf(this.record, index, this.pick.point).map((value) => Math.round(value)).join(', ')}`
            : `${Math.round(100 * x)} % across, ${Math.round(100 * y)} % down`;
        item.innerHTML = `<svg viewBox="0 0 40 30" width="40" height="30" aria-hidden="true"><rect x=".5" y=".5" width="39" height="29"/><circle cx="${(40 * x).toFixed(1)}" cy="${(30 * y).toFixed(1)}" r="3"/></svg>`;
        item.append(`${name}: ${where}${sure === null ? ' (something not loaded may hide it)' : ''}`);
        return item;
    }

    // The reader's own files, found by their names; each is shown around the place that is to be marked.
    async open(files) {
        const { views, lens } = this.record;
        const framed = framing(this.record, this.pick.point);
        const unknown = [];
        for (const file of files) {
            const found = framed.filter(({ name }) => name.toLowerCase() === file.name.toLowerCase());
            const bitmap = found.length === 1 ? await createImageBitmap(file).catch(() => null) : null;
            if (!bitmap || Math.abs(bitmap.width * lens.height - bitmap.height * lens.width) > lens.width + lens.height) {
                unknown.push(file.name);
                continue;
            }
            this.part('marks').append(this.canvas(found[0].index, views[found[0].index][0], bitmap));
        }
        this.say(unknown.length ? `Not a photo of this flight that shows the point: ${unknown.join(', ')}` : 'Click the point in each photo, or move the cross by the arrow keys');
    }

    canvas(index, name, bitmap) {
        const scale = bitmap.width / this.record.lens.width;
        const middle = pixelOf(this.record, index, this.pick.point).map((value) => Math.round(value * scale));
        const canvas = document.createElement('canvas');
        [canvas.width, canvas.height] = WINDOW;
        canvas.tabIndex = 0;
        canvas.setAttribute('role', 'application');
        let mark = middle;
        const context = canvas.getContext('2d');
        const draw = () => {
            context.drawImage(bitmap, middle[0] - WINDOW[0] / 2, middle[1] - WINDOW[1] / 2, ...WINDOW, 0, 0, ...WINDOW);
            const [x, y] = mark.map((value, k) => value - middle[k] + WINDOW[k] / 2);
            context.strokeStyle = this.marks.has(index) ? '#ffd400' : '#fff';
            context.stroke(new Path2D(`M${x - 10} ${y}h20M${x} ${y - 10}v20`));
            context.fillText(name, 6, 14);
            canvas.setAttribute('aria-label', `${name}, cross at ${mark.map((value) => Math.round(value / scale)).join(', ')}`);
        };
        context.font = '12px sans-serif';
        context.fillStyle = '#fff';
        const set = (place) => {
            mark = place;
            this.marks.set(index, mark.map((value) => value / scale));
            draw();
            this.meet();
        };
        canvas.onclick = ({ clientX, clientY }) => {
            const { left, top, width, height } = canvas.getBoundingClientRect();
            set([(clientX - left) / width, (clientY - top) / height].map((share, k) => middle[k] + (share - 0.5) * WINDOW[k]));
        };
        canvas.onkeydown = (event) => {
            const step = STEPS[event.key];
            if (step) {
                event.preventDefault();
                event.stopPropagation(); // the camera stays
                set(mark.map((value, k) => value + step[k]));
            }
        };
        draw();
        return canvas;
    }

    meet() {
        const rays = [...this.marks].map(([index, pixel]) => rayOf(this.record, index, pixel));
        const found = rays.length > 1 ? meeting(rays) : null;
        if (found) {
            this.onMeeting({ ...found, off: Math.hypot(...minus(found.point, this.pick.point)) });
        }
    }
}
