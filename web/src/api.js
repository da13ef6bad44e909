// The HTTP API, called with the user's token. A refusal is thrown as ApiError with the problem's own message.
import { ApiError, SessionEnded, reached } from './errors.js';

// Encodes an id as one segment of a path. The id may come from the page's address, where `..` would lead to another route.
function segment(id) {
    if (/^\.{0,2}$/.test(id)) {
        throw new ApiError(404, { code: 'NO_SUCH_JOB' });
    }
    return encodeURIComponent(id);
}

// The query string of those values that are set.
function query(values) {
    const given = String(new URLSearchParams(Object.entries(values).filter(([, value]) => value)));
    return given && `?${given}`;
}

const MAX_WAIT_MS = 30_000; // for an answer

// The answer's content. Throws ApiError, or Unreachable if no complete answer arrives.
async function answerOf(url, options) {
    const answer = await reached(fetch(url, { ...options, signal: AbortSignal.timeout(MAX_WAIT_MS) }));
    if (!answer.ok) {
        throw new ApiError(answer.status, await answer.json().catch(() => ({})));
    }
    return answer.status === 204 ? null : JSON.parse(await reached(answer.text()));
}

export class Api {
    constructor(base, session) {
        this.base = base;
        this.session = session;
    }

    // `refused`: the token that the server did not take the first time
    async call(method, path, body, headers = {}, refused = undefined) {
        const token = await this.session.token(refused);
        try {
            return await answerOf(this.base + path, {
                method,
                headers: { ...headers, Authorization: `Bearer ${token}`, ...(body ? { 'Content-Type': 'application/json' } : {}) },
                body: body && JSON.stringify(body)
            });
        } catch (error) {
            if (error.status !== 401) {
                throw error;
            }
            if (refused === undefined) {
                return this.call(method, path, body, headers, token);
            }
            this.session.forget();
            throw new SessionEnded();
        }
    }

    // Called from a link in a mail, without signing in.
    setMails = (mailbox, wanted) => answerOf(`${this.base}/unsubscribe/${encodeURIComponent(mailbox)}`, { method: wanted ? 'DELETE' : 'POST' });

    estimate = (step, photos) => this.call('GET', `/estimates${query({ pipelineStep: step, photos })}`);
    beginUpload = (request) => this.call('POST', '/uploads', request);
    lookAtUpload = (id) => this.call('GET', `/uploads/${segment(id)}`);
    completeUpload = (id) => this.call('POST', `/uploads/${segment(id)}/complete`);
    abandonUpload = (id) => this.call('DELETE', `/uploads/${segment(id)}`);
    listJobs = (before, search) => this.call('GET', `/jobs${query({ before, search })}`);
    lookAtJob = (id) => this.call('GET', `/jobs/${segment(id)}`);
    stopJob = (id) => this.call('POST', `/jobs/${segment(id)}/stop`);
    renameJob = (id, name) => this.call('PATCH', `/jobs/${segment(id)}`, { name });
    deleteJob = (id) => this.call('DELETE', `/jobs/${segment(id)}`);
    shareJob = (id, request) => this.call('POST', `/jobs/${segment(id)}/shares`, request);
    listShares = (id) => this.call('GET', `/jobs/${segment(id)}/shares`);
    withdrawShare = (id, shareId) => this.call('DELETE', `/jobs/${segment(id)}/shares/${segment(shareId)}`);
    sharedUrl = (token) => `${this.base}/shared/${token}`;
    rerunJob = (id, body, key) => this.call('POST', `/jobs/${segment(id)}/rerun`, body, { 'Idempotency-Key': key });
}
