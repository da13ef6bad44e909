// Picking off the page's own thread: first the SOG's bytes, then rays.
import { pick } from './picking.mjs';
import { readSog } from './sog.mjs';

let gaussians;

self.onmessage = async ({ data: { id, sog, origin, direction, radius } }) => {
    try {
        if (sog) {
            gaussians = await readSog(new Uint8Array(sog));
            postMessage({ id, found: gaussians.count });
        } else {
            postMessage({ id, found: pick(gaussians, origin, direction, radius) });
        }
    } catch (error) {
        postMessage({ id, failed: error.message });
    }
};
