// The engine as the viewer gets it: the two classes through which every movement passes keep it within limits.
export * from 'playcanvas';
export { LimitedInputFrame as InputFrame, LimitedOrbitController as OrbitController } from './controls.mjs';
