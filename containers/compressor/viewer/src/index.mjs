// The bundle that the page uses: the viewer, kept within limits, with ground and sky behind the splat.
import { createViewer as createStockViewer } from '@playcanvas/supersplat-viewer/viewer';
import { drawSurroundings } from './background.mjs';
import { distanceAhead, interruptIntoOrbit, keepWithin } from './controls.mjs';
import { keepStill, Measuring } from './measure/tools.mjs';
import { loadByLinks } from './parts.mjs';

export { joystick } from './joystick.mjs';
export { supported } from './limits.mjs';

export async function createViewer({ limits, surroundings, linkOf, ...options }) {
    keepWithin(limits, surroundings);
    const viewer = await createStockViewer(options);
    if (linkOf) {
        loadByLinks(viewer.app, linkOf);
    }
    interruptIntoOrbit(viewer);
    keepStill(viewer);
    drawSurroundings(viewer.app, surroundings);
    return viewer;
}

// The measuring tools of the page's panel; the splat is read when they are first opened.
export const measureWith = (options) => new Measuring({ ...options, distanceAhead, script: MEASURING_WORKER });
