// Picks outside the page's own thread: receives first the bytes of the SOG, or of its parts by index, then rays and grids.
import { heightsOf } from './heights.mjs';
import { pick, reaches } from './picking.mjs';
import { readSog } from './sog.mjs';

const parts = new Map();

const answers = {
    read: async ({ part, sog }) => {
        parts.set(part, await readSog(new Uint8Array(sog)));
        return parts.get(part).count;
    },
    forget: ({ part }) => parts.delete(part),
    pick: ({ origin, direction, radius }) => pick([...parts.values()], origin, direction, radius),
    reach: ({ rays }) => rays.map((ray) => reaches([...parts.values()], ray)),
    heights: ({ grid }) => heightsOf([...parts.values()], grid)
};

self.onmessage = async ({ data: { id, what, ...given } }) => {
    try {
        postMessage({ id, found: await answers[what](given) });
    } catch (error) {
        postMessage({ id, failed: error.message });
    }
};
