// The engine as the viewer gets it: its orbits stay within limits.
export * from 'playcanvas';
export { LimitedOrbitController as OrbitController } from './controls.mjs';
