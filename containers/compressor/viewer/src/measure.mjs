// Distances that a person measures in the scene: two points picked on what photos show, and the line between them.
import { Vec3 } from 'playcanvas';
import { supported } from './limits.mjs';
import { inWords, pointingError, spanOf } from './span.mjs';

const STILL = 6; // pixels that a pointer may move between down and up: else it turns the view
const ASK = ['Click the first point', 'Click the second point'];
const NOTHING = 'There is nothing to measure here: no photo shows it. Click another point';

export class Ruler {
    // `stage`: the element that the scene is drawn in; `drawing`: an SVG over it with a line and two circles;
    // `tell(text)`: what to do next, or what was measured.
    constructor(viewer, surroundings, stage, drawing, tell) {
        Object.assign(this, { viewer, surroundings, stage, drawing, tell, points: [], on: false });
        viewer.events.on('picker:ready', (picker) => { this.picker = picker; });
        stage.addEventListener('pointerdown', (event) => { this.down = event.isPrimary && event.button === 0 ? event : null; }, true);
        stage.addEventListener('pointerup', (event) => this.up(event), true);
        viewer.app.on('frameend', () => this.draw());
    }

    start() {
        this.on = true;
        this.points = [];
        this.stage.classList.add('measuring');
        this.tell(ASK[0]);
    }

    stop() {
        this.on = false;
        this.points = [];
        this.stage.classList.remove('measuring');
        this.tell('');
    }

    up(event) {
        const down = this.down;
        this.down = null;
        if (this.on && down && event.isPrimary && Math.hypot(event.clientX - down.clientX, event.clientY - down.clientY) < STILL) {
            const box = this.stage.getBoundingClientRect();
            this.set((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
        }
    }

    // A point at a place in the picture, each from 0 to 1. A third one begins anew.
    async set(x, y) {
        const found = await this.picker?.pick(x, y);
        if (!this.on) {
            return;
        }
        const place = found ? [found.x, found.y, found.z] : null;
        if (place === null || !supported(this.surroundings, place)) {
            this.tell(NOTHING);
            return;
        }
        const kept = this.points.length === 2 ? [] : this.points;
        this.points = [...kept, { place, error: this.errorAt(place) }];
        this.tell(this.points.length === 1 ? ASK[1] : inWords(spanOf(this.points.map((point) => point.place), this.points.map(({ error }) => error))));
    }

    errorAt(place) {
        const camera = this.camera();
        const pixels = camera.horizontalFov ? this.stage.clientWidth : this.stage.clientHeight;
        return pointingError(this.depth(camera, place), Math.tan(camera.fov * Math.PI / 360), pixels);
    }

    camera() {
        return this.viewer.app.root.findComponent('camera');
    }

    depth(camera, [x, y, z]) {
        return new Vec3(x, y, z).sub(camera.entity.getPosition()).dot(camera.entity.forward);
    }

    draw() {
        const camera = this.camera();
        const [line, ...ends] = this.drawing.children;
        const seen = this.points.map(({ place }) => (this.depth(camera, place) > 0 ? camera.worldToScreen(new Vec3(...place)) : null));
        ends.forEach((end, i) => {
            end.style.display = seen[i] ? '' : 'none';
            if (seen[i]) {
                end.setAttribute('cx', seen[i].x);
                end.setAttribute('cy', seen[i].y);
            }
        });
        line.style.display = seen[0] && seen[1] ? '' : 'none';
        if (seen[0] && seen[1]) {
            Object.entries({ x1: seen[0].x, y1: seen[0].y, x2: seen[1].x, y2: seen[1].y }).forEach(([name, value]) => line.setAttribute(name, value));
        }
    }
}
