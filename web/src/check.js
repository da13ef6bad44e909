// Finds what is wrong with files before a byte of them is sent. The server checks again, and only its answer counts.
import { readEntries } from './archive.js';
import { FILM_BOXES, MAX_PHOTOS, MAX_UPLOAD_BYTES, MIN_PHOTOS, PICTURE_BRANDS, REFUSALS, UNREADABLE_SUFFIXES, ZIP_METHODS } from './contract.js';
import { chosenSplats, isFilm, isPhoto, isSideFile, isSplat, suffix, wantedOf } from './paths.js';
import { FileSource } from './source.js';
import { bytes } from './words.js';

// HEIC and AVIF pictures begin like films.
const beginsAsFilm = (text) => FILM_BOXES.includes(text.slice(4, 8)) && !(text.slice(4, 8) === 'ftyp' && PICTURE_BRANDS.includes(text.slice(8)));
const beginsAsPly = (text) => /^ply[\r\n]/.test(text);
// Up to version 3, an SPZ is a gzip stream whose content begins with NGSP.
const beginsAsSplat = async (file, text) => beginsAsPly(text) || text.startsWith('NGSP') || (text.startsWith('\x1f\x8b') && (await unzippedStart(file)).startsWith('NGSP'));
const refuse = (code, facts) => ({ refusal: { code, message: facts ? `${REFUSALS[code].message} (${facts})` : REFUSALS[code].message, hint: REFUSALS[code].hint } });

// Returns { step, photos } if the files may be sent, otherwise { refusal: { code, message, hint } }. `step`: where the pipeline starts.
export async function examine(source) {
    if (!(source instanceof FileSource)) {
        return fit(source.files.map(({ path, file }) => ({ name: path, bytes: file.size, method: ZIP_METHODS[0], encrypted: false })));
    }
    const { file } = source;
    const beginning = new TextDecoder('latin1').decode(await file.slice(0, 12).arrayBuffer());
    if (file.size === 0) {
        return { refusal: { code: 'EMPTY_FILE', message: 'The file is empty.', hint: 'Copy it again from its source and check its size.' } };
    }
    if (suffix(file.name) === '.ksplat') {
        return refuse('INVALID_SPLAT', 'it is a .ksplat');
    }
    if (suffix(file.name) === '.ply' && !beginsAsPly(beginning)) {
        return refuse('INVALID_SPLAT');
    }
    if (isSplat(file.name) || (suffix(file.name) !== '.zip' && await beginsAsSplat(file, beginning))) {
        return tooLarge(file) ?? { step: 'compression', photos: 0 };
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

// The first bytes of a gzip stream's content; none if it is damaged.
async function unzippedStart(file) {
    const reader = file.stream().pipeThrough(new DecompressionStream('gzip')).getReader();
    const { value } = await reader.read().catch(() => ({}));
    reader.cancel().catch(() => {});
    return new TextDecoder('latin1').decode(value?.subarray(0, 4));
}

function tooLarge(file) {
    return file.size > MAX_UPLOAD_BYTES ? refuse('ARCHIVE_TOO_LARGE', `${bytes(file.size)} of at most ${bytes(MAX_UPLOAD_BYTES)}`) : null;
}

// Decides as contract/archive.py and preflight do, as far as the browser can.
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
    const names = files.map(({ name }) => name);
    const wanted = wantedOf(names);
    const odd = files.find(({ name, method }) => wanted(name) && !ZIP_METHODS.includes(method));
    if (odd) {
        return refuse('UNSUPPORTED_ARCHIVE', odd.name);
    }
    const photos = files.filter(({ name }) => isPhoto(name));
    const splats = chosenSplats(names);
    if (photos.length === 0 && splats.length > 0) {
        return splats.length === 1 ? { step: 'compression', photos: 0 } : refuse('INVALID_SPLAT', `${splats.length} splats, not one`);
    }
    if (photos.length < MIN_PHOTOS && files.some((entry) => isFilm(entry.name) && entry.bytes > 0)) {
        return { step: 'full', photos: 0 };
    }
    return { step: 'full', ...counted(photos.filter((entry) => entry.bytes > 0).length, names) };
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
