// The viewer's camera in the splat's own axes; `rotation` (quaternion xyzw) turns these into the viewer's.
import { unit } from './picking.mjs';

export function turned([qx, qy, qz, qw], [x, y, z]) {
    const [cx, cy, cz] = [qy * z - qz * y, qz * x - qx * z, qx * y - qy * x];
    return [
        x + 2 * (qw * cx + qy * cz - qz * cy),
        y + 2 * (qw * cy + qz * cx - qx * cz),
        z + 2 * (qw * cz + qx * cy - qy * cx)
    ];
}

export const turnedBack = ([qx, qy, qz, qw], vector) => turned([-qx, -qy, -qz, qw], vector);

export class SplatCamera {
    constructor(viewer, rotation) {
        this.component = viewer.app.root.findComponent('camera');
        this.canvas = viewer.app.graphicsDevice.canvas;
        this.rotation = rotation;
    }

    // 4 × 4, column-major: from the viewer's world to clip coordinates.
    matrix() {
        const { projectionMatrix, viewMatrix } = this.component;
        return projectionMatrix.clone().mul2(projectionMatrix, viewMatrix);
    }

    // The ray through (x, y), 0…1 from the picture's top left corner: { origin, direction }.
    ray(x, y) {
        const inverse = this.matrix().invert().data;
        const at = (depth) => {
            const clip = [2 * x - 1, 1 - 2 * y, depth, 1];
            const [a, b, c, w] = [0, 1, 2, 3].map((row) => clip.reduce((sum, value, k) => sum + inverse[row + 4 * k] * value, 0));
            return [a / w, b / w, c / w];
        };
        const position = this.component.entity.getPosition();
        const origin = [position.x, position.y, position.z];
        const ahead = at(0).map((value, i) => value - origin[i]);
        return { origin: turnedBack(this.rotation, origin), direction: unit(turnedBack(this.rotation, ahead)) };
    }

    // Returns a function from points of the splat to places in the picture, 0…1 from its top left corner; null behind the camera.
    projection() {
        const { data } = this.matrix();
        return (point) => {
            const place = [...turned(this.rotation, point), 1];
            const [x, y, w] = [0, 1, 3].map((row) => place.reduce((sum, value, k) => sum + data[row + 4 * k] * value, 0));
            return w > 0 ? [(x / w + 1) / 2, (1 - y / w) / 2] : null;
        };
    }

    // Degrees by which a needle that points north is turned from the picture's up. If the camera looks straight down, its up
    // vector counts as ahead.
    heading() {
        const ahead = this.component.entity.forward;
        const above = this.component.entity.up;
        const flat = ([x, y, z]) => turnedBack(this.rotation, [x, y, z]);
        const [east, north] = flat([ahead.x, ahead.y, ahead.z]);
        const [upEast, upNorth] = flat([above.x, above.y, above.z]);
        const level = Math.hypot(east, north) > 1e-3 ? [east, north] : [upEast, upNorth];
        return -Math.atan2(level[0], level[1]) * 180 / Math.PI;
    }

    // The camera's pose at the moment of the call, in the format of the viewer's settings; `distanceOf(position, forward)`
    // promises how far away its target is.
    async pose(distanceOf) {
        const { entity, fov } = this.component;
        const [position, forward] = [entity.getPosition(), entity.forward].map(({ x, y, z }) => [x, y, z]);
        const distance = await distanceOf(position, forward);
        return { position, target: position.map((value, i) => value + distance * forward[i]), fov };
    }
}
