// What a customer chose, in parts to upload: a file as it is, or the files of a folder that the pipeline reads, zipped on the fly.
import { downloadZip, predictLength } from 'client-zip';
import { isPhoto, isSideFile, wantedOf } from './paths.js';

export class FileSource {
    constructor(file) {
        this.file = file;
        this.name = file.name;
        this.bytes = file.size;
        this.photos = [];
        this.fingerprint = `${file.name}/${file.size}/${file.lastModified}`;
    }

    // Parts whose number (from 1) is not in `received`, in order: { number, blob }.
    async *parts(partBytes, received) {
        for (let number = 1; (number - 1) * partBytes < this.bytes; number += 1) {
            if (!received.has(number)) {
                const start = (number - 1) * partBytes;
                yield { number, blob: this.file.slice(start, Math.min(start + partBytes, this.bytes)) };
            }
        }
    }
}

// Files are stored, not deflated: photos and films would not shrink, and the archive's length is known in advance.
// The same files in the same order make the same bytes, so that an upload can continue after the page was closed.
export class FolderSource {
    constructor(name, files) {
        this.files = files.filter(({ path, file }) => !isSideFile(path) && file.size > 0); // sent or not
        const wanted = wantedOf(this.files.map(({ path }) => path));
        const sent = distinct(this.files.filter(({ path }) => wanted(path)));
        this.photos = sent.filter(({ path }) => isPhoto(path)).map(({ file }) => file);
        this.entries = sent.map(({ path, file }) => ({ name: path, input: file, size: file.size, lastModified: new Date(file.lastModified) }));
        this.name = `${name || named(sent)}.zip`;
        this.bytes = Number(predictLength(this.entries.map(({ name: path, size }) => ({ name: path, size }))));
        const newest = sent.reduce((latest, { file }) => Math.max(latest, file.lastModified), 0);
        this.fingerprint = `${this.name}/${this.bytes}/${sent.length}/${newest}`;
    }

    async *parts(partBytes, received) {
        const reader = downloadZip(this.entries).body.getReader();
        let pieces = [];
        let held = 0;
        let number = 1;
        try {
            for (;;) {
                const { done, value } = await reader.read();
                let rest = value;
                while (rest && held + rest.length >= partBytes) {
                    const taken = partBytes - held;
                    pieces.push(rest.subarray(0, taken));
                    rest = rest.subarray(taken);
                    if (!received.has(number)) {
                        yield { number, blob: new Blob(pieces) };
                    }
                    pieces = [];
                    held = 0;
                    number += 1;
                }
                if (rest?.length) {
                    pieces.push(rest);
                    held += rest.length;
                }
                if (done) {
                    break;
                }
            }
            if (held && !received.has(number)) {
                yield { number, blob: new Blob(pieces) };
            }
        } finally {
            reader.cancel().catch(() => {});
        }
    }
}

// Sorts files by path and numbers equal paths: a phone calls every photo image.jpg, and only the last would be used.
function distinct(files) {
    const sorted = files.toSorted((a, b) => (a.path === b.path ? a.file.size - b.file.size || a.file.lastModified - b.file.lastModified : a.path < b.path ? -1 : 1));
    const seen = new Map();
    return sorted.map(({ path, file }) => {
        const count = (seen.get(path) ?? 0) + 1;
        seen.set(path, count);
        return { path: count === 1 ? path : path.replace(/(\.[^.]+)$/, `_${count}$1`), file };
    });
}

// Loose photos have no folder to be named after, so they get the date of the newest.
function named(files) {
    const newest = Math.max(...files.map(({ file }) => file.lastModified));
    return files.length ? `photos ${new Date(newest).toISOString().slice(0, 10)}` : 'photos';
}

// The source of a drop: the single archive or splat, or the files of all folders.
export async function sourceOfDrop(transfer) {
    const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    if (entries.length === 1 && entries[0].isFile) {
        return sourceOfFiles(transfer.files);
    }
    const files = (await Promise.all(entries.map((entry) => walk(entry)))).flat();
    return new FolderSource(entries.length === 1 ? entries[0].name : '', files);
}

// A single file is sent as it is, unless it is a photo; several files are sent as photos.
export function sourceOfFiles(list) {
    const files = [...list];
    return files.length === 1 && !isPhoto(files[0].name) ? new FileSource(files[0]) : new FolderSource('', files.map((file) => ({ path: file.name, file })));
}

export function sourceOfFolder(list) {
    const files = [...list].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
    return new FolderSource(files[0]?.path.split('/')[0], files);
}

async function walk(entry) {
    if (entry.isFile) {
        const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
        return [{ path: entry.fullPath.replace(/^\//, ''), file }];
    }
    const reader = entry.createReader();
    const found = [];
    for (;;) { // a browser returns a hundred at a time
        const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
        if (!some.length) {
            break;
        }
        found.push(...some);
    }
    return (await Promise.all(found.map(walk))).flat();
}
