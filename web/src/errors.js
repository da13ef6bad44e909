// Turns errors into sentences for people: what happened, and what to do.

export class ApiError extends Error {
    constructor(status, problem) {
        super(problem.detail ?? problem.message ?? `The server answered ${status}.`);
        this.status = status;
        this.code = problem.code;
        this.hint = problem.hint;
    }
}

// Nobody is signed in any more: running work stops, and keeps what it has done.
export class SessionEnded extends Error {
    constructor() {
        super('You have been signed out.');
        this.hint = 'Sign in again to continue where you left off. An upload continues once you choose the same files again.';
    }
}

// No complete answer came. Each browser words this differently, so the error gets one wording where the request is made.
export class Unreachable extends Error {
    constructor(cause) {
        super('The server cannot be reached.', { cause });
        this.hint = 'Check your connection, then try again.';
    }
}

// What `promise`, a request or the reading of its answer, resolves to. Throws Unreachable.
export const reached = (promise) => promise.catch((error) => { throw new Unreachable(error); });

// The chosen files are gone or have changed.
export class FilesGone extends Error {
    constructor(cause) {
        super('The files can no longer be read.', { cause });
        this.hint = 'Put the card or drive back in, then choose the same files again. What has arrived is kept.';
    }
}

// Throws what reading a chosen file threw, as FilesGone if the file is gone or has changed.
export function asFilesGone(error) {
    throw ['NotFoundError', 'NotReadableError'].includes(error.name) ? new FilesGone(error) : error;
}

const RELOAD = 'Reload the page. If that does not help, contact the operator of this service.';
// Codes whose detail is written for programs; customers read these sentences instead.
const FOR_PEOPLE = {
    INVALID_REQUEST: ['The server did not accept what this page sent.', RELOAD],
    TOO_MANY_CALLS: ['This page has sent the server too many requests.', 'Wait a minute, then try again.'],
    NO_SUCH_JOB: ['There is no such scene, or it belongs to another account.', 'Check the address, or sign in with the account that uploaded it.'],
    NO_SUCH_UPLOAD: ['This upload no longer exists.', 'Choose the files again to start a new upload.']
};

// The sentence and the advice for an error of any kind: { message, hint }.
export function explain(error) {
    if (FOR_PEOPLE[error.code]) {
        const [message, hint] = FOR_PEOPLE[error.code];
        return { message, hint };
    }
    if ([SessionEnded, Unreachable, FilesGone].some((kind) => error instanceof kind) || (error instanceof ApiError && error.code)) {
        return { message: error.message, hint: error.hint };
    }
    if (error instanceof ApiError && error.status === 404) {
        return { message: 'There is nothing at this address.', hint: 'Check the address.' };
    }
    if (error instanceof ApiError && error.status === 429) {
        return { message: 'The server is busy.', hint: 'Wait a minute, then try again.' };
    }
    if (error instanceof ApiError) {
        return { message: `The server has a problem (${error.status}).`, hint: 'Try again in a few minutes.' };
    }
    return { message: 'Something went wrong on this page.', hint: RELOAD };
}

// Whether a second try will not help. It may if no answer came, the server has a problem, or it asks to wait; but a limit of
// jobs, which is a 429 too, holds for hours.
export const isFinal = (error) => !(error instanceof Unreachable || error.status >= 500 || (error.status === 429 && error.code !== 'LIMIT_REACHED'));
