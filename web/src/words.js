// Figures and states in words.

import { ENDED } from './contract.js';

export { STAGES } from './contract.js';

export const STATES = { STARTING: 'starting', RUNNING: 'in progress', SUCCEEDED: 'ready', FAILED: 'failed', REJECTED: 'not accepted', STOPPED: 'stopped' };

export function bytes(count) {
    const [unit, size] = count >= 1e9 ? ['GB', 1e9] : count >= 1e6 ? ['MB', 1e6] : ['kB', 1e3];
    return `${(count / size).toFixed(count / size >= 100 ? 0 : 1)} ${unit}`;
}

// A time range with both ends in one unit: "3–6 min".
export function range({ low, high }) {
    if (high < 90) {
        const nearest = (seconds) => Math.max(5, Math.round(seconds / 5) * 5);
        return nearest(low) === nearest(high) ? `about ${nearest(high)} s` : `${nearest(low)}–${nearest(high)} s`;
    }
    const minutes = [low, high].map((seconds) => Math.max(1, Math.round(seconds / 60)));
    if (minutes[1] >= 120) {
        const hours = [low, high].map((seconds) => Math.max(1, Math.round(seconds / 1800) / 2));
        return hours[0] === hours[1] ? `about ${hours[1]} h` : `${hours[0]}–${hours[1]} h`;
    }
    return minutes[0] === minutes[1] ? `about ${minutes[1]} min` : `${minutes[0]}–${minutes[1]} min`;
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
