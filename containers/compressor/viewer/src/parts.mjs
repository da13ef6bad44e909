// Loads the parts of a streamed scene through links that expire: the page is asked for a link before each load, and for a
// new one after a load has failed.
const WAITS = [0, 1000, 4000, 16_000]; // ms before each retry: a phone may be offline for a while

// `linkOf(url, anew)` promises a link through which `url` can be loaded now, or undefined if `url` is not a part; with
// `anew`, a link that it has not returned before.
export function loadByLinks(app, linkOf) {
    const handler = app.loader.getHandler('gsplat');
    const load = handler.load.bind(handler);
    handler.load = async (url, callback, asset) => {
        const original = typeof url === 'string' ? url : url.original;
        for (let tried = 0; ; tried++) {
            try {
                const link = (await linkOf(original, tried > 0)) ?? url.load ?? url;
                callback(null, await loaded(load, { load: link, original }, asset));
                return;
            } catch (error) {
                if (error.final || tried >= WAITS.length) {
                    callback(error.message ?? error);
                    return;
                }
            }
            await new Promise((resolve) => { setTimeout(resolve, WAITS[tried]); });
        }
    };
}

function loaded(load, url, asset) {
    return new Promise((resolve, reject) => {
        load(url, (error, resource) => (error ? reject(new Error(error)) : resolve(resource)), asset);
    });
}
