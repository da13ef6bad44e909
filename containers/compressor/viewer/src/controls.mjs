// The engine's controllers, kept within limits. The limits act on targets before these are smoothed, and on steps
// before they are taken: nothing is pushed back afterwards, so nothing trembles.
import { InputFrame, OrbitController, Vec2 } from 'playcanvas';
import { heldPitch, heldStep, heldTarget, lowestElevation } from './limits.mjs';

let limits;
let surroundings;
let viewer;

export function keepWithin(someLimits, someSurroundings) {
    [limits, surroundings] = [someLimits, someSurroundings];
}

export function follow(someViewer) {
    viewer = someViewer;
}

export class LimitedOrbitController extends OrbitController {
    constructor() {
        super();
        const target = this._targetRootPose;
        const move = target.move.bind(target);
        target.move = (offset) => {
            move(offset);
            hold(target.position);
            return target;
        };
    }

    set zoomRange(_) {
        super.zoomRange = new Vec2(limits.nearest, limits.farthest);
    }

    get zoomRange() {
        return new Vec2(limits.nearest, limits.farthest);
    }

    attach(pose, smooth) {
        super.attach(pose, smooth);
        for (const root of [this._targetRootPose, this._rootPose]) {
            hold(root.position);
        }
        for (const child of [this._targetChildPose, this._childPose]) {
            child.position.z = Math.min(limits.farthest, Math.max(limits.nearest, child.position.z));
        }
    }

    update(frame, dt) {
        const { position } = this._targetRootPose;
        const lowest = lowestElevation(limits, surroundings, position.y, this._targetChildPose.position.z);
        this._targetRootPose.pitchRange.set(-90, -lowest);
        return super.update(frame, dt);
    }
}

function hold(position) {
    position.set(...heldTarget(limits, surroundings, [position.x, position.y, position.z]));
}

export class LimitedInputFrame extends InputFrame {
    read() {
        const { move, rotate } = super.read();
        if (viewer?.state.cameraMode !== 'fly') {
            return { move, rotate };
        }
        const { entity } = viewer.app.root.findComponent('camera');
        const { forward, right, up } = entity;
        const at = entity.getPosition();
        const axes = [right, up, forward];
        const step = ['x', 'y', 'z'].map((axis) => axes.reduce((sum, each, i) => sum + each[axis] * move[i], 0));
        const [x, y, z] = heldStep(limits, surroundings, [at.x, at.y, at.z], step);
        const pitch = Math.asin(Math.min(1, Math.max(-1, forward.y))) * 180 / Math.PI;
        return {
            move: axes.map((axis) => axis.x * x + axis.y * y + axis.z * z),
            rotate: [rotate[0], -heldPitch(limits, pitch, -rotate[1]), rotate[2]]
        };
    }
}
