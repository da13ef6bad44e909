// What is wrong with files, found before a byte of them is sent. The server looks again: it alone decides.
import { readEntries } from './archive.js';
import { FILM_SUFFIXES, MAX_PHOTOS, MAX_UPLOAD_BYTES, MIN_PHOTOS, PHOTO_SUFFIXES, REFUSALS, UNREADABLE_SUFFIXES, ZIP_METHODS } from './contract.js';
import { FileSource } from './source.js';
import { bytes } from './words.js';

const suffix = (path) => path.toLowerCase().match(/[^/.][^/]*(\.[^./]+)$/)?.[1] ?? '';
const isPhoto = (path) => PHOTO_SUFFIXES.includes(suffix(path));
const isFilm = (path) => FILM_SUFFIXES.includes(suffix(path));
// HEIC and AVIF pictures begin in the same way.
const beginsAsFilm = (text) => text.slice(4, 8) === 'ftyp' && !/^(hei|hev|mif1|msf1|avi|crx)/.test(text.slice(8));
const isModel = (path) => /(^|\/)(cameras|images|points3D)\.(bin|txt)$/.test(path);
const isSideFile = (path) => path.split('/').some((part) => part === '__MACOSX' || /^\.[^.]/.test(part)) || /(^|\/)(thumbs\.db|desktop\.ini)$/i.test(path);
const refuse = (code, facts) => ({ refusal: { code, message: facts ? `${REFUSALS[code].message} (${facts})` : REFUSALS[code].message, hint: REFUSALS[code].hint } });

// { step, photos } of files that may be sent, or { refusal: { code, message, hint } }. `step`: where the pipeline starts.
export async function examine(source) {
    if (!(source instanceof FileSource)) {
        return { step: 'full', ...counted(source.photos.length, source.others) };
    }
    const { file } = source;
    const beginning = new TextDecoder('latin1').decode(await file.slice(0, 12).arrayBuffer());
    if (/\.ply$/i.test(file.name)) {
        return /^ply\s/.test(beginning) ? tooLarge(file) ?? { step: 'compression', photos: 0 } : refuse('INVALID_SPLAT');
    }
    if (file.size === 0) {
        return { refusal: { code: 'EMPTY_FILE', message: 'The file is empty.', hint: 'Copy it again from where it was made, and check its size.' } };
    }
    if (isPhoto(file.name) || file.type.startsWith('image/')) {
        return refuse('TOO_FEW_PHOTOS', `1 of at least ${MIN_PHOTOS}`);
    }
    if (isFilm(file.name) || beginsAsFilm(beginning)) {
        return tooLarge(file) ?? { step: 'full', photos: 0 };
    }
    if (UNREADABLE_SUFFIXES.includes(suffix(file.name)) || file.type.startsWith('video/')) {
        return refuse('UNSUPPORTED_PHOTOS', `found ${suffix(file.name) || 'a video'}`);
    }
    const entries = /^Rar!|^7z\xbc\xaf/.test(beginning) ? null : await readEntries(file);
    if (entries === null) {
        return refuse('NOT_A_ZIP', file.name);
    }
    return tooLarge(file) ?? (entries === undefined ? { step: 'full', photos: null } : fit(entries));
}

function tooLarge(file) {
    return file.size > MAX_UPLOAD_BYTES ? refuse('ARCHIVE_TOO_LARGE', `${bytes(file.size)} of at most ${bytes(MAX_UPLOAD_BYTES)}`) : null;
}

// As contract/archive.py and preflight decide, as far as the browser can know.
function fit(entries) {
    const own = entries.filter(({ name }) => !name.endsWith('/') && !isSideFile(name));
    if (own.length === 0) {
        return refuse('EMPTY_ARCHIVE');
    }
    const locked = own.find(({ encrypted }) => encrypted);
    if (locked) {
        return refuse('ENCRYPTED_ARCHIVE', locked.name);
    }
    const files = [...new Map(own.map((entry) => [entry.name, entry])).values()];
    const splats = files.filter(({ name }) => suffix(name) === '.ply');
    const photos = files.filter(({ name }) => isPhoto(name));
    const odd = [...photos, ...splats].find(({ method }) => !ZIP_METHODS.includes(method));
    if (odd) {
        return refuse('UNSUPPORTED_ARCHIVE', odd.name);
    }
    if (photos.length === 0 && splats.length > 0) {
        return splats.length === 1 ? { step: 'compression', photos: 0 } : refuse('INVALID_SPLAT', `${splats.length} .ply files in the ZIP, not one`);
    }
    if (photos.length < MIN_PHOTOS && files.some((entry) => isFilm(entry.name) && entry.bytes > 0)) {
        return { step: 'full', photos: 0 };
    }
    const scene = files.filter(({ name }) => isModel(name)).length >= 3;
    const found = counted(photos.filter((entry) => entry.bytes > 0).length, own.map(({ name }) => name));
    return { step: 'full', hasModel: scene, ...found };
}

function counted(photos, others) {
    if (photos === 0) {
        const unreadable = [...new Set(others.map(suffix).filter((kind) => UNREADABLE_SUFFIXES.includes(kind)))].sort();
        return unreadable.length ? refuse('UNSUPPORTED_PHOTOS', `found ${unreadable.join(', ')}`) : refuse('NO_PHOTOS');
    }
    if (photos < MIN_PHOTOS) {
        return refuse('TOO_FEW_PHOTOS', `${photos} of at least ${MIN_PHOTOS}`);
    }
    return photos > MAX_PHOTOS ? refuse('TOO_MANY_PHOTOS', `${photos.toLocaleString('en')} of at most ${MAX_PHOTOS.toLocaleString('en')}`) : { photos };
}
