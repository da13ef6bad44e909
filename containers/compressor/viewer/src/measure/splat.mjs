// The splat in a worker, which asks it about rays. `sog`: a Blob; `script`: the worker's.
export class PickedSplat {
    constructor(sog, script) {
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
        this.ready = sog.arrayBuffer().then((bytes) => this.ask({ sog: bytes }, [bytes]));
    }

    ask(message, transfer = []) {
        const id = this.asked++;
        return new Promise((resolve, reject) => {
            this.waiting.set(id, { resolve, reject });
            this.worker.postMessage({ id, ...message }, transfer);
        });
    }

    // What `ray` meets (picking.mjs).
    async pick(ray, radius) {
        await this.ready;
        return this.ask({ ...ray, radius });
    }
}
