// Keeps the splat in a worker, which computes what rays meet. `script`: the worker's source.
export class Worked {
    constructor(script) {
        const url = URL.createObjectURL(new Blob([script], { type: 'text/javascript' }));
        this.worker = new Worker(url);
        this.waiting = new Map();
        this.asked = 0;
        this.worker.onmessage = ({ data: { id, found, failed } }) => {
            const { resolve, reject } = this.waiting.get(id);
            this.waiting.delete(id);
            failed === undefined ? resolve(found) : reject(new Error(failed));
        };
        this.worker.onerror = ({ message }) => {
            for (const { reject } of this.waiting.values()) {
                reject(new Error(message));
            }
            this.waiting.clear();
        };
    }

    ask(what, message, transfer = []) {
        const id = this.asked++;
        return new Promise((resolve, reject) => {
            this.waiting.set(id, { resolve, reject });
            this.worker.postMessage({ id, what, ...message }, transfer);
        });
    }

    read(part, sog) {
        return this.ask('read', { part, sog }, [sog]);
    }
}

// A splat in a single file: `sog`, a Blob.
export class PickedSplat {
    constructor(sog, script) {
        this.worked = new Worked(script);
        this.name = `${sog.size} bytes`;
        this.ready = sog.arrayBuffer().then((bytes) => this.worked.read(0, bytes));
    }

    // What `ray` meets (picking.mjs); null if that is nothing.
    async pick(ray, radius) {
        await this.ready;
        return this.worked.ask('pick', { ...ray, radius });
    }

    // For each of the rays { origin, direction, depth }: whether it gets as far as `depth`; null if that is not known.
    async reach(rays) {
        await this.ready;
        return this.worked.ask('reach', { rays });
    }

    // The surface from above (heights.mjs).
    async heights(grid) {
        await this.ready;
        return this.worked.ask('heights', { grid });
    }
}
