// Uploads in parts, three at a time; waits out a dropped connection and continues where it stopped.
import { ApiError, FilesGone, Unreachable, asFilesGone, isFinal } from './errors.js';
import { wait } from './wait.js';

const STORE = 'spaceport.uploads';
const AT_ONCE = 3;
const MAX_WAIT_MS = 30_000;
const MAX_REFUSALS = 8; // in a row, by a server that answers: about two minutes

const remembered = () => JSON.parse(localStorage.getItem(STORE) ?? '{}');

// `upload`: { uploadId, options } of the files with that fingerprint, or null if there is none to go on with.
function remember(fingerprint, upload) {
    const all = remembered();
    if (upload) {
        all[fingerprint] = upload;
    } else {
        delete all[fingerprint];
    }
    localStorage.setItem(STORE, JSON.stringify(all));
}

class Paused extends Error {}

export class Uploader {
    // `tell({ sent, bytes, state, tries })`: state is sending, waiting, refused or paused; `tries`: how many tries in a row have failed
    constructor(api, source, options, tell) {
        Object.assign(this, { api, source, options, tell });
        this.inFlight = new Map(); // part number → { request, loaded }
        this.done = 0;
        this.paused = false;
        this.given = new AbortController();
    }

    // Resolves to the job's id. Throws ApiError, or AbortError after `giveUp`.
    async run() {
        await this.begin();
        const received = new Set(this.upload.received);
        this.done = [...received].reduce((sum, number) => sum + this.size(number), 0);
        this.report();
        const parts = this.source.parts(this.upload.partBytes, received);
        const workers = Array.from({ length: AT_ONCE }, () => this.work(parts));
        try {
            await Promise.all(workers);
        } catch (error) {
            this.halt(error); // the other workers, too: no more of a failed upload is sent
            throw error;
        }
        const { jobId } = await this.patiently(() => this.api.completeUpload(this.upload.uploadId));
        remember(this.source.fingerprint, null);
        return jobId;
    }

    async begin() {
        const known = remembered()[this.source.fingerprint];
        const options = JSON.stringify(this.options); // they belong to the upload from its beginning
        if (known?.uploadId && known.options !== options) {
            await this.api.abandonUpload(known.uploadId).catch(() => null); // it expires anyway
        } else if (known?.uploadId) {
            try {
                this.upload = await this.patiently(() => this.api.lookAtUpload(known.uploadId));
                return;
            } catch (error) {
                if (error.status !== 404) {
                    throw error;
                }
            }
        }
        const request = { fileName: this.source.name, bytes: this.source.bytes, ...this.options };
        this.upload = await this.patiently(() => this.api.beginUpload(request));
        remember(this.source.fingerprint, { uploadId: this.upload.uploadId, options });
    }

    async work(parts) {
        for (;;) {
            const { value, done } = await parts.next().catch(asFilesGone);
            if (done) {
                return;
            }
            await this.patiently(() => this.send(value));
            this.done += value.blob.size;
            this.inFlight.delete(value.number);
            this.report();
        }
    }

    async send({ number, blob }) {
        const url = await this.link(number);
        if (url === null) {
            return;
        }
        if (this.paused) {
            throw new Paused();
        }
        await new Promise((resolve, reject) => {
            const request = new XMLHttpRequest();
            this.inFlight.set(number, { request, loaded: 0 });
            request.open('PUT', url);
            request.upload.onprogress = ({ loaded }) => {
                this.inFlight.set(number, { request, loaded });
                this.report();
            };
            request.onload = () => {
                if (request.status === 200) {
                    resolve();
                } else {
                    this.upload.links = []; // expired, most likely
                    reject(Object.assign(new Error(`S3 answered ${request.status}`), { answered: request.status }));
                }
            };
            // the browser reports a file that it cannot read like a connection that dropped
            request.onerror = () => blob.slice(0, 1).arrayBuffer().then(() => reject(new Unreachable()), (error) => reject(new FilesGone(error)));
            request.onabort = () => reject(new Paused());
            request.send(blob);
        }).finally(() => this.inFlight.delete(number));
    }

    // The part's link, or null if the part has arrived although its answer was lost. Links come a hundred at a time and are
    // valid for an hour.
    async link(number) {
        const find = () => this.upload.links.find((link) => link.number === number)?.url;
        if (!find() || Date.parse(this.upload.expiresAt) - Date.now() < 60_000) {
            const fresh = await this.api.lookAtUpload(this.upload.uploadId);
            Object.assign(this.upload, { links: fresh.links, expiresAt: fresh.expiresAt });
            if (fresh.received.includes(number)) {
                return null;
            }
        }
        return find();
    }

    // Retries at growing intervals, and at once when the browser is back online; waits while the upload is paused. A lost
    // connection is waited out however long that takes; a server that answers and refuses is not.
    async patiently(attempt) {
        for (let [pause, refusals, tries] = [1000, 0, 1]; ; pause = Math.min(2 * pause, MAX_WAIT_MS), tries += 1) {
            await this.resumed();
            this.given.signal.throwIfAborted();
            try {
                return await attempt();
            } catch (error) {
                if (this.given.signal.aborted) {
                    throw this.given.signal.reason;
                }
                if (error instanceof Paused) {
                    continue;
                }
                const status = error.status ?? error.answered;
                refusals = status === undefined ? 0 : refusals + 1;
                if (error.answered === undefined && (isFinal(error) || refusals === MAX_REFUSALS)) {
                    throw error;
                }
                if (refusals === MAX_REFUSALS) {
                    throw new ApiError(status, {
                        code: 'UPLOAD_REFUSED',
                        detail: `The storage service refused the upload (${status}).`,
                        hint: 'Check that the clock of this device is correct, then choose the same files again. What has arrived is kept.'
                    });
                }
                if (!this.paused) {
                    this.report(status === undefined ? 'waiting' : 'refused', tries);
                    await wait(pause, this.given.signal);
                }
            }
        }
    }

    pause() {
        this.paused = true;
        this.woken = new Promise((resolve) => { this.wake = resolve; });
        for (const { request } of this.inFlight.values()) {
            request.abort();
        }
        this.report();
    }

    resume() {
        this.paused = false;
        this.wake?.();
        this.report();
    }

    async resumed() {
        if (this.paused) {
            await this.woken;
        }
    }

    halt(reason) {
        this.given.abort(reason);
        this.resume();
        for (const { request } of this.inFlight.values()) {
            request.abort();
        }
    }

    async giveUp() {
        this.halt();
        remember(this.source.fingerprint, null);
        if (this.upload) {
            await this.api.abandonUpload(this.upload.uploadId);
        }
    }

    report(state = this.paused ? 'paused' : 'sending', tries = 0) {
        const moving = [...this.inFlight.values()].reduce((sum, { loaded }) => sum + loaded, 0);
        this.tell({ sent: Math.min(this.done + moving, this.source.bytes), bytes: this.source.bytes, state, tries });
    }

    size(number) {
        return Math.min(this.upload.partBytes, this.upload.bytes - (number - 1) * this.upload.partBytes);
    }
}
