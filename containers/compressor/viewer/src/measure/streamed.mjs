// Picks on a streamed scene's finest level, whatever level is drawn. The parts that a ray passes are loaded nearest first,
// until those behind no longer count.
import { spreadAt } from './picking.mjs';
import { Worked } from './splat.mjs';

const MAX_HELD = 4_000_000; // Gaussians, of 56 bytes each

// The leaves of lod-meta.json's tree at the finest level: { low, high, file, count }.
export function leavesOf(node) {
    if (node.children) {
        return node.children.flatMap(leavesOf);
    }
    const { file, count } = node.lods[0];
    return [{ low: node.bound.min, high: node.bound.max, file, count }];
}

// The leaves whose bounds the rays of a pick (picking.mjs) pass, in order of the depth at which they enter, `entry`. A leaf's
// bounds hold its Gaussians up to three deviations; the rest takes less than a hundredth of the light.
export function passedBy(leaves, { origin, direction }, radius) {
    const passed = [];
    for (const leaf of leaves) {
        const far = Math.hypot(...origin.map((at, k) => Math.max(Math.abs(leaf.low[k] - at), Math.abs(leaf.high[k] - at))));
        const margin = radius ?? spreadAt(null, far) * far;
        let [entry, exit] = [0, Infinity];
        for (let k = 0; k < 3; k++) {
            const sides = [leaf.low[k] - margin, leaf.high[k] + margin].map((side) => (side - origin[k]) / direction[k]);
            if (direction[k] === 0) {
                exit = origin[k] < leaf.low[k] - margin || origin[k] > leaf.high[k] + margin ? -1 : exit;
            } else {
                entry = Math.max(entry, Math.min(...sides));
                exit = Math.min(exit, Math.max(...sides));
            }
        }
        if (entry <= exit) {
            passed.push({ ...leaf, entry });
        }
    }
    return passed.sort((one, other) => one.entry - other.entry);
}

// The leaves whose bounds lie partly above or below a grid (heights.mjs).
export function above(leaves, { corner, axes: [right, ahead], cell, columns, rows }) {
    const spans = [[right, columns * cell], [ahead, rows * cell]];
    return leaves.filter(({ low, high }) => spans.every(([axis, size]) => {
        const ends = [low, high].map((side) => side.map((value, k) => (value - corner[k]) * axis[k]));
        const [least, most] = [Math.min, Math.max].map((of) => [0, 1, 2].reduce((sum, k) => sum + of(ends[0][k], ends[1][k]), 0));
        return least <= size && most >= 0;
    }));
}

// `manifest`: lod-meta.json; `load(name)` promises the bytes of one of its files; `loading` is called before one is loaded.
export class StreamedSplat {
    constructor({ manifest, load }, script, loading) {
        Object.assign(this, { manifest, load, loading });
        this.worked = new Worked(script);
        this.name = `${manifest.counts[0]} Gaussians`;
        this.ready = Promise.resolve();
        this.leaves = leavesOf(manifest.tree);
        this.sizes = new Map(); // Gaussians of each file
        for (const { file, count } of this.leaves) {
            this.sizes.set(file, (this.sizes.get(file) ?? 0) + count);
        }
        this.held = new Set(); // files in the worker, least recently used first
        this.turn = Promise.resolve();
    }

    // As PickedSplat's; without `mayLoad`, also null if that takes parts that are not loaded.
    pick(ray, radius, mayLoad = true) {
        return this.inTurn(() => this.met(ray, radius, mayLoad));
    }

    // By the parts that are loaded; no others are loaded for it.
    reach(rays) {
        return this.inTurn(async () => {
            const known = rays.map((ray) => passedBy(this.leaves, ray, 0).every(({ file, entry }) => entry > ray.depth || this.held.has(file)));
            const found = await this.worked.ask('reach', { rays });
            return found.map((far, i) => (known[i] || !far ? far : null));
        });
    }

    heights(grid) {
        return this.inTurn(async () => {
            const needed = new Set(above(this.leaves, grid).map(({ file }) => file));
            for (const file of needed) {
                await this.take(file, needed);
            }
            return this.worked.ask('heights', { grid });
        });
    }

    // Runs one request after the other, so that none evicts what another needs.
    inTurn(work) {
        const done = this.turn.then(work);
        this.turn = done.catch(() => {});
        return done;
    }

    async met(ray, radius, mayLoad) {
        const passed = passedBy(this.leaves, ray, radius);
        const needed = new Set();
        let found = null;
        for (const [i, { file }] of passed.entries()) {
            if (!needed.has(file)) {
                needed.add(file);
                if (!mayLoad && !this.held.has(file)) {
                    return null;
                }
                await this.take(file, needed);
                found = await this.worked.ask('pick', { ...ray, radius });
            }
            if (found && found.last < (passed[i + 1]?.entry ?? Infinity)) {
                break;
            }
        }
        return found;
    }

    // Has `file` in the worker; files that are not `needed` make room, least recently used first.
    async take(file, needed) {
        if (!this.held.delete(file)) {
            const total = (files) => [...files].reduce((sum, each) => sum + this.sizes.get(each), 0);
            if (total(needed) > MAX_HELD) {
                throw new Error('it needs more of the scene than fits into memory here: download the viewer and measure there');
            }
            for (const each of this.held) {
                if (!needed.has(each) && total(this.held) + this.sizes.get(file) > MAX_HELD) {
                    this.held.delete(each);
                    await this.worked.ask('forget', { part: each });
                }
            }
            this.loading();
            await this.worked.read(file, await this.load(this.manifest.filenames[file]));
        }
        this.held.add(file);
    }
}
