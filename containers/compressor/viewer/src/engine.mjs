// The engine as bundled for the viewer, with orbit controls that stay within limits.
export * from 'playcanvas';
export { LimitedOrbitController as OrbitController } from './controls.mjs';
