// Keeps orbits and flights within limits. The limits apply to targets before these are smoothed, and to steps before they
// are taken: nothing is pushed back afterwards, so nothing jitters.
import { OrbitController, Vec2 } from 'playcanvas';
import { heldStep, heldTarget, lowestElevation, orbitDistance } from './limits.mjs';

const LOOKING_UP = 15; // degrees by which a flight may look higher than an orbit: the picture's upper half

let limits;
let surroundings;

export function keepWithin(someLimits, someSurroundings) {
    [limits, surroundings] = [someLimits, someSurroundings];
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

export const distanceAhead = (position, forward, depth) => orbitDistance(limits, surroundings, position, forward, depth);

// Called by the viewer's FlyController (build.mjs) with the step that it is about to take; shortens the step in place.
export function holdStep(position, step) {
    step.set(...heldStep(limits, surroundings, [position.x, position.y, position.z], [step.x, step.y, step.z]));
}

// The same controller's limit: how far up a flight may look, in degrees above the horizon.
export function highestPitch() {
    return limits.lowest === null ? 90 : LOOKING_UP - limits.lowest;
}

// A drag or a touch turns the flight around the scene into an orbit, wherever the camera is at that moment.
export function interruptIntoOrbit(viewer) {
    viewer.events.on('inputEvent', (name) => {
        if (['interrupt', 'cancel'].includes(name) && viewer.state.cameraMode === 'anim') {
            viewer.state.cameraMode = 'orbit';
        }
    });
}
