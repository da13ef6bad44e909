// Figures and states in words.

import { ENDED } from './contract.js';

export { STAGES } from './contract.js';

export const STATES = { STARTING: 'starting', RUNNING: 'in progress', SUCCEEDED: 'ready', FAILED: 'failed', REJECTED: 'not accepted', STOPPED: 'stopped' };

export function bytes(count) {
    const [unit, size] = count >= 1e9 ? ['GB', 1e9] : count >= 1e6 ? ['MB', 1e6] : ['kB', 1e3];
    return `${(count / size).toFixed(count / size >= 100 ? 0 : 1)} ${unit}`;
}

export function duration(seconds) {
    if (seconds < 55) {
        return `${Math.max(5, Math.round(seconds / 5) * 5)} s`;
    }
    const minutes = Math.round(seconds / 60);
    return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
}

export const ended = (status) => ENDED.includes(status);
export const mood = (status) => (status === 'SUCCEEDED' ? 'good' : ['FAILED', 'REJECTED'].includes(status) ? 'bad' : '');

export function make(tag, text, properties = {}) {
    const element = Object.assign(document.createElement(tag), properties);
    if (text !== undefined) {
        element.textContent = text;
    }
    return element;
}
