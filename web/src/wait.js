// Resolves after `milliseconds`, or sooner if the browser comes back online or `signal` aborts.
export function wait(milliseconds, signal) {
    return new Promise((resolve) => {
        const over = new AbortController();
        const end = () => {
            clearTimeout(timer);
            over.abort();
            resolve();
        };
        const timer = setTimeout(end, Math.min(milliseconds, 2 ** 31 - 1));
        addEventListener('online', end, { signal: over.signal });
        signal.addEventListener('abort', end, { signal: over.signal });
        if (signal.aborted) {
            end();
        }
    });
}
