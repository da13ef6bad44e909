// Classifies files by their paths, as contract/wanted.py does on the server.
import { CONTROL_POINT_FILES, FILM_SUFFIXES, MIN_PHOTOS, MODEL_FILES, PHOTO_SUFFIXES, SPLAT_SUFFIXES, TELEMETRY_SUFFIX } from './contract.js';

const nameOf = (path) => path.split('/').at(-1);

export const suffix = (path) => path.toLowerCase().match(/[^/.][^/]*(\.[^./]+)$/)?.[1] ?? '';
export const isPhoto = (path) => PHOTO_SUFFIXES.includes(suffix(path));
export const isFilm = (path) => FILM_SUFFIXES.includes(suffix(path));
export const isSplat = (path) => SPLAT_SUFFIXES.includes(suffix(path));
export const isSideFile = (path) => path.split('/').some((part) => part === '__MACOSX' || /^\.[^.]/.test(part)) || /(^|\/)(thumbs\.db|desktop\.ini)$/i.test(path);
const isSurvey = (path) => isPhoto(path) || CONTROL_POINT_FILES.includes(nameOf(path).toLowerCase());
const isFootage = (path) => isFilm(path) || suffix(path) === TELEMETRY_SUFFIX;
const isModel = (path) => MODEL_FILES.includes(nameOf(path));

// The splats that may be compressed; from a training's output folder, only the last iteration's.
export function chosenSplats(paths) {
    const splats = paths.filter(isSplat);
    const iterations = splats.map((path) => ({ path, number: Number(path.match(/(?:^|\/)iteration_(\d{1,9})\/[^/]+$/)?.[1] ?? -1) })).filter(({ number }) => number >= 0);
    return iterations.length ? [iterations.reduce((last, each) => (each.number > last.number ? each : last)).path] : splats;
}

// Returns a function that tells whether the first stage reads the file at a path. Films count only if there are too few
// photos for a scene, a splat only if there are no photos; a COLMAP model accompanies its photos.
export function wantedOf(paths) {
    const photos = paths.filter(isPhoto).length;
    const splats = chosenSplats(paths);
    if (photos === 0 && splats.length === 1) {
        return (path) => path === splats[0];
    }
    return photos < MIN_PHOTOS && paths.some(isFilm) ? isFootage : (path) => isSurvey(path) || isModel(path);
}
